"""The method, on tensors alone: `Segmenter` is the story, the rest are its parts."""
