"""Decoders, by their values, names and errors."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from nets import decoders, nets_factory, resnet_generator, resnet_utils
from nets.heads import resizing, unet
from nets.slim_compat import slim
from tests import golden

CONVOLUTIONS = {
  'aspp': [
    'image_pooling',
    'aspp0',
    'aspp1',
    'aspp2',
    'aspp3',
    'concat_projection',
  ],
  'deeplabv3plus': [
    'image_pooling',
    'aspp0',
    'aspp1',
    'aspp2',
    'aspp3',
    'concat_projection',
    'decoder/feature_projection0',
    'decoder/decoder_conv0/decoder_conv0_1',
    'decoder/decoder_conv0/decoder_conv0_2',
  ],
}
# Rates to build each with.
RATES = {
  'fcn': None,
  'aspp': (1, 2, 3, 4),
  'deeplabv3plus': (1, 2),
  'unet': None,
}


@pytest.fixture(autouse=True)
def short(monkeypatch):
  """Makes all networks as short as can be with a low-level feature."""
  for depth in resnet_generator.UNITS:
    monkeypatch.setitem(resnet_generator.UNITS, depth, (2, 1, 1, 1))


def build(
  decoder,
  images,
  name='resnet_v1_50',
  num_classes=5,
  is_training=False,
  **options,
):
  """Builds a thin network with a thin decoder."""
  options = {'depth': 8, 'depth_multiplier': 0.01, **options}
  return decoders.build(
    name,
    decoder,
    tf.convert_to_tensor(images),
    num_classes,
    is_training,
    **options,
  )


def make_images(height, width, batch=1):
  return golden.images(0, batch, height, width)


def shapes():
  return {v.op.name: v.shape.as_list() for v in tf.global_variables()}


# The same computations in plain NumPy, with the golden weights.


def convolve(inputs, scope, depth, kernel=1, rate=1):
  """A SAME convolution, batch norm and relu."""
  batch, height, width, channels = inputs.shape
  weights = golden.fill(f'{scope}/weights', [kernel, kernel, channels, depth])
  reach = rate * (kernel // 2)
  padded = np.pad(inputs, [(0, 0), (reach, reach), (reach, reach), (0, 0)])
  net = np.zeros([batch, height, width, depth])
  for y in range(kernel):
    for x in range(kernel):
      net += (
        padded[:, y * rate : y * rate + height, x * rate : x * rate + width]
        @ weights[y, x]
      )
  gamma, beta, mean, variance = (
    golden.fill(f'{scope}/BatchNorm/{name}', [depth])
    for name in ('gamma', 'beta', 'moving_mean', 'moving_variance')
  )
  return np.maximum(gamma * (net - mean) / np.sqrt(variance + 1e-5) + beta, 0)


def enlarge(inputs, height, width):
  """Bilinear resizing that keeps corners on corners."""
  for axis, side in ((1, height), (2, width)):
    old = inputs.shape[axis]
    at = np.linspace(0, old - 1, side)
    low = np.clip(np.floor(at).astype(int), 0, max(old - 2, 0))
    high = np.minimum(low + 1, old - 1)
    share = (at - low).reshape([-1 if i == axis else 1 for i in range(4)])
    inputs = (
      inputs.take(low, axis) * (1 - share) + inputs.take(high, axis) * share
    )
  return inputs


def pyramid(inputs, depth, rates):
  mean = np.broadcast_to(inputs.mean((1, 2), keepdims=True), inputs.shape)
  branches = [
    convolve(mean, 'image_pooling', depth),
    convolve(inputs, 'aspp0', depth),
  ] + [
    convolve(inputs, f'aspp{i}', depth, 3, rate)
    for i, rate in enumerate(rates, 1)
  ]
  return convolve(np.concatenate(branches, 3), 'concat_projection', depth)


def refined(inputs, low_level, depth):
  scope = 'decoder/decoder_conv0/decoder_conv0'
  sharp = convolve(low_level, 'decoder/feature_projection0', 48)
  net = np.concatenate([enlarge(inputs, *low_level.shape[1:3]), sharp], 3)
  for i in (1, 2):
    net = convolve(net, f'{scope}_{i}', depth, 3)
  return net


def doubled(inputs, factor, height, width):
  """Bilinear enlarging: position i goes to position i * factor."""
  for axis, side in ((1, height), (2, width)):
    at = np.arange(side) / factor
    low = np.minimum(np.floor(at).astype(int), inputs.shape[axis] - 1)
    high = np.minimum(low + 1, inputs.shape[axis] - 1)
    share = (at - low).reshape([-1 if i == axis else 1 for i in range(4)])
    inputs = (
      inputs.take(low, axis) * (1 - share) + inputs.take(high, axis) * share
    )
  return inputs


def expanded(inputs, image, skips, output_stride, depth):
  """The expanding path: skips by their nominal strides."""
  net = convolve(inputs, 'unet/features_projection', depth)
  coarse = output_stride
  for i, stride in enumerate(sorted({1, *skips}, reverse=True)):
    scope, channels = f'unet/stride{stride}', max(depth >> i, 16)
    skip, kernel = (skips[stride], 1) if stride in skips else (image, 3)
    joined = convolve(skip, f'{scope}/skip_projection', channels, kernel)
    fine = min(stride, output_stride)
    net = doubled(net, coarse // fine, *joined.shape[1:3])
    net = np.concatenate([net, joined], 3)
    for number in (1, 2):
      net = convolve(net, f'{scope}/conv/conv_{number}', channels, 3)
    coarse = fine
  return net


def features(seed, *shape):
  return np.random.RandomState(seed).standard_normal(shape).astype(np.float32)


def under_scope(head, *arguments, **options):
  """Builds a head in evaluation as its network would."""
  with slim.arg_scope(nets_factory.get_arg_scope('resnet_v1_50')):
    with slim.arg_scope([slim.batch_norm], is_training=False):
      return head(*arguments, **options)


@pytest.mark.parametrize('rates', [(6, 12, 18), (1, 2), (3,)])
def test_aspp(run, rates):
  """Also at rates that reach beyond the features."""
  inputs = features(0, 2, 7, 5, 6)
  net = under_scope(decoders.aspp, tf.constant(inputs), 4, rates)
  np.testing.assert_allclose(run(net), pyramid(inputs, 4, rates), atol=1e-5)


@pytest.mark.parametrize('coarse', [(3, 4), (1, 1), (9, 14)])
def test_refine(run, coarse):
  inputs, low_level = features(0, 2, *coarse, 6), features(1, 2, 9, 14, 3)
  net = under_scope(
    decoders.refine, tf.constant(inputs), tf.constant(low_level), 5
  )
  assert net.shape == [2, 9, 14, 5]
  np.testing.assert_allclose(run(net), refined(inputs, low_level, 5), atol=1e-5)


@pytest.mark.parametrize('output_stride', [4, 2])
@pytest.mark.parametrize('height, width', [(9, 13), (8, 10), (7, 9)])
def test_unet(run, height, width, output_stride):
  """Of odd and even sides; a stride of 2 leaves both skips at one size."""

  def of(seed, stride, channels):
    return features(
      seed, 2, -(-height // stride), -(-width // stride), channels
    )

  inputs, image = of(0, output_stride, 6), of(1, 1, 3)
  skips = {2: of(2, 2, 4), 4: of(3, min(4, output_stride), 5)}
  net = under_scope(
    unet.unet,
    tf.constant(inputs),
    tf.constant(image),
    {stride: tf.constant(skip) for stride, skip in skips.items()},
    output_stride,
    32,
  )
  assert net.shape == [2, height, width, 16]
  np.testing.assert_allclose(
    run(net), expanded(inputs, image, skips, output_stride, 32), atol=1e-5
  )


@pytest.mark.parametrize(
  'name, root, output_stride, strides',
  [
    *(
      pytest.param(*case, [1, 2, 4, 8, 16], marks=pytest.mark.slow)
      for case in (
        ('resnet_v1_50', '7x7', 16),
        ('resnet_v1_50', 'beta', None),
        ('resnet_v2_50', '7x7', 8),
      )
    ),
    ('resnet_v1_18', '3x3', None, [1, 2, 4]),
  ],
)
def test_unet_takes_a_skip_of_every_resolution(
  run, name, root, output_stride, strides
):
  """Its values are NumPy's, of the network's own end points."""
  images, options = make_images(35, 50), {'root_block': root}
  logits, points = build(
    'unet', images, name, output_stride=output_stride, network_options=options
  )
  last, _ = nets_factory.get_network_fn(name, None)(
    tf.constant(images),
    global_pool=False,
    output_stride=output_stride,
    depth_multiplier=0.01,
    reuse=True,
    **options,
  )
  logits, points, last = run([logits, points, last])
  assert logits.shape == (1, 35, 50, 5)
  assert {n.split('/')[1] for n in shapes() if n.startswith('unet/stride')} == {
    f'stride{stride}' for stride in strides
  }
  *skips, coarsest = nets_factory.feature_descriptions(name, **options)
  net = expanded(
    last,
    images,
    {skip.stride: points[skip.end_point] for skip in skips},
    output_stride or coarsest.stride,
    8,
  )
  weights = golden.fill('logits/semantic/weights', [1, 1, 16, 5])[0, 0]
  expected = net @ weights + golden.fill('logits/semantic/biases', [5])
  np.testing.assert_allclose(logits, expected, atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize(
  'name', ['cifar_resnet_v2_29', 'cifar_highway_20', 'plain_18']
)
def test_unet_on_other_networks(graph, monkeypatch, name):
  monkeypatch.undo()
  logits, _ = build(
    'unet', make_images(17, 26), name, depth_multiplier=1, output_stride=None
  )
  assert logits.shape == [1, 17, 26, 5]


def test_resize(run):
  """Of sizes known or not, smaller or larger, and of any dtype."""
  inputs = features(0, 2, 3, 5, 2)
  fed = tf.placeholder(tf.float32, [None, None, None, 2])
  for height, width in ((9, 13), (2, 3), (3, 5)):
    like = tf.zeros([2, height, width, 1])
    known = resizing.resize(tf.constant(inputs), like)
    assert known.shape == [2, height, width, 2]
    unknown = resizing.resize(
      fed, tf.placeholder_with_default(like, [None, None, None, 1])
    )
    for found in run([known, unknown], {fed: inputs}):
      np.testing.assert_allclose(
        found, enlarge(inputs, height, width), atol=1e-6
      )
  half = resizing.resize(tf.constant(inputs, tf.float16), like)
  assert half.dtype == tf.float16


def test_logits(run):
  inputs = features(0, 2, 3, 4, 6)
  logits = under_scope(decoders.logits, tf.constant(inputs), 5)
  assert shapes() == {
    'logits/semantic/weights': [1, 1, 6, 5],
    'logits/semantic/biases': [5],
  }
  weights = golden.fill('logits/semantic/weights', [1, 1, 6, 5])[0, 0]
  biases = golden.fill('logits/semantic/biases', [5])
  np.testing.assert_allclose(run(logits), inputs @ weights + biases, atol=1e-5)


@pytest.mark.parametrize(
  'given, stddev', [({}, 0.01), ({'stddev': None}, 0.05)]
)
def test_initial_logits(graph, given, stddev):
  """Small as DeepLab's, or by the number of inputs: 400 ** -0.5."""
  under_scope(decoders.logits, tf.zeros([1, 1, 1, 400]), 50, **given)
  weights, biases = tf.global_variables()
  with tf.Session() as session:
    session.run(tf.global_variables_initializer())
    weights, biases = session.run([weights, biases])
  # The spread of a normal distribution that ends at two deviations.
  assert weights.std() == pytest.approx(stddev * 0.88, rel=0.03)
  assert np.abs(weights).max() <= 2 * stddev and not biases.any()


@pytest.mark.parametrize('decoder', CONVOLUTIONS)
def test_variables_are_deeplabs(graph, decoder):
  build(decoder, make_images(33, 33))
  expected = [
    f'{scope}/{name}'
    for scope in CONVOLUTIONS[decoder]
    for name in (
      'weights',
      'BatchNorm/gamma',
      'BatchNorm/beta',
      'BatchNorm/moving_mean',
      'BatchNorm/moving_variance',
    )
  ]
  expected += ['logits/semantic/weights', 'logits/semantic/biases']
  made = [name for name in shapes() if not name.startswith('resnet_v1_50/')]
  assert made == expected
  assert 'resnet_v1_50/logits/weights' not in shapes()
  assert shapes()['aspp1/weights'] == [3, 3, 32, 8]
  assert shapes()['concat_projection/weights'] == [1, 1, 5 * 8, 8]
  assert {v.op.name for v in slim.get_model_variables()} == set(shapes())


def test_variables_of_fcn(graph):
  build('fcn', make_images(33, 33))
  assert {name.split('/')[0] for name in shapes()} == {'resnet_v1_50'}
  assert shapes()['resnet_v1_50/logits/weights'] == [1, 1, 32, 5]


@pytest.mark.parametrize('decoder', CONVOLUTIONS)
def test_build_puts_the_parts_together(run, decoder):
  """From the network's features on, it is all NumPy's."""
  logits, points = run(
    build(decoder, make_images(33, 49), output_stride=8, atrous_rates=(2, 3, 5))
  )
  net = pyramid(points['resnet_v1_50/block4'], 8, (2, 3, 5))
  assert net.shape == (1, 5, 7, 8)
  if decoder == 'deeplabv3plus':
    net = refined(net, points['resnet_v1_50/block1/unit_1/bottleneck_v1'], 8)
    assert net.shape == (1, 9, 13, 8)
  np.testing.assert_allclose(points[CONVOLUTIONS[decoder][-1]], net, atol=1e-4)
  expected = net @ golden.fill('logits/semantic/weights', [1, 1, 8, 5])[
    0, 0
  ] + golden.fill('logits/semantic/biases', [5])
  np.testing.assert_allclose(logits, expected, atol=1e-4)
  np.testing.assert_array_equal(points['logits/semantic'], logits)
  odds = np.exp(logits)
  np.testing.assert_allclose(
    points['predictions'], odds / odds.sum(-1, keepdims=True), rtol=1e-4
  )


@pytest.mark.slow
def test_fcn_at_finer_strides(run):
  """Where their positions coincide, logits are the same at any stride."""
  fed = tf.placeholder(tf.float32, [None, None, None, 3])
  strided = [
    build('fcn', fed, output_stride=stride, reuse=stride < 32)[0]
    for stride in (32, 16, 8, 4)
  ]
  for height, width in (65, 97), (33, 129):
    by_stride = run(strided, {fed: make_images(height, width)})
    for fine, coarse in zip(by_stride[1:], by_stride, strict=False):
      np.testing.assert_allclose(fine[:, ::2, ::2], coarse, atol=1e-5)
    assert by_stride[-1].shape == (1, height // 4 + 1, width // 4 + 1, 5)


@pytest.mark.parametrize(
  'decoder, output_stride, stride',
  [
    ('fcn', None, 32),
    pytest.param('fcn', 16, 16, marks=pytest.mark.slow),
    pytest.param('aspp', 8, 8, marks=pytest.mark.slow),
    ('deeplabv3plus', 16, 4),
    ('unet', 8, 1),
  ],
)
def test_unknown_sizes_and_reuse(run, decoder, output_stride, stride):
  """With the same variables, the values are those of known sizes."""
  fed = tf.placeholder(tf.float32, [None, None, None, 3])
  images = make_images(48, 33, 2)
  unknown, points = build(decoder, fed, output_stride=output_stride)
  before = shapes()
  known, again = build(decoder, images, output_stride=output_stride, reuse=True)
  assert shapes() == before and list(points) == list(again)
  assert known.shape == [2, -(-48 // stride), -(-33 // stride), 5]
  np.testing.assert_allclose(*run([unknown, known], {fed: images}), atol=1e-5)
  with pytest.raises(ValueError, match='already exists'):
    build(decoder, images)


def test_inside_other_scopes(graph):
  with tf.variable_scope('outer'), tf.name_scope('tower'):
    logits, points = build('deeplabv3plus', make_images(33, 33), 'resnet_v2_50')
  assert logits.shape == [1, 9, 9, 5]
  assert all(name.startswith('outer/') for name in shapes())
  assert {'outer/resnet_v2_50/block4', 'outer/logits/semantic'} <= set(points)


@pytest.mark.parametrize('decoder', ['fcn', 'deeplabv3plus'])
def test_training(graph, decoder):
  """Finite gradients for every variable, updates for every batch norm."""
  logits, _ = build(
    decoder,
    make_images(33, 33, 2),
    is_training=True,
    weight_decay=0.5,
    batch_norm_decay=0.75,
  )
  trained = tf.trainable_variables()
  gradients = tf.gradients(tf.reduce_mean(logits**2), trained)
  updates = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
  moving = [v for v in tf.global_variables() if v not in trained]
  kernels = [v for v in trained if v.op.name.endswith('/weights')]
  assert None not in gradients and len(moving) == len(updates) > 0
  assert len(tf.losses.get_regularization_losses()) == len(kernels)
  with tf.Session() as session:
    session.run(tf.global_variables_initializer())
    values = session.run(gradients)
    begin = session.run(moving)
    session.run(updates)
    changed = [
      not np.array_equal(*pair)
      for pair in zip(begin, session.run(moving), strict=True)
    ]
    decay = session.run(tf.losses.get_regularization_loss())
    expected = 0.25 * sum(
      np.square(value).sum() for value in session.run(kernels)
    )
  assert all(np.isfinite(value).all() for value in values)
  assert all(changed)
  assert decay == pytest.approx(expected, rel=1e-4)


def test_options_of_the_arg_scope_reach_the_head(graph):
  build('aspp', make_images(33, 33), batch_norm_scale=False)
  assert not any(name.endswith('gamma') for name in shapes())


@pytest.mark.parametrize('name', decoders.DECODERS)
def test_an_entry_tells_the_variables(graph, name):
  """The scopes, the marker, and the logits, which are the last."""
  build(name, make_images(33, 33), num_classes=7, atrous_rates=RATES[name])
  entry, built = decoders.get_decoder(name), shapes()
  scopes = [
    *entry.scopes,
    *(entry.rate_scope.format(i + 1) for i in range(len(RATES[name] or ()))),
    *filter(None, [entry.logits]),
  ]
  own = [n for n in built if not n.startswith('resnet_v1_50/')]
  for scope in scopes:
    assert any(n.startswith(f'{scope}/') for n in own), scope
  assert [n for n in own if not n.startswith(tuple(scopes))] == []
  if entry.function:
    assert entry.marker in built
    assert built[entry.depth or entry.marker][-1] == 8
    assert built[f'{entry.logits}/weights'][-1] == 7
    # Made in this order.
    assert own[-2:] == [f'{entry.logits}/{n}' for n in ('weights', 'biases')]
  else:
    assert (entry.marker, entry.logits, own) == ('', '', [])


@pytest.mark.slow
def test_zero_init_last_gamma(graph):
  build('aspp', make_images(33, 33), zero_init_last_gamma=True)
  with tf.Session() as session:
    session.run(tf.global_variables_initializer())
    gammas = session.run(
      {
        v.op.name: v
        for v in tf.global_variables()
        if v.op.name.endswith('gamma')
      }
    )
  zero = [name for name, value in gammas.items() if not value.any()]
  assert len(zero) == 5 and all('conv3/BatchNorm' in name for name in zero)
  with pytest.raises(ValueError, match='zero_init_last_gamma: the units of '):
    build(
      'aspp', make_images(33, 33), 'resnet_v2_50', zero_init_last_gamma=True
    )


@pytest.mark.slow
def test_no_multiple_of_the_depth_leaves_the_least_one(graph):
  build(
    'deeplabv3plus',
    tf.zeros([1, 33, 33, 3]),
    depth_multiplier=0,
    network_options={'min_base_depth': 3},
  )
  made = shapes()
  unit = 'resnet_v1_50/block4/unit_1/bottleneck_v1'
  assert made[f'{unit}/conv1/weights'] == [1, 1, 12, 3]
  assert made['decoder/feature_projection0/weights'] == [1, 1, 12, 48]


@pytest.mark.slow
def test_multi_grid(graph, monkeypatch):
  monkeypatch.setitem(resnet_generator.UNITS, 50, (1, 1, 1, 3))
  build('aspp', make_images(65, 65), output_stride=8, multi_grid=(1, 2, 4))
  dilations = {
    operation.name.split('/Conv2D')[0]: operation.get_attr('dilations')[1]
    for operation in graph.get_operations()
    if operation.type == 'Conv2D'
  }
  unit = 'resnet_v1_50/block4/unit_{}/bottleneck_v1/conv2'
  assert [dilations[unit.format(i)] for i in (1, 2, 3)] == [4, 8, 16]
  assert [dilations[f'aspp{i}'] for i in range(4)] == [1, 12, 24, 36]


@pytest.mark.parametrize(
  'output_stride, rates',
  [
    (4, (24, 48, 72)),
    (8, (12, 24, 36)),
    (16, (6, 12, 18)),
    (32, (3, 6, 9)),
    (None, (3, 6, 9)),
  ],
)
def test_default_rates(output_stride, rates):
  assert decoders.default_rates(output_stride) == rates


@pytest.mark.parametrize(
  'name, decoder, options, message',
  [
    (
      'resnet_v1_50',
      'deeplabv3',
      {},
      "There is no decoder named 'deeplabv3'. "
      'Did you mean deeplabv3plus? The decoders are: fcn, aspp, '
      'deeplabv3plus, unet.',
    ),
    ('resnet_v1_5', 'fcn', {}, "There is no network named 'resnet_v1_5'."),
    (
      'resnet_v1_50',
      'fcn',
      {'output_stride': 12},
      'The target output_stride=12 cannot be reached: pass one of 4, 8, 16, '
      '32, or None for the nominal 32.',
    ),
    (
      'resnet_v1_50',
      'aspp',
      {'multi_grid': (1, 2)},
      'multi_grid=[1, 2]: give one dilation factor of 1 or more for each of '
      'the 3 units of block4, such as [1, 2, 4], or leave it out.',
    ),
    (
      'resnet_v2_50',
      'fcn',
      {'multi_grid': [0, 1, 1]},
      'multi_grid=[0, 1, 1]: give one dilation factor of 1 or more',
    ),
    (
      'resnet_v1_50',
      'fcn',
      {'atrous_rates': (1, 2)},
      'atrous_rates=[1, 2]: the decoder fcn has no atrous rates. Leave them '
      'out, or take aspp or deeplabv3plus.',
    ),
    (
      'resnet_v1_50',
      'aspp',
      {'atrous_rates': [0, 2], 'output_stride': 8},
      'atrous_rates=[0, 2]: give rates of 1 or more, such as [12, 24, 36] for '
      'output_stride=8, or leave them out for these.',
    ),
    (
      'resnet_v1_50',
      'aspp',
      {'atrous_rates': ()},
      'atrous_rates=[]: give rates',
    ),
  ],
)
def test_errors(graph, monkeypatch, name, decoder, options, message):
  """The same from `build` and from `check`, before anything is built."""
  monkeypatch.undo()
  for call in (
    lambda: decoders.check(name, decoder, **options),
    lambda: build(decoder, make_images(33, 33), name, **options),
  ):
    with pytest.raises(ValueError) as error:
      call()
    assert str(error.value).startswith(message)
  assert shapes() == {}


def test_networks_without_a_low_level_feature(graph, monkeypatch):
  monkeypatch.setitem(resnet_generator.UNITS, 50, (1, 1, 1, 3))
  with pytest.raises(
    ValueError,
    match=(
      'resnet_v1_50 has no low-level feature: the first unit of its block1 has '
      'a stride. Take a decoder that needs none, or another network.'
    ),
  ):
    decoders.check('resnet_v1_50', 'deeplabv3plus')
  decoders.check('resnet_v1_50', 'aspp')


@pytest.mark.parametrize(
  'decoder, places',
  [
    ('fcn', {'resnet_v1_50/logits'}),
    ('aspp', {'logits/semantic'}),
    ('deeplabv3plus', {'pyramid', 'logits/semantic'}),
  ],
)
def test_dropout(graph, monkeypatch, decoder, places):
  """Before the logits and behind the pyramid, in a training alone."""
  found = []

  @slim.add_arg_scope
  def watched(inputs, place, draws=None):
    scope = tf.get_variable_scope().name
    found.append((f'{scope}/{place}'.lstrip('/'), draws))
    return inputs

  monkeypatch.setattr(resnet_utils, 'dropout', watched)
  build(decoder, make_images(33, 33), draws='these')
  assert {place for place, _ in found} == places
  assert {draws for _, draws in found} == {'these'}


@pytest.mark.slow
@pytest.mark.parametrize('decoder', decoders.DECODERS)
def test_without_draws_there_is_no_dropout(graph, decoder):
  build(decoder, make_images(33, 33), is_training=True)
  assert not any('dropout' in each.name for each in graph.get_operations())
