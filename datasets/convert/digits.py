"""The embedded dataset: 1,797 real handwritten digits of 8 x 8 pixels.

They come with scikit-learn (`load_digits`): the test part of E. Alpaydin and
C. Kaynak, "Optical Recognition of Handwritten Digits", UCI, 1998.
"""

import functools
import os

import numpy as np
from PIL import Image

from datasets.images import image_files
from datasets.writing import writer
from datasets.writing.plan import Item, Plan

FILE_PATTERN = 'digits_%s.tfrecord'
TEST_EXAMPLES = 360
NAMES = (
  'zero',
  'one',
  'two',
  'three',
  'four',
  'five',
  'six',
  'seven',
  'eight',
  'nine',
)


def _png(image: np.ndarray) -> bytes:
  """Encodes ink of 0 to 16 as a grey image of 0 to 255."""
  image = np.round(image * (255 / 16)).astype(np.uint8)
  return image_files.encode(Image.fromarray(image), 'png')


def parts() -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]:
  """Returns the digits of train and of test, 1,437 and 360, stratified.

  Returns:
    (numbers, ink, labels) of each split: the digits' numbers in scikit-learn's
    set [n], their ink of 0 to 16, float64 [n, 8, 8], and their labels [n].
  """
  from sklearn.datasets import load_digits
  from sklearn.model_selection import train_test_split

  digits = load_digits()
  both = train_test_split(
    np.arange(len(digits.target)),
    test_size=TEST_EXAMPLES,
    stratify=digits.target,
    random_state=0,
  )
  return {
    split: (numbers, digits.images[numbers], digits.target[numbers])
    for split, numbers in zip(('train', 'test'), both, strict=True)
  }


def plan() -> Plan:
  """Returns the digits as images; see `parts`."""
  return Plan(
    'scikit-learn',
    list(NAMES),
    {
      split: [
        Item(f'digit {number}', int(label), functools.partial(_png, image))
        for number, image, label in zip(*part, strict=True)
      ]
      for split, part in parts().items()
    },
    'digits',
  )


def ensure(dataset_dir: str | os.PathLike) -> None:
  """Writes the digits to `dataset_dir`, unless they are there already.

  They are always the same. The folder appears whole or not at all.
  """
  writer.ensure(plan, dataset_dir, FILE_PATTERN)
