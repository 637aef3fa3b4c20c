"""The forms of DeepLab's model, beside its graph written plainly."""

import dataclasses

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from nets import decoders, nets_factory, resnet_generator
from nets.heads import deeplab, image_pyramid
from nets.slim_compat import slim
from tests import golden

UNITS = (2, 1, 1, 2)  # in the blocks of all networks here
ROOTS = {
  'resnet_v1_50': [('conv1', 2)],
  'resnet_v1_50_beta': [('conv1_1', 2), ('conv1_2', 1), ('conv1_3', 1)],
}
# DeepLab's own defaults.
DEEPLAB = {
  'aspp_with_separable_conv': True,
  'decoder_use_separable_conv': True,
  'decoder_low_level': 'residual',
}


@pytest.fixture(autouse=True)
def short(monkeypatch):
  """Makes all networks short."""
  for depth in resnet_generator.UNITS:
    monkeypatch.setitem(resnet_generator.UNITS, depth, UNITS)


def dimension(side, scale):
  return int((float(side) - 1.0) * scale + 1.0)


def enlarge(net, height, width):
  return tf.image.resize_bilinear(net, [height, width], align_corners=True)


class Plain:
  """DeepLab's graph in TensorFlow's own operations, of constants.

  Attributes:
    values: of the variables, by name.
    used: the names of those that the graph has.
  """

  def __init__(self, values):
    self.values, self.used = values, set()

  def value(self, name):
    self.used.add(name)
    return tf.constant(self.values[name])

  def behind(self, net, scope, activates):
    mean, variance, gamma, beta = (
      self.value(f'{scope}/BatchNorm/{name}')
      for name in ('moving_mean', 'moving_variance', 'gamma', 'beta')
    )
    net = (net - mean) * gamma / tf.sqrt(variance + 1e-5) + beta
    return tf.nn.relu(net) if activates else net

  def convolve(self, net, scope, stride=1, rate=1, activates=True):
    weights, padding = self.value(f'{scope}/weights'), 'SAME'
    side = weights.shape[0]
    if stride > 1 and side > 1:  # whatever the size, alike on both sides
      net = tf.pad(net, [[0, 0], [side // 2] * 2, [side // 2] * 2, [0, 0]])
      padding = 'VALID'
    net = tf.nn.conv2d(net, weights, stride, padding, dilations=rate)
    return self.behind(net, scope, activates)

  def separable(self, net, scope, rate=1):
    weights = self.value(f'{scope}_depthwise/depthwise_weights')
    net = tf.nn.depthwise_conv2d(
      net, weights, [1] * 4, 'SAME', dilations=[rate, rate]
    )
    net = self.behind(net, f'{scope}_depthwise', True)
    return self.convolve(net, f'{scope}_pointwise')

  def network(self, net, name, output_stride, multi_grid):
    """Returns the features and those of finer resolution, by their stride."""
    for scope, stride in ROOTS[name]:
      net = self.convolve(net, f'resnet_v1_50/{scope}', stride)
    fine = {2: {'unit': net, 'residual': net}}
    net = tf.nn.max_pool2d(net, 3, 2, 'SAME')
    reached, rate = 4, 1
    for block, count in enumerate(UNITS, 1):
      for unit in range(1, count + 1):
        stride = 2 if unit == count and block < len(UNITS) else 1
        own = multi_grid[unit - 1] if block == len(UNITS) else 1
        scope = f'resnet_v1_50/block{block}/unit_{unit}/bottleneck_v1'
        if reached == output_stride:
          net, residual = self.unit(net, scope, 1, rate * own)
          rate *= stride
        else:
          net, residual = self.unit(net, scope, stride, own)
          reached *= stride
        if (block, unit) == (1, count - 1):
          fine[4] = {'unit': net, 'residual': residual}
    return net, fine

  def unit(self, net, scope, stride, rate):
    if f'{scope}/shortcut/weights' in self.values:
      kept = self.convolve(net, f'{scope}/shortcut', stride, activates=False)
    else:
      kept = net[:, ::stride, ::stride]
    net = self.convolve(net, f'{scope}/conv1')
    net = self.convolve(net, f'{scope}/conv2', stride, rate)
    net = self.convolve(net, f'{scope}/conv3', activates=False)
    return tf.nn.relu(kept + net), net

  def aspp(self, net, crop, pooled_crop, output_stride, rates, options):
    branches = []
    height, width = (dimension(side, 1 / output_stride) for side in crop)
    if options.add_image_level_feature:
      window = [dimension(side, 1 / output_stride) for side in pooled_crop]
      mean = tf.nn.avg_pool2d(net, window, 1, 'VALID')
      mean = self.convolve(mean, 'image_pooling')
      branches.append(enlarge(mean, height, width))
    branches.append(self.convolve(net, 'aspp0'))
    for i, rate in enumerate(rates, 1):
      if options.aspp_with_separable_conv:
        branches.append(self.separable(net, f'aspp{i}', rate))
      else:
        branches.append(self.convolve(net, f'aspp{i}', rate=rate))
    return self.convolve(tf.concat(branches, 3), 'concat_projection')

  def decoder(self, net, fine, crop, options):
    for stage, stride in enumerate(options.decoder_output_stride or (4,)):
      end = f'_{stage}' if stage else ''
      low = self.convolve(
        fine[stride][options.decoder_low_level],
        f'decoder/feature_projection0{end}',
      )
      size = [dimension(side, 1 / stride) for side in crop]
      net = tf.concat([enlarge(net, *size), enlarge(low, *size)], 3)
      for i in (0, 1):
        if options.decoder_use_separable_conv:
          net = self.separable(net, f'decoder/decoder_conv{i}{end}')
        else:
          outer = f'decoder_conv0{end}'
          net = self.convolve(net, f'decoder/{outer}/{outer}_{i + 1}')
    return net

  def model(self, images, case, crop, pooled_crop):
    """Returns the logits at their own resolution."""
    options = deeplab.Options(**case.options)
    net, fine = self.network(
      images, case.network, case.output_stride, case.multi_grid
    )
    net = self.aspp(
      net, crop, pooled_crop, case.output_stride, case.rates, options
    )
    if case.decoder == 'deeplabv3plus':
      net = self.decoder(net, fine, crop, options)
    net = tf.nn.conv2d(net, self.value('logits/semantic/weights'), 1, 'SAME')
    return net + self.value('logits/semantic/biases')

  def pyramid(self, images, case):
    """Returns the logits of each scale at one size, and the merged ones."""
    options = deeplab.Options(**case.options)
    pooled = options.image_pooling_crop_size
    scales, stride = options.image_pyramid, case.output_stride
    if case.decoder == 'deeplabv3plus':
      stride = min(options.decoder_output_stride or (4,))
    size = [dimension(s, max(1.0, *scales, 0) / stride) for s in case.size]
    found = []
    for scale in scales:
      crop = [dimension(side, scale) for side in case.size]
      found.append(
        self.model(
          enlarge(images, *crop) if scale != 1 else images,
          case,
          crop,
          [dimension(side, scale) for side in pooled] if pooled else crop,
        )
      )
    found = [enlarge(net, *size) for net in found]
    return found, tf.reduce_max(tf.stack(found), 0)


@dataclasses.dataclass(frozen=True)
class Case:
  network: str
  output_stride: int
  options: dict
  decoder: str = 'deeplabv3plus'
  size: tuple[int, int] = (65, 49)
  rates: tuple[int, ...] = (1, 2)
  multi_grid: tuple[int, ...] = (1, 2)


PLAIN, BETA = ROOTS
CASES = {
  'deeplabs': Case(BETA, 16, DEEPLAB, rates=(6, 12, 18)),
  'deeplabs at 8': Case(BETA, 8, DEEPLAB, rates=(12, 24, 36)),
  'not separable': Case(PLAIN, 16, {'decoder_low_level': 'residual'}),
  'ours at 8': Case(PLAIN, 8, {}),
  'aspp alone': Case(PLAIN, 16, {'aspp_with_separable_conv': True}, 'aspp'),
  'no image level': Case(BETA, 16, {'add_image_level_feature': False}, 'aspp'),
  'pooled over a crop': Case(
    PLAIN, 8, {**DEEPLAB, 'image_pooling_crop_size': (33, 25)}
  ),
  'two stages': Case(
    BETA, 16, {'decoder_output_stride': (4, 2), 'decoder_low_level': 'residual'}
  ),
  'two separable stages': Case(
    PLAIN, 16, {**DEEPLAB, 'decoder_output_stride': (4, 2)}
  ),
  'pyramid': Case(
    BETA,
    16,
    {
      **DEEPLAB,
      'image_pyramid': (0.5, 1.0, 1.25),
      'image_pooling_crop_size': (33, 33),
    },
  ),
  'pyramid of aspp': Case(PLAIN, 8, {'image_pyramid': (1.0, 1.5)}, 'aspp'),
}


def build(case, images, **options):
  return decoders.build(
    case.network,
    case.decoder,
    images,
    5,
    is_training=False,
    output_stride=case.output_stride,
    multi_grid=case.multi_grid,
    atrous_rates=case.rates,
    depth=8,
    depth_multiplier=0.06,
    decoder_options=case.options,
    **options,
  )


def shapes():
  return {v.op.name: v.shape.as_list() for v in tf.global_variables()}


FAST = 'deeplabs', 'pyramid of aspp'


@pytest.mark.parametrize(
  'name',
  [
    pytest.param(name, marks=[] if name in FAST else pytest.mark.slow)
    for name in CASES
  ],
)
def test_values_are_those_of_deeplabs_graph(run, name):
  """And the variables, none of which is left over, tell the options."""
  case = CASES[name]
  images = golden.images(0, 2, *case.size)
  logits, end_points = build(case, tf.constant(images))
  check_told(case, shapes())
  plain = Plain({name: golden.fill(name, s) for name, s in shapes().items()})
  by_scale, merged = plain.pyramid(tf.constant(images), case)
  assert plain.used == set(shapes())
  ours, theirs = [logits], [merged]
  if len(by_scale) > 1:
    ours += [
      end_points[image_pyramid.scale_name(scale)]
      for scale in case.options['image_pyramid']
    ]
    theirs += by_scale
  assert logits.shape.as_list() == merged.shape.as_list()
  for mine, other in zip(*run([ours, theirs]), strict=True):
    assert np.abs(other).max() > 0.1
    error = np.abs(mine - other).max() / np.abs(other).max()
    assert error < 1e-5


def check_told(case, made):
  options, has_decoder = deeplab.Options(**case.options), case.decoder != 'aspp'
  assert deeplab.told(made) == {
    'aspp_with_separable_conv': options.aspp_with_separable_conv,
    'decoder_use_separable_conv': options.decoder_use_separable_conv,
    'add_image_level_feature': options.add_image_level_feature,
  }
  stages = len(options.decoder_output_stride or (4,))
  assert deeplab.stages(made) == stages * has_decoder
  assert deeplab.rates(made, 'aspp{}') == len(case.rates)
  assert all(
    decoders.is_part(name) != name.startswith('resnet_v1_50/') for name in made
  )


@pytest.mark.slow
def test_sizes_that_are_not_known(run):
  case = Case(
    PLAIN,
    16,
    {'image_pyramid': (0.5, 1.0), 'image_pooling_crop_size': (33, 25)},
    'aspp',
    (48, 35),
  )
  images = golden.images(0, 1, *case.size)
  fed = tf.placeholder(tf.float32, [None, None, None, 3])
  unknown, _ = build(case, fed)
  known, _ = build(case, tf.constant(images), reuse=True)
  np.testing.assert_allclose(*run([unknown, known], {fed: images}), atol=1e-5)


@pytest.mark.slow
def test_end_points_of_a_pyramid(graph):
  case = CASES['pyramid of aspp']
  logits, end_points = build(case, tf.zeros([1, 33, 33, 3]))
  assert end_points['resnet_v1_50/block4'].shape[1:3] == [5, 5]  # of scale 1
  assert end_points['predictions'].shape == logits.shape == [1, 7, 7, 5]


@pytest.mark.parametrize('window', [(2, 3), (9, 2), (9, 9), (5, 4)])
def test_windows(run, window):
  """Those that are larger than the features are as large as they are."""
  features = np.random.RandomState(0).standard_normal([2, 5, 4, 3])
  fed = tf.placeholder(tf.float32, [None, None, None, 3])
  found = run(deeplab.pool(fed, window), {fed: features})
  height, width = min(window[0], 5), min(window[1], 4)
  expected = [
    [
      features[:, y : y + height, x : x + width].mean((1, 2))
      for x in range(4 - width + 1)
    ]
    for y in range(5 - height + 1)
  ]
  np.testing.assert_allclose(
    found, np.moveaxis(expected, 2, 0), rtol=1e-5, atol=1e-6
  )


def test_initial_values_and_weight_decay(graph):
  """The depthwise convolutions have none, as in DeepLab."""
  scope = nets_factory.get_arg_scope('resnet_v1_50', weight_decay=0.1)
  with slim.arg_scope(scope):
    deeplab.separable_conv2d(tf.zeros([1, 3, 3, 900]), 9, scope='a')
  decayed = [loss.op.name for loss in tf.losses.get_regularization_losses()]
  assert len(decayed) == 1 and decayed[0].startswith('a_pointwise/')
  with tf.Session() as session:
    session.run(tf.global_variables_initializer())
    values = session.run({v.op.name: v for v in tf.global_variables()})
  for name, deviation in (
    ('a_depthwise/depthwise_weights', 0.33),
    ('a_pointwise/weights', 0.06),
  ):
    # The spread of a normal distribution that ends at two deviations.
    assert values[name].std() == pytest.approx(deviation * 0.88, rel=0.03)
    assert np.abs(values[name]).max() <= 2 * deviation


@pytest.mark.slow
def test_gradients_of_every_variable(graph):
  """Each scale updates batch norm, as in DeepLab."""
  case = CASES['pyramid of aspp']
  images = tf.constant(golden.images(0, 2, 33, 33))
  logits, _ = decoders.build(
    case.network,
    case.decoder,
    images,
    5,
    is_training=True,
    depth=8,
    depth_multiplier=0.06,
    decoder_options={**case.options, 'aspp_with_separable_conv': True},
  )
  trained = tf.trainable_variables()
  gradients = tf.gradients(tf.reduce_mean(logits**2), trained)
  assert None not in gradients
  moving = len(tf.global_variables()) - len(trained)
  assert len(tf.get_collection(tf.GraphKeys.UPDATE_OPS)) == 2 * moving


@pytest.mark.parametrize(
  'decoder, options, message',
  [
    (
      'fcn',
      {'aspp_with_separable_conv': True},
      'aspp_with_separable_conv: the decoder fcn has no such option. Leave it '
      'out, or take aspp or deeplabv3plus.',
    ),
    (
      'aspp',
      {'decoder_output_stride': (4,)},
      'decoder_output_stride: the decoder aspp has no such option. Leave it '
      'out, or take deeplabv3plus.',
    ),
    (
      'deeplabv3plus',
      {'decoder_output_stride': (2, 4)},
      'decoder_output_stride=2,4: the strides must fall, as in 4,2, since each '
      'stage of the decoder is finer than the one before.',
    ),
    (
      'deeplabv3plus',
      {'decoder_output_stride': (8, 4)},
      'resnet_v1_50 has no low-level feature at stride 8, but at 4 and 2.',
    ),
    (
      'deeplabv3plus',
      {'decoder_low_level': 'conv3'},
      "decoder_low_level='conv3' is unknown. It can be unit or residual.",
    ),
    (
      'aspp',
      {'image_pooling_crop_size': (0, 3)},
      'image_pooling_crop_size=0,3: give a height and a width of 1 or more, '
      'or leave it out to pool over the whole image.',
    ),
    (
      'aspp',
      {'image_pooling_crop_size': (3, 3), 'add_image_level_feature': False},
      'image_pooling_crop_size: without add_image_level_feature there is no '
      'image pooling. Leave one of both out.',
    ),
    ('fcn', {'image_pyramid': (0.0, 1.0)}, 'image_pyramid=0,1: give scales a'),
    (
      'fcn',
      {'image_pyramid': (0.5, 0.75)},
      'image_pyramid=0.5,0.75: give different scales, one of them at least 1, '
      'such as 0.5,1: the logits have the size that the largest gives.',
    ),
    ('fcn', {'image_pyramid': (1.0, 1.0)}, 'image_pyramid=1,1: give different'),
  ],
)
def test_options_that_do_not_fit(decoder, options, message):
  with pytest.raises(ValueError) as error:
    decoders.check('resnet_v1_50', decoder, decoder_options=options)
  assert str(error.value).startswith(message)
