"""The kinds of labels that a dataset may have."""

from typing import NamedTuple

CLASSIFICATION = 'classification'
SEGMENTATION = 'segmentation'


class LabelKind(NamedTuple):
  noun: str


KINDS = {
  CLASSIFICATION: LabelKind('a label for every image'),
  SEGMENTATION: LabelKind('masks, with a label for every pixel'),
}


def get(name):
  return KINDS[name]
