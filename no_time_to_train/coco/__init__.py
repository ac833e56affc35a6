"""The COCO json format: annotations, segmentations, results; no networks."""
