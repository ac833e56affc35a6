"""Training-free, reference-based instance segmentation with SAM 2 and DINOv2."""
