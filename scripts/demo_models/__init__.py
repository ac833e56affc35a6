"""Draws the demo's scenes and trains its two networks: `python -m scripts.demo_models.<module>`."""
