"""The embedded data set: 1,797 real handwritten digits of 8 x 8 pixels.

They come with scikit-learn (`load_digits`): the test part of E. Alpaydin and
C. Kaynak, "Optical Recognition of Handwritten Digits", UCI, 1998.
"""
import functools
import os
import pathlib

import numpy as np
from PIL import Image

from datasets import dataset_utils, pictures
from datasets.convert import writer
from datasets.convert.plan import Item, Plan

FILE_PATTERN = 'digits_%s.tfrecord'
TEST_EXAMPLES = 360
NAMES = ('zero', 'one', 'two', 'three', 'four', 'five', 'six', 'seven',
         'eight', 'nine')


def _png(image: np.ndarray) -> bytes:
  """Encodes ink of 0 to 16 as a grey picture of 0 to 255."""
  image = np.round(image * (255 / 16)).astype(np.uint8)
  return pictures.encode(Image.fromarray(image), 'png')


def plan() -> Plan:
  """Returns the digits: 1,437 for training, 360 for testing, stratified."""
  from sklearn.datasets import load_digits
  from sklearn.model_selection import train_test_split

  digits = load_digits()
  train, test = train_test_split(
      np.arange(len(digits.target)), test_size=TEST_EXAMPLES,
      stratify=digits.target, random_state=0)
  return Plan('scikit-learn', list(NAMES), {
      split: [Item(f'digit {i}', int(digits.target[i]),
                   functools.partial(_png, digits.images[i]))
              for i in indices]
      for split, indices in (('train', train), ('test', test))}, 'digits')


def ensure(dataset_dir: str | os.PathLike) -> None:
  """Writes the digits to `dataset_dir`, unless they are there already.

  They are always the same. The folder appears whole or not at all.
  """
  finished = pathlib.Path(dataset_dir, dataset_utils.LABELS_FILENAME)
  if finished.exists():
    return
  try:
    writer.write(plan(), dataset_dir, FILE_PATTERN)
  except (OSError, ValueError):
    if not finished.exists():  # else another process was faster
      raise
