"""Pictures of people's own: found instances are written picture by picture, on any number of ranks.

What is imported here needs no PyTorch.
"""
