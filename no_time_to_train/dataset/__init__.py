"""References, targets and results on disk, and the tools that prepare them."""
