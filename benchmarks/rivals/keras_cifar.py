"""The residual networks of Keras's CIFAR-10 script, written in Keras.

Layers are called as the scopes of nets/resnet_cifar.py are, with dots.
"""

from keras import Input, Model, layers, regularizers


def _convolve(net, name, filters, kernel_size=3, strides=1):
  return layers.Conv2D(
    filters,
    kernel_size,
    strides=strides,
    padding='same',
    name=name,
    kernel_initializer='he_normal',
    kernel_regularizer=regularizers.L2(1e-4),
  )(net)


def _normalize(net, name, activate=True):
  net = layers.BatchNormalization(name=f'{name}.norm')(net)
  return layers.ReLU()(net) if activate else net


def _version_1(net, units):
  for stack in range(3):
    for i in range(units):
      unit, filters = f'block{stack + 1}.unit_{i + 1}', 16 << stack
      strides = 2 if stack and not i else 1
      shortcut = net
      if strides > 1:
        shortcut = _convolve(net, f'{unit}.shortcut', filters, 1, strides)
      net = _convolve(net, f'{unit}.conv1', filters, 3, strides)
      net = _normalize(net, f'{unit}.conv1')
      net = _convolve(net, f'{unit}.conv2', filters)
      net = _normalize(net, f'{unit}.conv2', activate=False)
      net = layers.ReLU()(layers.Add()([shortcut, net]))
  return net


def _version_2(net, units):
  inner = 16
  for stack in range(3):
    outer = 64 << stack
    for i in range(units):
      unit = f'block{stack + 1}.unit_{i + 1}'
      strides = 2 if stack and not i else 1
      shortcut = net
      if not i:
        shortcut = _convolve(net, f'{unit}.shortcut', outer, 1, strides)
      if stack or i:
        net = _normalize(net, f'{unit}.conv1')
      net = _convolve(net, f'{unit}.conv1', inner, 1, strides)
      net = _normalize(net, f'{unit}.conv2')
      net = _convolve(net, f'{unit}.conv2', inner)
      net = _normalize(net, f'{unit}.conv3')
      net = _convolve(net, f'{unit}.conv3', outer, 1)
      net = layers.Add()([shortcut, net])
    inner = outer
  return _normalize(net, 'postnorm')


# Version -> what stacks units on a map, and how many layers one more unit in
# each of the three stacks adds.
_VERSIONS = {1: (_version_1, 6), 2: (_version_2, 9)}


def network(
  version: int, depth: int, size: int = 32, num_classes: int = 10
) -> Model:
  """Returns a network of the script.

  Args:
    version: 1 or 2.
    depth: 6n + 2 in version 1, 9n + 2 in version 2.
    size: height and width of the images, a multiple of four.
    num_classes: the number of probabilities.
  """
  stack_units, layers_of_a_unit = _VERSIONS[version]
  inputs = Input((size, size, 3))
  net = _normalize(_convolve(inputs, 'conv1', 16), 'conv1')
  net = stack_units(net, (depth - 2) // layers_of_a_unit)
  net = layers.Flatten()(layers.AveragePooling2D(size // 4)(net))
  return Model(
    inputs,
    layers.Dense(
      num_classes, 'softmax', kernel_initializer='he_normal', name='logits'
    )(net),
  )
