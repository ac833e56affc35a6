"""The reference memory: what is filled, finalised into classes, stored and read."""
