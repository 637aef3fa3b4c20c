"""Networks as layers of Keras 3: values, training, saving, restoring."""

import keras
import numpy as np
import pytest
import tensorflow as tf2
import tensorflow.compat.v1 as tf

from nets import nets_factory, resnet_generator
from nets.keras_layer import NetworkLayer
from nets.layers import grouped
from nets.slim_compat import slim
from tests import golden

NAME = 'cifar_resnet_v2_20'
OPTIONS = {'depth_multiplier': 0, 'min_base_depth': 2}
DECAY = 0.01
IMAGES = golden.images(0, 4, 16, 16)


def shorten(monkeypatch, *units):
  for depth in resnet_generator.UNITS:
    monkeypatch.setitem(resnet_generator.UNITS, depth, units)


@pytest.fixture(autouse=True)
def short(monkeypatch):
  """As short as a network can be; seeded."""
  shorten(monkeypatch, 1)
  keras.utils.set_random_seed(1)


def layer(network_name='resnet_v1_18', **options):
  options = {'num_classes': 3, 'weight_decay': DECAY, **OPTIONS, **options}
  return NetworkLayer(network_name, **options)


def filled(made, shape=(None, 16, 16, 3)):
  """Builds a layer, with the golden weights."""
  made.build(shape)
  for name, variable in made.by_name.items():
    variable.assign(golden.fill(name, variable.shape))
  return made


def statistics(made):
  return [v.numpy() for name, v in made.by_name.items() if 'moving_' in name]


def in_a_graph(name, is_training, checkpoint=None, **options):
  """The graph network's names, outputs, losses and new statistics."""
  with tf.Graph().as_default(), tf.Session() as session:
    net, end_points = nets_factory.get_network_fn(
      name, 3, DECAY, is_training, batch_norm_decay=0.9
    )(tf.constant(IMAGES), **OPTIONS, **options)
    variables = tf.global_variables()
    for variable in variables:
      name = variable.op.name
      variable.load(golden.fill(name, variable.shape.as_list()), session)
    if checkpoint:
      tf.train.Saver(slim.get_model_variables()).save(
        session, checkpoint, write_meta_graph=False
      )
    loss = tf.losses.get_regularization_loss()
    updates = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
    net, block, loss, _ = session.run(
      [
        net,
        end_points[f'{options.get("scope", name.split("/")[0])}/block1'],
        loss,
        updates,
      ]
    )
    return {
      'net': net,
      'block1': block,
      'loss': loss,
      'variables': {v.op.name: session.run(v) for v in variables},
    }


@pytest.mark.parametrize('is_training', [False, True])
@pytest.mark.parametrize(
  'name, options',
  [
    ('resnet_v1_18', {}),
    pytest.param(
      'resnet_v2_50',
      {
        'root_block': '3x3',
        'global_pool': False,
        'spatial_squeeze': False,
        'output_stride': 2,
      },
      marks=pytest.mark.slow,
    ),
  ],
)
def test_values_are_the_graph_networks(monkeypatch, name, options, is_training):
  shorten(monkeypatch, 1, 1)
  theirs = in_a_graph(name, is_training, **options)
  made = filled(
    layer(
      name,
      end_points=[f'{name}/block1'],
      arg_scope_options={'batch_norm_decay': 0.9},
      **options,
    )
  )
  net, end_points = made(IMAGES, training=is_training)
  np.testing.assert_allclose(net, theirs['net'], atol=1e-5, rtol=1e-5)
  np.testing.assert_allclose(
    end_points[f'{name}/block1'], theirs['block1'], atol=1e-5, rtol=1e-5
  )
  np.testing.assert_allclose(sum(made.losses), theirs['loss'], rtol=1e-5)
  assert [*made.by_name] == [*theirs['variables']]
  for key, variable in made.by_name.items():
    np.testing.assert_allclose(
      variable.numpy(), theirs['variables'][key], atol=1e-5, err_msg=key
    )
    assert variable.path == f'{made.name}/{key}'
    assert variable.trainable == ('moving_' not in key)


def test_training_updates_the_statistics_and_inference_does_not():
  made = filled(layer())
  before = statistics(made)
  made(IMAGES)
  np.testing.assert_equal(statistics(made), before)
  made.trainable = False  # as for Keras's own batch norm
  frozen = made(IMAGES, training=True)
  np.testing.assert_equal(statistics(made), before)
  np.testing.assert_array_equal(frozen, made(IMAGES, training=False))
  made.trainable = True
  made(IMAGES, training=True)
  after = statistics(made)
  assert all(np.any(a != b) for a, b in zip(after, before, strict=True))


def test_gradients_reach_all_weights():
  made = filled(layer())
  with tf2.GradientTape() as tape:
    loss = tf.reduce_sum(made(IMAGES, training=True) ** 2) + sum(made.losses)
  gradients = tape.gradient(loss, made.trainable_weights)
  assert len(gradients) == len(made.by_name) - len(statistics(made))
  assert all(np.any(gradient) for gradient in gradients)


def test_no_weight_decay_is_no_loss():
  made = layer(weight_decay=0.0)
  made.build((None, 16, 16, 3))
  assert made.losses == []


def model():
  return keras.Sequential([keras.Input((16, 16, 3)), layer()])


@pytest.mark.slow
def test_fit_and_save(tmp_path):
  """One model, since the training is what takes the time."""
  trained = model()
  trained.compile(
    keras.optimizers.Adam(0.01),
    keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    jit_compile=False,
  )
  labels = np.arange(4) % 3
  losses = trained.fit(
    IMAGES, labels, batch_size=4, epochs=8, verbose=0, shuffle=False
  ).history['loss']
  assert losses[-1] < 0.8 * losses[0]
  wanted = trained(IMAGES)

  trained.save(tmp_path / 'model.keras')
  loaded = keras.saving.load_model(tmp_path / 'model.keras')
  np.testing.assert_array_equal(loaded(IMAGES), wanted)
  (original,), (copy,) = trained.layers, loaded.layers
  assert copy.get_config() == original.get_config()
  assert [*copy.by_name] == [*original.by_name]

  trained.save_weights(tmp_path / 'model.weights.h5')
  other = model()
  assert not np.allclose(other(IMAGES), wanted)  # with variables of its own
  other.load_weights(tmp_path / 'model.weights.h5')
  np.testing.assert_array_equal(other(IMAGES), wanted)

  trained.export(tmp_path / 'exported', verbose=False)
  exported = tf2.saved_model.load(tmp_path / 'exported')
  np.testing.assert_allclose(exported.serve(IMAGES), wanted, atol=1e-5)


def test_config_makes_the_same_layer():
  options = {
    'name': 'backbone',
    'trainable': False,
    'end_points': ['resnet_v1_18/block1'],
    'arg_scope_options': {'batch_norm_decay': 0.9},
    'output_stride': 4,
    'multi_grid': [2],
  }
  made = layer(**options)
  copy = NetworkLayer.from_config(made.get_config())
  assert copy.get_config() == made.get_config()
  assert {**options, 'network_name': 'resnet_v1_18'}.items() <= (
    copy.get_config().items()
  )


def test_changes_to_a_config_leave_the_layer_as_it_is():
  made = layer()
  before = made.get_config()
  changed = made.get_config()
  changed['end_points'].append('another')
  changed['arg_scope_options']['batch_norm_decay'] = 0.9
  assert made.get_config() == before


def test_other_numbers_of_channels():
  made = layer()
  made(tf.zeros([1, 16, 16, 3]))
  with pytest.raises(ValueError, match='expected axis -1 .* to have value 3'):
    made(tf.zeros([1, 16, 16, 1]))


@keras.saving.register_keras_serializable('tests')
def leaky(net):
  return tf.nn.leaky_relu(net)


def test_a_function_as_an_option_is_saved(tmp_path):
  made = layer(arg_scope_options={'activation_fn': leaky})
  saved = keras.Sequential([keras.Input((16, 16, 3)), made])
  saved.save(tmp_path / 'model.keras')
  (loaded,) = keras.saving.load_model(tmp_path / 'model.keras').layers
  np.testing.assert_allclose(loaded(IMAGES), made(IMAGES), atol=1e-6)
  assert loaded.get_config()['arg_scope_options'] == {'activation_fn': leaky}


def test_features_of_a_functional_model(monkeypatch):
  shorten(monkeypatch, 1, 1)
  points = ['resnet_v1_18/block1', 'resnet_v1_18/block2']
  inputs = keras.Input((None, None, 3))
  features = layer(
    num_classes=None, global_pool=False, output_stride=4, end_points=points
  )
  net, found = features(inputs)
  assert net.shape == (None, None, None, 2)
  outputs = keras.Model(inputs, {'net': net, **found})(IMAGES)
  assert {name: value.shape.as_list() for name, value in outputs.items()} == {
    'net': [4, 4, 4, 2],
    points[0]: [4, 4, 4, 2],
    points[1]: [4, 4, 4, 2],
  }


def test_a_layer_in_a_function_makes_its_variables_once():
  made = layer()
  call = tf2.function(lambda images: made(images, training=True))
  call(IMAGES)
  weights = [*made.weights]
  call(IMAGES[:2])
  assert all(a is b for a, b in zip(made.weights, weights, strict=True))
  assert len(weights) == len(made.by_name)


@pytest.mark.slow
def test_other_scopes_change_no_names():
  made = layer()

  @tf2.function
  def call(images):
    with tf.variable_scope('outer'), slim.arg_scope([slim.conv2d], stride=2):
      return made(images)

  call(IMAGES)
  assert 'resnet_v1_18/conv1/weights' in made.by_name


def test_restore(tmp_path):
  """A checkpoint of the graph network, as TF-Slim writes it."""
  theirs = in_a_graph('resnet_v1_18', False, str(tmp_path / 'model.ckpt'))
  made = layer()
  made(IMAGES)
  made.restore(str(tmp_path / 'model.ckpt'))
  np.testing.assert_allclose(made(IMAGES), theirs['net'], atol=1e-5)

  other = layer(num_classes=5)
  with pytest.raises(ValueError, match='no variables yet to restore: call it'):
    other.restore(str(tmp_path))
  other.build((None, 16, 16, 3))
  with pytest.raises(
    ValueError,
    match=r'another shape, 2 of 22: resnet_v1_18/logits/weights of '
    r'\[1, 1, 2, 5\], there \[1, 1, 2, 3\]',
  ):
    other.restore(str(tmp_path))
  other.restore(str(tmp_path), exclude_scopes=['resnet_v1_18/logits'])
  for name, variable in other.by_name.items():
    same = np.array_equal(variable, made.by_name[name])
    assert same == ('logits' not in name)


@pytest.mark.parametrize(
  'options, error, message',
  [
    ({'network_name': 'resnet_v1_81'}, ValueError, 'Did you mean resnet_v1_18'),
    ({'pool': True}, TypeError, "resnet_v1_18 has no argument 'pool'"),
    ({'is_training': True}, TypeError, 'argument `training` of a call, .*: l'),
    ({'dtype': 'mixed_float16'}, ValueError, "float32. Pass it dtype='float32"),
    ({'end_points': ['resnet_v1_18/blok1']}, ValueError, 'no end point named'),
    ({'output_stride': 5}, ValueError, 'output_stride=5 is not a multiple'),
  ],
)
def test_errors(options, error, message):
  with pytest.raises(error, match=message):
    layer(**options).build((None, 16, 16, 3))


def test_below_a_policy_of_less_precision():
  keras.config.set_dtype_policy('mixed_bfloat16')
  try:
    made = keras.Sequential([layer(dtype='float32'), keras.layers.Dense(2)])
    assert made(IMAGES).dtype == tf.bfloat16
  finally:
    keras.config.set_dtype_policy('float32')


def test_a_graph_of_tensorflow_1(graph):
  with pytest.raises(RuntimeError, match='call the function of nets_factory.g'):
    layer()(tf.constant(IMAGES))


def test_stateless_training():
  made = filled(layer())
  given = [
    [variable.value + 0 for variable in variables]
    for variables in (made.trainable_variables, made.non_trainable_variables)
  ]
  net, _ = made.stateless_call(*given, IMAGES)
  np.testing.assert_allclose(net, made(IMAGES), atol=1e-5)
  with pytest.raises(RuntimeError, match='call the layer itself, or with trai'):
    made.stateless_call(*given, IMAGES, training=True)


def test_another_backend(monkeypatch):
  monkeypatch.setattr(keras.backend, 'backend', lambda: 'jax')
  with pytest.raises(RuntimeError, match='set KERAS_BACKEND=tensorflow before'):
    layer()


@pytest.mark.slow
def test_grouped_convolutions(monkeypatch):
  """Their gradient on a tape is that of the kernel, or of plain ones."""
  found = []
  for native in (grouped.has_dilation_gradient(), False):
    monkeypatch.setattr(
      grouped, 'has_dilation_gradient', lambda is_=native: is_
    )
    made = filled(layer('resnext_50_32x4d'))
    with tf2.GradientTape() as tape:
      loss = tf2.reduce_sum(made(IMAGES) ** 2)
    weight = made.by_name[
      'resnext_50_32x4d/block1/unit_1/bottleneck_v1/conv2/weights'
    ]
    assert weight.shape == (3, 3, 1, 32)
    found.append(tape.gradient(loss, weight.value).numpy())
  assert np.abs(found[0]).max() > 0
  np.testing.assert_allclose(*found, atol=1e-4 * np.abs(found[0]).max())
