"""The parts of `bank`."""
