"""A plain U-Net (arXiv:1505.04597) in Keras, as tutorials write it."""

from keras import Input, Model, layers


def _convolve(net, filters):
  for _ in range(2):
    net = layers.Conv2D(filters, 3, padding='same', use_bias=False)(net)
    net = layers.ReLU()(layers.BatchNormalization()(net))
  return net


def network(num_classes: int, filters: tuple[int, ...] = (25, 50, 100, 200)):
  """Returns the network, of 1.3 million parameters with these filters.

  It takes images, float32 [batch, height, width, 3] of 0 to 255 whose sides
  are multiples of 2 to the number of poolings, 8, and gives logits, float32
  [batch, height, width, num_classes].

  Args:
    num_classes: the number of logits of a pixel.
    filters: of the convolutions at each resolution, the finest first.
  """
  inputs = Input((None, None, 3))
  net, skips = layers.Rescaling(1 / 127.5, -1)(inputs), []
  for each in filters[:-1]:
    net = _convolve(net, each)
    skips.append(net)
    net = layers.MaxPooling2D()(net)
  net = _convolve(net, filters[-1])
  for each, skip in zip(filters[-2::-1], skips[::-1], strict=True):
    net = layers.Conv2DTranspose(each, 3, 2, padding='same')(net)
    net = _convolve(layers.Concatenate()([net, skip]), each)
  return Model(inputs, layers.Conv2D(num_classes, 1)(net))
