"""What `check` looks at, a module for each kind of thing; none imports PyTorch or Lightning."""
