"""The building blocks: subsampling, padding, atrous stacks, the arg scope."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from nets import resnet_utils, resnet_v1, resnet_v2
from nets.slim_compat import slim
from tests import golden

BLOCK_FNS = [resnet_v1.resnet_v1_block, resnet_v2.resnet_v2_block]


def ramp(size):
  """Returns [1, size, size, 1] with row + column at every position."""
  return np.add.outer(range(size), range(size)).astype(np.float32)[
    None, :, :, None
  ]


def convolve(image, kernel, stride):
  """A convolution by loops; [height, width] on [height, width]."""
  k = len(kernel)
  before = (k - 1) // 2
  padded = np.pad(image, (before, k - 1 - before))
  return np.array(
    [
      [
        (padded[i : i + k, j : j + k] * kernel).sum()
        for j in range(0, image.shape[1], stride)
      ]
      for i in range(0, image.shape[0], stride)
    ]
  )


def stack(block_fn, net, output_stride=None, **options):
  """Returns the features of four thin blocks of nominal stride 8."""
  blocks = [
    block_fn(
      f'block{i + 1}',
      base_depth=1 << i,
      num_units=1 + i % 2,
      stride=1 if i == 3 else 2,
    )
    for i in range(4)
  ]
  with slim.arg_scope(resnet_utils.resnet_arg_scope()):
    with slim.arg_scope([slim.batch_norm], is_training=False):
      with tf.variable_scope('tiny', reuse=tf.AUTO_REUSE):
        return resnet_utils.stack_blocks_dense(
          net, blocks, output_stride, **options
        )


def test_block_is_a_named_tuple_of_dicts():
  block = resnet_v1.resnet_v1_block('block1', 2, 3, 2)
  assert isinstance(block, tuple)
  assert block._fields == ('scope', 'unit_fn', 'args')
  assert block == (
    'block1',
    resnet_v1.bottleneck,
    [
      {'depth': 8, 'depth_bottleneck': 2, 'stride': 1},
      {'depth': 8, 'depth_bottleneck': 2, 'stride': 1},
      {'depth': 8, 'depth_bottleneck': 2, 'stride': 2},
    ],
  )


@pytest.mark.parametrize(
  'size, kept', [(3, [[0, 2], [6, 8]]), (4, [[0, 2], [8, 10]])]
)
def test_subsample(run, size, kept):
  image = tf.reshape(tf.range(float(size * size)), [1, size, size, 1])
  np.testing.assert_array_equal(
    run(resnet_utils.subsample(image, 2))[0, :, :, 0], kept
  )


def test_subsample_by_one_is_nothing(graph):
  image = tf.zeros([1, 3, 3, 1])
  assert resnet_utils.subsample(image, 1) is image


def ramp_convolutions(size):
  """Returns conv2d_same, stride 1 + subsample and TF's own, at stride 2."""
  with slim.arg_scope(
    [slim.conv2d],
    activation_fn=None,
    normalizer_fn=None,
    biases_initializer=None,
  ):
    with tf.variable_scope('', reuse=tf.AUTO_REUSE):
      image = tf.constant(ramp(size))
      return (
        resnet_utils.conv2d_same(image, 1, 3, stride=2, scope='Conv'),
        resnet_utils.subsample(slim.conv2d(image, 1, [3, 3], scope='Conv'), 2),
        slim.conv2d(image, 1, [3, 3], stride=2, scope='Conv'),
      )


@pytest.mark.parametrize(
  'size, expected, strided',
  [
    (4, [[14, 43], [43, 84]], [[48, 37], [37, 22]]),
    (
      5,
      [[14, 43, 34], [43, 84, 55], [34, 55, 30]],
      [[14, 43, 34], [43, 84, 55], [34, 55, 30]],
    ),
  ],
)
def test_conv2d_same_pads_alike_on_even_and_odd_sizes(
  run, size, expected, strided
):
  same, dense, of_tf = run(
    ramp_convolutions(size), fill=lambda *_: ramp(3).reshape(3, 3, 1, 1)
  )
  np.testing.assert_array_equal(same[0, :, :, 0], expected)
  np.testing.assert_array_equal(dense[0, :, :, 0], expected)
  np.testing.assert_array_equal(of_tf[0, :, :, 0], strided)


@pytest.mark.parametrize('size', [7, 8])
@pytest.mark.parametrize(
  'kernel_size, stride', [(3, 1), (3, 2), (3, 3), (4, 2), (7, 2)]
)
def test_conv2d_same_is_a_convolution(run, size, kernel_size, stride):
  image = golden.images(0, 1, size, size)[..., :1]
  with slim.arg_scope([slim.conv2d], activation_fn=None):
    output = resnet_utils.conv2d_same(
      tf.constant(image), 1, kernel_size, stride
    )
  kernel = golden.fill('Conv/weights', [kernel_size, kernel_size, 1, 1])
  expected = convolve(
    image[0, :, :, 0], kernel[:, :, 0, 0], stride
  ) + golden.fill('Conv/biases', [1])
  np.testing.assert_allclose(run(output)[0, :, :, 0], expected, atol=1e-5)


def test_conv2d_same_refuses_stride_and_rate_at_once(graph):
  with pytest.raises(
    ValueError,
    match='stride 2 and rate 4 at once: set the stride of the unit to 1',
  ):
    resnet_utils.conv2d_same(tf.zeros([1, 8, 8, 1]), 1, 3, stride=2, rate=4)


@pytest.mark.parametrize('block_fn', BLOCK_FNS)
def test_atrous_features_hold_the_nominal_ones(run, block_fn):
  image = tf.constant(golden.images(0, 2, 30, 33))  # even and odd sides
  strides = [1, 2, 4, 8]
  nominal, *dense = run(
    [stack(block_fn, image, stride) for stride in [None] + strides]
  )
  assert nominal.shape == (2, 4, 5, 32)
  assert nominal.std() > 0.1
  for stride, features in zip(strides, dense, strict=True):
    assert features.shape[1:3] == (-(-30 // stride), -(-33 // stride))
    kept = features[:, :: 8 // stride, :: 8 // stride]
    np.testing.assert_allclose(kept, nominal, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize('block_fn', BLOCK_FNS)
def test_store_non_strided_activations(run, block_fn):
  image = tf.constant(golden.images(0, 2, 30, 33))
  built = []
  for stride in (4, None):
    for store in (False, True):
      name = f'stride_{stride}_{store}'
      net = stack(
        block_fn,
        image,
        stride,
        store_non_strided_activations=store,
        outputs_collections=name,
      )
      built.append((net, slim.utils.convert_collection_to_dict(name)))
  values = run(built)
  heights = [
    [
      list(point.shape[1] for point in points.values())
      for _, points in values[i::2]
    ]
    for i in (0, 1)
  ]
  assert heights == [
    [[15, 8, 8, 8], [15, 8, 4, 4]],  # of the strided blocks
    [[30, 15, 8, 8], [30, 15, 8, 4]],
  ]  # of the stored ones
  for (net, strided), (same, full) in zip(
    values[::2], values[1::2], strict=True
  ):
    np.testing.assert_allclose(same, net, atol=1e-5)
    for name, point in strided.items():
      step = -(-full[name].shape[1] // point.shape[1])
      np.testing.assert_allclose(
        full[name][:, ::step, ::step], point, atol=1e-5
      )


@pytest.mark.parametrize('output_stride', [0, 3, 12, 64])
def test_unreachable_output_strides(graph, output_stride):
  with pytest.raises(
    ValueError,
    match=(
      f'output_stride={output_stride} cannot be reached: pass one of '
      '1, 2, 4, 8, or None for the nominal 8'
    ),
  ):
    stack(resnet_v1.resnet_v1_block, tf.zeros([1, 9, 9, 3]), output_stride)


def test_reachable_strides():
  block = resnet_utils.Block('odd', None, [{'stride': 3}, {}, {'stride': 2}])
  assert resnet_utils.reachable_strides([block, block]) == [1, 3, 6, 18, 36]
  assert resnet_utils.reachable_strides([block], root=4) == [4, 12, 24]


def scoped_conv2d(filters=2, is_training=False, **options):
  """A 1x1 convolution of a fixed image, under the arg scope with `options`."""
  image = tf.constant(golden.images(0, 2, 4, 4))
  with slim.arg_scope(resnet_utils.resnet_arg_scope(**options)):
    with slim.arg_scope([slim.batch_norm], is_training=is_training):
      return slim.conv2d(image, filters, [1, 1], scope='conv')


def names():
  return [v.op.name for v in tf.global_variables()]


def test_weight_decay(run):
  scoped_conv2d(weight_decay=0.5)
  weights = golden.fill('conv/weights', [1, 1, 3, 2])
  loss = run(tf.losses.get_regularization_loss())
  np.testing.assert_allclose(loss, 0.25 * np.square(weights).sum(), rtol=1e-5)


def test_no_weight_decay(graph):
  scoped_conv2d(weight_decay=0.0)
  assert tf.losses.get_regularization_losses() == []


@pytest.mark.parametrize(
  'options, decay', [({}, 0.997), ({'batch_norm_decay': 0.75}, 0.75)]
)
def test_batch_norm_decay(graph, options, decay):
  scoped_conv2d(is_training=True, **options)
  pixels = golden.images(0, 2, 4, 4).reshape(-1, 3)
  updates = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
  with tf.Session() as session:
    session.run(tf.global_variables_initializer())
    session.run(updates)
    moved = {v.op.name: session.run(v) for v in tf.global_variables()}
  outputs = pixels @ moved['conv/weights'][0, 0]
  np.testing.assert_allclose(
    moved['conv/BatchNorm/moving_mean'],
    (1 - decay) * outputs.mean(0),
    rtol=1e-3,
  )
  np.testing.assert_allclose(
    moved['conv/BatchNorm/moving_variance'],
    decay + (1 - decay) * outputs.var(0, ddof=1),
    rtol=1e-5,
  )


@pytest.mark.parametrize(
  'options, epsilon', [({}, 1e-5), ({'batch_norm_epsilon': 3.0}, 3.0)]
)
def test_batch_norm_epsilon(run, options, epsilon):
  output = scoped_conv2d(activation_fn=None, batch_norm_scale=False, **options)
  weights, mean, variance, beta = (
    golden.fill(f'conv/{name}', shape)
    for name, shape in [
      ('weights', [3, 2]),
      ('BatchNorm/moving_mean', [2]),
      ('BatchNorm/moving_variance', [2]),
      ('BatchNorm/beta', [2]),
    ]
  )
  expected = (golden.images(0, 2, 4, 4) @ weights - mean) / np.sqrt(
    variance + epsilon
  ) + beta
  np.testing.assert_allclose(run(output), expected, atol=1e-5)


def test_batch_norm_scale(graph):
  scoped_conv2d()
  assert 'conv/BatchNorm/gamma' in names()


def test_batch_norm_scale_off(graph):
  scoped_conv2d(batch_norm_scale=False)
  assert names() == [
    'conv/weights',
    'conv/BatchNorm/beta',
    'conv/BatchNorm/moving_mean',
    'conv/BatchNorm/moving_variance',
  ]


def test_use_batch_norm_off_gives_biases(graph):
  scoped_conv2d(use_batch_norm=False)
  assert names() == ['conv/weights', 'conv/biases']


@pytest.mark.parametrize('collection', [None, 'mine'])
def test_batch_norm_updates_collections(graph, collection):
  output = scoped_conv2d(
    is_training=True, batch_norm_updates_collections=collection
  )
  assert tf.get_collection(tf.GraphKeys.UPDATE_OPS) == []
  assert len(tf.get_collection('mine')) == (2 if collection else 0)
  mean = slim.get_variables_by_name('moving_mean')[0]
  with tf.Session() as session:
    session.run(tf.global_variables_initializer())
    session.run(output)
    assert session.run(mean).any() == (collection is None)


def test_activation_fn(run):
  linear = scoped_conv2d(activation_fn=None)
  with tf.variable_scope('', reuse=True):
    rectified = scoped_conv2d()
    smooth = scoped_conv2d(activation_fn=tf.nn.softplus)
  linear, rectified, smooth = run([linear, rectified, smooth])
  assert linear.min() < 0
  np.testing.assert_allclose(rectified, np.maximum(linear, 0), atol=1e-6)
  np.testing.assert_allclose(smooth, np.log1p(np.exp(linear)), atol=1e-6)


def test_pooling_is_padded(graph):
  with slim.arg_scope(resnet_utils.resnet_arg_scope()):
    pooled = slim.max_pool2d(tf.zeros([1, 4, 4, 1]), [3, 3], stride=2)
  assert pooled.shape == [1, 2, 2, 1]


def drawn(places, rate=0.25, seed=0, number=None, shape=(4, 9, 9, 8)):
  """Ones after dropout at some places, by the number of the batch."""
  number = tf.placeholder(tf.int64, []) if number is None else number
  inputs = tf.ones(shape)
  found = [
    resnet_utils.dropout(inputs, place, resnet_utils.Draws(rate, seed, number))
    for place in places
  ]
  return number, found


def test_dropout(graph):
  """A share of 0, the mean of 1, in every example by itself."""
  number, (net,) = drawn(['a'])
  with tf.Session() as session:
    values = session.run(net, {number: 5})
  assert set(np.unique(values)) == {0, np.float32(1 / 0.75)}
  assert (values == 0).mean() == pytest.approx(0.25, abs=0.03)
  for one in range(4):
    for other in range(one):
      same = (values[one] == values[other]).mean()
      assert same == pytest.approx(0.75**2 + 0.25**2, abs=0.1)


def test_dropout_follows_from_seed_number_and_place(graph):
  """Whatever was run before, and whatever else is in the graph."""
  number, nets = drawn(['a', 'b', 'a'])
  _, (other_seed,) = drawn(['a'], seed=1, number=number)
  numbers = [0, 1, 2**40, 1]
  with tf.Session() as session:
    found = [
      session.run([*nets, other_seed], {number: each}) for each in numbers
    ]
  for one, again in zip(found[1], found[3], strict=True):
    np.testing.assert_array_equal(one, again)
  flat = [each for values in found[:3] for each in values]
  for i, one in enumerate(flat):
    for other in flat[:i]:
      same = (one == other).mean()
      assert same == pytest.approx(0.75**2 + 0.25**2, abs=0.06)
  with tf.Graph().as_default(), tf.Session() as session:
    tf.set_random_seed(7)
    with tf.name_scope('tower'):  # other names of operations
      number, nets = drawn(['b', 'a'])
    again = session.run(nets, {number: 1})
  np.testing.assert_array_equal(again[0], found[1][1])
  np.testing.assert_array_equal(again[1], found[1][0])


def test_dropout_at_a_rate_of_nothing(graph):
  rate = tf.placeholder_with_default(0.5, [])
  inputs = tf.random.stateless_normal([2, 3, 3, 4], [0, 0])
  draws = resnet_utils.Draws(rate, 0, tf.constant(3, tf.int64))
  net = resnet_utils.dropout(inputs, 'a', draws)
  assert net.shape == inputs.shape
  with tf.Session() as session:
    same = session.run([net, inputs], {rate: 0.0})
    assert not np.array_equal(*session.run([net, inputs]))
  np.testing.assert_array_equal(*same)


def test_dropout_hides_no_nan(graph):
  draws = resnet_utils.Draws(0.9, 0, tf.constant(3, tf.int64))
  net = resnet_utils.dropout(tf.fill([2, 3, 3, 4], np.nan), 'a', draws)
  with tf.Session() as session:
    assert np.isnan(session.run(net)).all()


def test_no_dropout_is_no_operation(graph):
  inputs = tf.zeros([1, 2])
  assert resnet_utils.dropout(inputs, 'a') is inputs
