"""The embedded data set: 1,797 real handwritten digits of 8 x 8 pixels.

They come with scikit-learn (`load_digits`): the test part of E. Alpaydin and
C. Kaynak, "Optical Recognition of Handwritten Digits", UCI, 1998.
"""
import io
import os
import pathlib
import shutil
import tempfile

import numpy as np
from PIL import Image

from datasets import dataset_utils

TEST_EXAMPLES = 360
NAMES = ('zero', 'one', 'two', 'three', 'four', 'five', 'six', 'seven',
         'eight', 'nine')


def _png(image: np.ndarray) -> bytes:
  """Encodes ink of 0 to 16 as a grey picture of 0 to 255."""
  data = io.BytesIO()
  Image.fromarray(np.round(image * (255 / 16)).astype(np.uint8)).save(
      data, 'png')
  return data.getvalue()


def _write(dataset_dir):
  from sklearn.datasets import load_digits
  from sklearn.model_selection import train_test_split

  digits = load_digits()
  train, test = train_test_split(
      np.arange(len(digits.target)), test_size=TEST_EXAMPLES,
      stratify=digits.target, random_state=0)
  for split, indices in (('train', train), ('test', test)):
    dataset_utils.write_tfrecord(
        dataset_dir / f'digits_{split}.tfrecord',
        (dataset_utils.image_to_tfexample(
            _png(digits.images[i]), b'png', 8, 8, digits.target[i])
         for i in indices))
  dataset_utils.write_label_file(dict(enumerate(NAMES)), dataset_dir)


def ensure(dataset_dir: str | os.PathLike) -> None:
  """Writes the digits to `dataset_dir`, unless it is there already.

  1,437 examples for training and 360 for testing, stratified, always the
  same. The folder appears whole or not at all.
  """
  dataset_dir = pathlib.Path(dataset_dir)
  if dataset_dir.is_dir():
    return
  dataset_dir.parent.mkdir(parents=True, exist_ok=True)
  unfinished = pathlib.Path(tempfile.mkdtemp(
      prefix=dataset_dir.name + '-', dir=dataset_dir.parent))
  try:
    _write(unfinished)
    unfinished.chmod(0o755)  # mkdtemp makes it private
    unfinished.rename(dataset_dir)
  except OSError:
    if not dataset_dir.is_dir():  # else another process was faster
      raise
  finally:
    shutil.rmtree(unfinished, ignore_errors=True)
