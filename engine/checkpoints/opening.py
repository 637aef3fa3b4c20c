"""Opens the files of checkpoints, where nothing but files stands."""

import glob
import os
from typing import Any

import tensorflow.compat.v1 as tf

from datasets import files


def reader(path: str) -> tf.train.NewCheckpointReader:
  """Returns what reads a checkpoint's values, given its prefix.

  Raises:
    ValueError: what should be a file of it is a pipe, a socket or a device,
      which TensorFlow would wait for.
    Exception: it is damaged, in one of the ways of TensorFlow.
  """
  index = f'{path}.index'
  for file in [
    index if os.path.lexists(index) else path,  # that of the first format
    *glob.glob(f'{glob.escape(path)}.data-*'),
  ]:
    files.check_regular(file)
  return tf.train.load_checkpoint(path)


def state(folder: str) -> Any:
  """Returns what the file `checkpoint` of a folder says, as a message.

  Returns:
    None if there is none, or it is damaged.

  Raises:
    ValueError: something else than a file has its name.
  """
  files.check_regular(os.path.join(folder, 'checkpoint'))
  try:
    return tf.train.get_checkpoint_state(folder)
  except ValueError:  # no text, or it names nothing
    return None
