"""Several views of each image, whose probabilities are averaged.

Ten crops are four corners, the centre, and their mirror images (Krizhevsky et
al., ImageNet Classification with Deep Convolutional Neural Networks, section
4.1). Several sizes go through the network as a whole, which is convolutional
to its global pooling (He et al., arXiv:1512.03385, section 3.4).
"""

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import tensorflow.compat.v1 as tf

from engine.config.scripts import EvalConfig
from engine.tasks.classification import examples
from preprocessing import preprocessing_factory
from preprocessing.encoded import Encoded

# A crop of 224 pixels comes from an image of 256.
_MARGIN = 256 / 224
# The corners and the centre: y and x as parts of what is left over.
_PLACES = ((0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0), (0.5, 0.5))


class Crop(NamedTuple):
  """A part of an image that the network sees, as it is or mirrored.

  Fields:
    y: its first row.
    x: its first column.
    size: its height and width, in pixels.
    mirrored: whether left and right are swapped.
  """

  y: int
  x: int
  size: int
  mirrored: bool

  def of(self, images: np.ndarray) -> np.ndarray:
    """Returns the crop, [batch, size, size, C], of [batch, h, w, C]."""
    seen = images[:, self.y : self.y + self.size, self.x : self.x + self.size]
    return seen[:, :, ::-1] if self.mirrored else seen


class ImagePlan(NamedTuple):
  """How an image is prepared, and what is seen of it.

  Fields:
    side: its height and width, in pixels.
    options: of the preprocessing.
    crops: what the network sees of it, at least one.
  """

  side: int
  options: dict[str, Any]
  crops: list[Crop]


def plan(config: EvalConfig) -> list[ImagePlan]:
  """Returns the images that an example is turned into, one for each scale.

  Args:
    config: a complete configuration, of which ten_crop, flip and scales say
      what is seen, and eval_image_size and preprocessing_name how.
  """
  found, name = [], config.preprocessing_name
  for scale in config.scales or (1.0,):
    side = size = max(1, round(config.eval_image_size * scale))
    options = preprocessing_factory.scaled(name, scale)
    places, mirrored = [(0, 0)], [False, True][: 1 + config.flip]
    if config.ten_crop:
      side = round(size * _MARGIN)
      options = preprocessing_factory.whole(name, side)
      places = [
        (int(y * (side - size)), int(x * (side - size))) for y, x in _PLACES
      ]
      mirrored = [False, True]
    found.append(
      ImagePlan(
        side,
        options,
        [
          Crop(*place, size, mirror)
          for place, mirror in itertools.product(places, mirrored)
        ],
      )
    )
  return found


def count(plans: list[ImagePlan]) -> int:
  """Returns the number of views of an example."""
  return sum(len(plan.crops) for plan in plans)


def preprocessing(config: EvalConfig, plans: list[ImagePlan]) -> Callable:
  """Returns the preprocessing that prepares an image by all plans at once.

  Args:
    config: a complete configuration.
    plans: what `plan` returned.

  Returns:
    fn(image, height, width, seed=None), which returns a tuple of float32
    [side, side, channels]; for one view alone, one image instead, [height,
    width, channels].
  """
  recipe = examples.for_evaluation(config)
  if count(plans) == 1 and not config.scales:
    return recipe

  def prepare(
    image: Any, height: int, width: int, seed: Any = None
  ) -> tuple[tf.Tensor, ...]:
    if isinstance(image, Encoded):
      image = image.pixels()  # once for all
    return tuple(
      recipe(image, plan.side, plan.side, seed, **plan.options)
      for plan in plans
    )

  return prepare


def average(logits: list[np.ndarray]) -> np.ndarray:
  """Returns the logarithm of the mean probabilities.

  Args:
    logits: of each view or member, float [examples, classes].

  Returns:
    float32 [examples, classes].
  """
  total = None
  for each in logits:
    each = each.astype(np.float64)
    each -= np.logaddexp.reduce(each, axis=-1, keepdims=True)
    total = each if total is None else np.logaddexp(total, each)
  return (total - np.log(len(logits))).astype(np.float32)
