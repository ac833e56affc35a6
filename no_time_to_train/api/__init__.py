"""Training-free segmentation from Python."""

from no_time_to_train.api.classes import ClassInfo
from no_time_to_train.api.prediction import ImageInstance, ImagePrediction
from no_time_to_train.api.segmenter import FewShotSegmenter

__all__ = ["ClassInfo", "FewShotSegmenter", "ImageInstance", "ImagePrediction"]
