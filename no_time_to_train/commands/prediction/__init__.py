"""The parts of `predict`."""
