"""The method, on tensors alone: `segmenter` has its three stages, the rest are their parts."""
