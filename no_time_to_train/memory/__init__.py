"""The reference memory: what is filled, condensed into classes, stored and read."""
