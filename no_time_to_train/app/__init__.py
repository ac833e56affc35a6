"""The page to try it on: examples are marked in a browser, and pictures searched.

Gradio makes the page. Only `server` and `privacy` are imported before it.
"""
