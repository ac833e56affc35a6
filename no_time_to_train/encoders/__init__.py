"""Patch encoders: the networks that tell classes apart."""
