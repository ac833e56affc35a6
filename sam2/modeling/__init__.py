"""The networks of SAM 2's image half, one file per box of the architecture figure."""
