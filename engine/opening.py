"""What opens a network and a split, for every task."""

from datasets.dataset_factory import Dataset
from engine.config import EvalConfig
from engine.predictor import Predictor
from engine.segmentation import CLASSIFICATION, SEGMENTATION
from engine.segmenter import Segmenter

_OPEN = {CLASSIFICATION: Predictor, SEGMENTATION: Segmenter}


def open_split(
  config: EvalConfig, dataset: Dataset, num_classes: int
) -> Predictor | Segmenter:
  """Returns a network and a split to run it on, by config.task."""
  return _OPEN[config.task](config, dataset, num_classes)
