"""An image pyramid: a network that sees an image at several scales.

As DeepLab has it: the scales share the variables, and the largest logits count.
"""

import functools
import inspect
import re
from collections.abc import Callable, Mapping

import tensorflow.compat.v1 as tf

from nets.heads import deeplab
from nets.heads.resizing import resize, sides
from nets.slim_compat import slim

_LOGITS = r'logits_\d+\.\d\d'  # the end point of the logits of a scale


def at_scales(build: Callable) -> Callable:
  """Returns `build` for an image pyramid: a network, at each of its scales.

  All share the variables. The logits are the largest over the scales, at the
  size that the largest scale gives; the end points are those of scale 1, if it
  is there, else of the largest, with the logits of each scale.
  """
  signature = inspect.signature(build)

  @functools.wraps(build)
  def build_pyramid(*args, **kwargs):
    given = signature.bind(*args, **kwargs)
    given.apply_defaults()
    options = deeplab.Options.of(given.arguments['decoder_options'])
    scales, images = options.image_pyramid, given.arguments['images']
    if scales == (1.0,):
      return build(*args, **kwargs)
    given.arguments['decoder_options'] = {
      **options.changed(),
      'image_pyramid': None,
    }
    found = {}
    for scale in scales:
      given.arguments['images'] = _scaled(images, scale)
      if options.image_pooling_crop_size:
        given.arguments['decoder_options']['image_pooling_crop_size'] = tuple(
          deeplab.scaled(side, scale)
          for side in options.image_pooling_crop_size
        )
      found[scale] = build(*given.args, **given.kwargs)
      given.arguments['reuse'] = True
    largest, _ = found[max(scales)]
    by_scale = {
      scale_name(scale): resize(net, largest)
      for scale, (net, _) in found.items()
    }
    net = functools.reduce(tf.maximum, by_scale.values())
    _, end_points = found.get(1.0) or found[max(scales)]
    end_points = {**end_points, **by_scale}
    end_points['predictions'] = slim.softmax(net, scope='predictions')
    return net, end_points

  return build_pyramid


def scale_logits(end_points: Mapping[str, tf.Tensor]) -> list[tf.Tensor]:
  """Returns the logits of each scale of an image pyramid, [] without one."""
  return [
    net for name, net in end_points.items() if re.fullmatch(_LOGITS, name)
  ]


def scale_name(scale: float) -> str:
  """Returns the name of the end point of the logits of an image's scale.

  >>> scale_name(0.5)
  'logits_0.50'
  """
  return f'logits_{scale:.2f}'


def _scaled(images, scale):
  """Returns images of another size, corners on corners."""
  if scale == 1:
    return images
  images = tf.convert_to_tensor(images)
  size = [deeplab.scaled(side, scale) for side in sides(images)]
  resized = tf.image.resize_bilinear(images, size, align_corners=True)
  return tf.cast(resized, images.dtype)
