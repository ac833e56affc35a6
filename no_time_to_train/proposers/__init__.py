"""Mask proposers: class-agnostic masks of an image."""
