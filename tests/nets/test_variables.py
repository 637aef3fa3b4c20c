"""Networks in tf.functions, which need an owner of their variables."""

import numpy as np
import pytest
import tensorflow as tf2
import tensorflow.compat.v1 as tf

from nets import decoders, nets_factory, resnet_generator, variables
from tests import golden

IMAGES = golden.images(0, 2, 16, 16)
OPTIONS = {'depth_multiplier': 0, 'min_base_depth': 2}


@pytest.fixture(autouse=True)
def short(monkeypatch):
  for depth in resnet_generator.UNITS:
    monkeypatch.setitem(resnet_generator.UNITS, depth, (1,))


def network(images, is_training=False, **options):
  return nets_factory.get_network_fn(
    'resnet_v1_18', 3, 0.01, is_training, batch_norm_decay=0.9
  )(tf.convert_to_tensor(images), **OPTIONS, **options)[0]


def owned(owner, is_training=False, **options):
  """A tf.function, by AutoGraph, which is the default."""

  @tf2.function
  def call(images):
    with owner.scope():
      net = network(images, is_training, **options)
    return net, tf.losses.get_regularization_loss()

  return call


def fill(owner):
  for name, variable in owner.by_name.items():
    variable.assign(golden.fill(name, variable.shape))


def in_a_graph(is_training, path=None):
  with tf.Graph().as_default(), tf.Session() as session:
    net = network(IMAGES, is_training)
    loss = tf.losses.get_regularization_loss()
    made = {variable.op.name: variable for variable in tf.global_variables()}
    for name, variable in made.items():
      variable.load(golden.fill(name, variable.shape.as_list()), session)
    if path:
      tf.train.Saver().save(session, path, write_meta_graph=False)
    updates = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
    net, loss, _ = session.run([net, loss, updates])
    return net, loss, session.run(made)


@pytest.mark.parametrize('is_training', [False, True])
def test_values_are_the_graph_networks(is_training):
  net, loss, made = in_a_graph(is_training)
  owner = variables.Variables()
  owned(owner)(IMAGES)
  fill(owner)
  found = owned(owner, is_training)(IMAGES)
  np.testing.assert_allclose(found[0], net, atol=1e-5)
  np.testing.assert_allclose(found[1], loss, rtol=1e-5)
  assert [*owner.by_name] == [*made]
  for name, value in made.items():
    np.testing.assert_allclose(
      owner.by_name[name], value, atol=1e-5, err_msg=name
    )


def test_variables_are_made_once_and_owners_do_not_mix():
  first, second = variables.Variables(), variables.Variables()
  call = owned(first)
  call(IMAGES)
  made = dict(first.by_name)
  call(IMAGES[:1])
  owned(second)(IMAGES)
  assert all(first.by_name[name] is made[name] for name in made)
  assert [*second.by_name] == [*made] == [*first.by_name]
  assert all(second.by_name[name] is not made[name] for name in made)
  assert tf.global_variables() == [] == tf.trainable_variables()


def test_gradients_reach_all_variables():
  owner = variables.Variables()
  call = owned(owner, is_training=True)
  call(IMAGES)
  fill(owner)
  with tf2.GradientTape() as tape:
    loss = tf.reduce_sum(call(IMAGES)[0] ** 2)
  gradients = tape.gradient(loss, owner.trainable_variables)
  assert 0 < len(gradients) < len(owner.variables)
  assert all(np.any(gradient) for gradient in gradients)


def test_saved(tmp_path):
  owner, other = variables.Variables(), variables.Variables()
  owner.call = owned(owner)
  net, _ = owner.call(IMAGES)
  tf2.saved_model.save(owner, tmp_path / 'saved')
  loaded = tf2.saved_model.load(tmp_path / 'saved')
  np.testing.assert_allclose(loaded.call(IMAGES)[0], net, atol=1e-6)

  path = tf2.train.Checkpoint(owner).write(tmp_path / 'checkpoint')
  owned(other)(IMAGES)
  tf2.train.Checkpoint(other).restore(path)
  np.testing.assert_allclose(owned(other)(IMAGES)[0], net, atol=1e-6)


def test_a_decoder_with_dilated_convolutions():
  """Whose native kernels ask for variables by themselves."""
  owner = variables.Variables()

  @tf2.function
  def call(images):
    with owner.scope():
      logits, _ = decoders.build(
        'resnet_v1_50',
        'aspp',
        images,
        3,
        is_training=True,
        output_stride=4,
        depth=4,
        weight_decay=0.01,
        depth_multiplier=0,
        atrous_rates=(2,),
      )
    return logits, tf.losses.get_regularization_loss()

  logits, loss = call(tf.zeros([1, 17, 17, 3]))
  assert logits.shape == [1, 5, 5, 3]
  weights = [v for name, v in owner.by_name.items() if 'weights' in name]
  np.testing.assert_allclose(
    loss, sum(0.005 * np.sum(v.numpy() ** 2) for v in weights), rtol=1e-4
  )


def test_another_network_of_the_same_scope():
  owner = variables.Variables()
  owned(owner)(IMAGES)
  with pytest.raises(
    ValueError, match=r'conv1/weights has the shape \(7, 7, 3, 64\).* a scope'
  ):
    owned(owner, root_block='3x3')(IMAGES)


def test_reuse_of_what_is_not_there():
  with pytest.raises(ValueError, match='no variable resnet_v1_18/conv1/weigh'):
    owned(variables.Variables(), reuse=True)(IMAGES)


@pytest.mark.parametrize(
  'call, message',
  [
    (network, 'this call is eager. Take the layer nets.keras_layer.Net'),
    (tf2.function(network), 'Nothing in this tf.function owns .*owner.scope()'),
    (
      tf2.function(
        lambda images: decoders.build(
          'resnet_v1_50', 'fcn', images, 3, False, output_stride=4
        )
      ),
      'Nothing in this tf.function owns',
    ),
  ],
)
def test_calls_without_an_owner(call, message):
  with pytest.raises(RuntimeError, match=message):
    call(tf.constant(IMAGES))
  assert tf.global_variables() == []


def test_wrap_function():
  """It runs no updates but those that are part of the forward pass."""
  network_fn = nets_factory.get_network_fn(
    'resnet_v1_18', 3, is_training=True, batch_norm_updates_collections=None
  )
  call = tf.wrap_function(
    lambda images: network_fn(images, **OPTIONS)[0],
    [tf2.TensorSpec([None, 16, 16, 3])],
  )
  (mean,) = (
    v
    for v in call.variables
    if v.name.endswith('conv1/BatchNorm/moving_mean:0')
    and 'block' not in v.name
  )
  assert call(tf.constant(IMAGES)).shape == [2, 3]
  before = mean.numpy()
  assert call(tf.constant(IMAGES[:1])).shape == [1, 3]
  assert np.any(mean.numpy() != before)


def test_variables_that_the_caller_reuses():
  """TensorFlow's one global graph owns them."""

  @tf2.function
  def call(images):
    return network(images, scope='shared', reuse=tf.AUTO_REUSE)

  assert call(IMAGES).shape == [2, 3]
  assert call(IMAGES[:1]).shape == [1, 3]


@pytest.fixture
def checkpoint(tmp_path):
  in_a_graph(False, str(tmp_path / 'model.ckpt'))
  return str(tmp_path / 'model.ckpt')


def test_restore(checkpoint):
  owner = variables.Variables()
  owned(owner)(IMAGES)
  owner.restore(checkpoint)
  for name, variable in owner.by_name.items():
    np.testing.assert_array_equal(variable, golden.fill(name, variable.shape))


def test_restore_sets_all_or_none(checkpoint):
  made = {
    'resnet_v1_18/conv1/weights': tf2.Variable(tf.zeros([7, 7, 3, 64])),
    'head/weights': tf2.Variable([1.0]),
    'head/biases': tf2.Variable([1.0]),
  }
  with pytest.raises(
    ValueError,
    match='lacks variables, 2 of 3: head/weights, head/biases. Take the',
  ):
    variables.restore(made, checkpoint)
  with pytest.raises(ValueError, match="has 'hea', but no variable is in that"):
    variables.restore(made, checkpoint, ['hea'])
  assert not np.any(made['resnet_v1_18/conv1/weights'])
  variables.restore(made, checkpoint, ['head/'])
  assert np.any(made['resnet_v1_18/conv1/weights'])
  assert made['head/weights'].numpy() == [1]


def test_restore_from_nothing(tmp_path):
  for path in tmp_path, tmp_path / 'none.ckpt':
    with pytest.raises(ValueError, match=f'be read from {path}.*\n?.*Give the'):
      variables.restore({}, str(path))
  (tmp_path / 'bad.ckpt.index').write_bytes(b'bad')
  with pytest.raises(ValueError, match='No checkpoint can be read from '):
    variables.restore({}, str(tmp_path / 'bad.ckpt'))
