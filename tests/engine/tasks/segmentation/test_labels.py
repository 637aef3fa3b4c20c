"""How masks are read: what TensorFlow would misread is an error."""

import io

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from PIL import Image

from engine.tasks.segmentation.labels import MaskLabels


def _png(mask, mode='L', **options):
  data = io.BytesIO()
  image = Image.fromarray(mask, 'P' if mode == 'P' else None)
  if mode == 'P':
    image.putpalette([7] * 768)
  elif mode != 'L':
    image = image.convert(mode)
  image.save(data, 'png', **options)
  return data.getvalue()


def _decoded(data, **options):
  labels = MaskLabels(None, None, 3, **options)
  with tf.Session() as session:
    return session.run(
      labels.decode({'image/segmentation/class/encoded': tf.constant(data)})
    )


MASK = np.array([[0, 1, 2], [255, 254, 128]], np.uint8)


def test_a_grey_mask(graph):
  found = _decoded(_png(MASK))
  assert found.dtype == np.uint8 and found.tolist() == MASK.tolist()


@pytest.mark.parametrize(
  'data',
  [
    _png(MASK, 'P'),
    _png(MASK, 'RGB'),
    _png(MASK, 'I;16'),
    _png(MASK, 'LA'),
    _png(MASK, '1'),
    b'',
    b'\x89PNG',
    b'x' * 50,
  ],
  ids=['palette', 'rgb', '16 bit', 'alpha', '1 bit', 'none', 'cut', 'other'],
)
def test_what_is_no_grey_png_of_8_bits(graph, data):
  with pytest.raises(tf.errors.InvalidArgumentError):
    _decoded(data)


def test_a_mask_that_is_too_large(graph):
  data = _png(np.zeros((20, 30), np.uint8))
  assert _decoded(data, max_pixels=600).shape == (20, 30)
  for part in data, data[:33]:  # its header is enough
    with pytest.raises(tf.errors.InvalidArgumentError, match='or too many'):
      _decoded(part, max_pixels=599)


def _prepared(labels, image, label):
  with tf.Session() as session:
    return session.run(
      labels.prepare(
        tf.constant(image), tf.constant(label), tf.constant([1, 2])
      )
    )


def test_masks_are_prepared_with_their_images(graph):
  def preprocess(image, mask, height, width, seed):
    assert (height, width) == (5, 6)
    return image + tf.cast(seed[0], tf.float32), tf.cast(mask, tf.int32)

  labels = MaskLabels(preprocess, (5, 6), 2, ignore_label=7)
  image, mask = _prepared(labels, 1.0, np.array([[0, 1, 7]], np.uint8))
  assert image == 2 and mask.tolist() == [[0, 1, 7]]


@pytest.mark.parametrize(
  'value, ignore_label, fits',
  [
    (2, 255, False),
    (255, 255, True),
    (255, None, False),
    (254, 255, False),
    (1, None, True),
  ],
)
@pytest.mark.parametrize('classes', [2, 256])
def test_values_that_are_no_class(graph, value, ignore_label, fits, classes):
  labels = MaskLabels(
    lambda image, mask, *size, seed: (image, mask),
    None,
    classes,
    ignore_label=ignore_label,
  )
  fits = fits or classes == 256
  mask = np.array([[0, value]], np.uint8)
  if fits:
    assert _prepared(labels, 1.0, mask)[1].tolist() == mask.tolist()
  else:
    with pytest.raises(tf.errors.InvalidArgumentError, match='no class'):
      _prepared(labels, 1.0, mask)
