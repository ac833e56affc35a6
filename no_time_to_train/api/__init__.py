"""Training-free segmentation from Python."""

from no_time_to_train.api.class_memory import ClassInfo
from no_time_to_train.api.instance import ImageInstance
from no_time_to_train.api.prediction import ImagePrediction
from no_time_to_train.api.segmenter import FewShotSegmenter

__all__ = ["ClassInfo", "FewShotSegmenter", "ImageInstance", "ImagePrediction"]
