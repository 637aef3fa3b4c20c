"""TF-Slim's decoders of records: the items that slim.dataset.Dataset gives."""

from typing import NamedTuple

import tensorflow.compat.v1 as tf
from tf_slim.data import tfexample_decoder

from datasets import label_kinds


class Form(NamedTuple):
  """How records are parsed.

  Fields:
    features: by name.
    items: by name, what each is and what makes its handler.
  """

  features: dict
  items: dict


def _text(default=''):
  return tf.FixedLenFeature([], tf.string, default)


def _number(default=0):
  return tf.FixedLenFeature([], tf.int64, default)


def _value(name):
  return lambda: tfexample_decoder.Tensor(name)


_IMAGE = ('uint8 [height, width, 3]', tfexample_decoder.Image)
_FILENAME = ('the file it was made from', _value('image/filename'))
_MASK = 'image/segmentation/class/encoded', 'image/segmentation/class/format'


def class_form() -> Form:
  """Returns the form of records with a class each, and perhaps boxes."""
  return Form(
    {
      'image/encoded': _text(),
      'image/format': _text('jpeg'),
      'image/class/label': _number(-1),
      'image/class/text': _text(),
      'image/filename': _text(),
      **{
        f'image/object/bbox/{side}': tf.VarLenFeature(tf.float32)
        for side in ('ymin', 'xmin', 'ymax', 'xmax')
      },
      'image/object/bbox/label': tf.VarLenFeature(tf.int64),
    },
    {
      'image': _IMAGE,
      'label': ('int64 in [0, num_classes)', _value('image/class/label')),
      'label_text': ('the name of the class', _value('image/class/text')),
      'filename': _FILENAME,
      'object/bbox': (
        'float32 [n, 4], boxes (ymin, xmin, ymax, xmax) in [0, 1]',
        lambda: tfexample_decoder.BoundingBox(
          ['ymin', 'xmin', 'ymax', 'xmax'], 'image/object/bbox/'
        ),
      ),
      'object/label': (
        'int64 [n], the label of each box',
        _value('image/object/bbox/label'),
      ),
    },
  )


def mask_form() -> Form:
  """Returns the form of records with masks; the names are DeepLab's."""
  return Form(
    {
      'image/encoded': _text(),
      'image/format': _text('jpeg'),
      'image/filename': _text(),
      'image/height': _number(),
      'image/width': _number(),
      **dict.fromkeys(_MASK, _text()),
      _MASK[1]: _text('png'),
    },
    {
      'image': _IMAGE,
      'image_name': _FILENAME,
      'height': ('int64, of the image in pixels', _value('image/height')),
      'width': ('int64, of the image in pixels', _value('image/width')),
      'labels_class': (
        'uint8 [height, width, 1], a class or the ignore label',
        lambda: tfexample_decoder.Image(*_MASK, channels=1),
      ),
    },
  )


def descriptions(task: str) -> dict[str, str]:
  """Returns what each item of a task is, by name."""
  items = label_kinds.get(task).slim_form().items
  return {item: text for item, (text, _) in items.items()}


def decoder(task: str) -> tfexample_decoder.TFExampleDecoder:
  """Returns the decoder of a task's records."""
  features, items = label_kinds.get(task).slim_form()
  return tfexample_decoder.TFExampleDecoder(
    features, {item: make() for item, (_, make) in items.items()}
  )
