"""What the comparison with a U-Net in Keras is made of."""

import numpy as np
import pytest

from benchmarks import segmentation
from benchmarks.rivals import keras_unet


def test_miou():
  """Of the classes 0 and 1, with 2 of 3 and 1 of 2 pixels; others too."""
  masks = np.append(np.arange(segmentation.CLASSES), [0, 0])
  predicted = masks.copy()
  predicted[-1] = 1
  others = segmentation.CLASSES - 2
  assert segmentation._miou(predicted, masks) == pytest.approx(
    (2 / 3 + 1 / 2 + others) / segmentation.CLASSES
  )


def test_batches():
  """Windows of a multiple of 8, image and mask alike; each image in turn."""
  number = np.arange(20, dtype=np.uint8)[:, None, None]
  masks = np.broadcast_to(number, (20, 17, 17))
  images = np.repeat(masks[..., None], 3, 3)
  found = list(segmentation._batches(images, masks, 5, seed=0))
  assert len(found) == 5
  for pixels, labels in found:
    assert pixels.shape == (segmentation.BATCH, 16, 16, 3)
    assert pixels.dtype == np.float32 and labels.dtype == np.int32
    np.testing.assert_array_equal(pixels[..., 0], labels)
  seen = np.concatenate([labels[:, 0, 0] for _, labels in found])
  assert sorted(seen) == sorted(list(range(20)) * 4)


def test_the_unet():
  network = keras_unet.network(segmentation.CLASSES)
  assert network.count_params() == pytest.approx(1.3e6, rel=0.01)
  logits = network(np.zeros((1, 16, 24, 3), np.float32))
  assert logits.shape == (1, 16, 24, segmentation.CLASSES)
