"""Accuracy of stored results."""
