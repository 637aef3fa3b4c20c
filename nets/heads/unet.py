"""The decoder of a U-Net, with skips from every resolution of a network.

Ronneberger, Fischer, Brox: U-Net: Convolutional Networks for Biomedical Image
Segmentation. arXiv:1505.04597, 2015
"""

from collections.abc import Mapping

import tensorflow.compat.v1 as tf

from nets.heads.resizing import sides
from nets.slim_compat import slim

_LEAST_DEPTH = 16  # channels of a stage


def _enlarge(features, factor, like):
  """Enlarges by a whole factor, where others hold `like` of more positions.

  Position i of the coarse features is position i * factor of the fine ones,
  as in a network that strides, whether sides are odd or even.
  """
  if factor > 1:
    size = [side * factor for side in sides(features)]
    resized = tf.image.resize_bilinear(features, size)
    features = tf.cast(resized, features.dtype)
  height, width = sides(like)
  return features[:, :height, :width]


def unet(
  features: tf.Tensor,
  image: tf.Tensor,
  skips: Mapping[int, tf.Tensor],
  output_stride: int,
  depth: int = 256,
) -> tf.Tensor:
  """The expanding path of a U-Net (section 2), up to the image's size.

  Each stage enlarges what is coarser to the features of a skip, joins the two
  and applies two 3x3 convolutions. The coarsest stage has `depth` channels,
  each finer one half as many, but 16 at least. Skips get as many by a 1x1
  convolution before they are joined, the image by a 3x3 one.

  Args:
    features: float [batch, height, width, channels], the network's last.
    image: what the network was given, float [batch, full height, full width,
      channels].
    skips: by nominal stride the finer features of the network; see
      `nets_factory.feature_descriptions`. Their stride is `output_stride`
      where that is less.
    output_stride: that of the features.
    depth: the number of channels of the coarsest stage.

  Returns:
    Float [batch, full height, full width, channels of the finest stage].
  """
  finer = {1: image, **skips}
  coarse = output_stride
  with tf.variable_scope('unet', values=[features, image]):
    net = slim.conv2d(features, depth, [1, 1], scope='features_projection')
    for i, stride in enumerate(sorted(finer, reverse=True)):
      channels = max(depth >> i, _LEAST_DEPTH)
      skip, fine = finer[stride], min(stride, output_stride)
      with tf.variable_scope(f'stride{stride}', values=[net, skip]):
        joined = slim.conv2d(
          skip, channels, 3 if skip is image else 1, scope='skip_projection'
        )
        net = tf.concat([_enlarge(net, coarse // fine, joined), joined], 3)
        net = slim.repeat(net, 2, slim.conv2d, channels, [3, 3], scope='conv')
      coarse = fine
    return net
