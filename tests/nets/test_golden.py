"""The networks hold the original's variables and compute its values."""

import collections
import functools
import json
import re

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from nets import nets_factory, resnet_generator
from nets.slim_compat import slim
from tests import golden

CASES = json.loads((golden.DATA / 'golden.json').read_text())
ORIGINALS = [
  name
  for name in nets_factory.NETWORKS
  if re.fullmatch(r'resnet_v\d_(50|101|152|200)', name)
]


@functools.cache
def arrays():
  return dict(np.load(golden.DATA / 'golden.npz'))


@pytest.fixture(scope='module')
def weights():
  """weights(name, shape): golden.fill, which keeps one network's."""
  kept = {}

  def fill(name, shape):
    network = name.split('/')[0]
    if not any(key.startswith(f'{network}/') for key in kept):
      kept.clear()
    if name not in kept or kept[name].shape != tuple(shape):
      kept[name] = golden.fill(name, shape)
    return kept[name].copy()  # variables take over the memory of what is fed

  return fill


def set_golden_weights(session, fill):
  variables = tf.global_variables()
  session.run(
    [v.initializer for v in variables],
    {
      v.initializer.inputs[1]: fill(v.op.name, v.shape.as_list())
      for v in variables
    },
  )


def assert_close(actual, expected, tolerance=1e-4):
  """The difference is below `tolerance` of the expected values' scale."""
  assert actual.shape == expected.shape
  assert np.abs(actual - expected).max() <= tolerance * np.abs(expected).max()


def check_variables(name):
  """Those of the current graph are the original's, with 1000 classes."""
  trainable = {v.op.name for v in tf.trainable_variables()}
  assert [
    {
      'name': v.op.name,
      'shape': v.shape.as_list(),
      'trainable': v.op.name in trainable,
    }
    for v in tf.global_variables()
  ] == golden.variables(name)
  assert {v.op.name for v in slim.get_model_variables()} == {
    v.op.name for v in tf.global_variables()
  }


def is_deep(name):
  """The deepest share all but their numbers of units with the others."""
  return name.endswith(('_152', '_200'))


@pytest.mark.slow
@pytest.mark.parametrize('name', [*filter(is_deep, ORIGINALS)])
def test_variables_are_the_originals(graph, name):
  images = tf.placeholder(tf.float32, [None, None, None, 3])
  nets_factory.get_network_fn(name, 1000, is_training=True)(images)
  check_variables(name)


@pytest.mark.parametrize('name', ORIGINALS)
def test_units_are_the_originals(name):
  found = {
    match.groups()
    for variable in golden.variables(name)
    if (match := re.search(r'/(block\d)/(unit_\d+)/', variable['name']))
  }
  units = collections.Counter(block for block, _ in sorted(found))
  depth = int(name.rpartition('_')[2])
  assert tuple(units.values()) == resnet_generator.UNITS[depth]


def test_every_network_with_golden_variables_is_tested():
  files = (golden.DATA / 'variables').iterdir()
  assert sorted(file.stem for file in files) == sorted(ORIGINALS)


def test_variables_of_every_network_are_compared():
  classified = {
    case.split('/')[0]
    for case, expected in CASES.items()
    if expected['call'].get('num_classes') == 1000
  }
  assert classified | {*filter(is_deep, ORIGINALS)} == {*ORIGINALS}


# Of 50 layers run as outside of tests; the others, as they were built.
OPTIMIZED = 'train_64', 'classify_64', 'dense_65_os8'
QUICK = ('resnet_v1_50/classify_64', 'resnet_v2_50/classify_64')
PLAIN = [
  case
  for case in CASES
  if '_50/' in case and case.split('/')[1] not in OPTIMIZED
]


def case_of(case):
  """A few calls of 50 layers are quick tests."""
  slow = case not in QUICK
  return pytest.param(case, marks=[pytest.mark.slow] * slow)


@pytest.mark.usefixtures('optimized')
@pytest.mark.parametrize(
  'case', [case_of(case) for case in CASES if case not in PLAIN]
)
def test_values_are_the_originals(graph, case, weights):
  check_values(case, weights)


@pytest.mark.slow
@pytest.mark.parametrize('case', PLAIN)
def test_values_of_other_calls_are_the_originals(graph, case, weights):
  check_values(case, weights)


def check_values(case, weights):
  name, expected = case.split('/')[0], CASES[case]
  call = dict(expected['call'])
  training = call.pop('train', False)
  size = call.pop('hw')
  images = golden.images(0, call.pop('batch', 2), size, size)
  classes = call.pop('num_classes', None)
  network_fn = nets_factory.get_network_fn(
    name, classes, weight_decay=1e-4, is_training=training
  )
  output, end_points = network_fn(tf.constant(images), **call)
  if classes == 1000:
    check_variables(name)
  with tf.Session() as session:
    set_golden_weights(session, weights)
    found = training_tensors(output) if training else {}
    values, points, found = session.run([output, end_points, found])
    assert_close(values, arrays()[f'{case}/output'])
    assert list(points) == list(expected['end_points'])
    for point, wanted in expected['end_points'].items():
      assert list(points[point].shape) == wanted['shape'], point
      scale = abs(wanted['mean']) + wanted['std']
      np.testing.assert_allclose(
        [points[point].mean(), points[point].std()],
        [wanted['mean'], wanted['std']],
        rtol=0,
        atol=1e-4 * scale + 1e-6,
        err_msg=point,
      )
    if training:
      check_training(case, found, expected)
      session.run(tf.get_collection(tf.GraphKeys.UPDATE_OPS))
      check_moved(
        session.run({v.op.name: v for v in tf.global_variables()}), expected
      )


def training_tensors(output):
  """The losses of a training step, and the norms of its gradients."""
  regularization = tf.losses.get_regularization_loss()
  loss = tf.reduce_mean(tf.square(output)) + regularization
  norms = {
    v.op.name: tf.norm(g)
    for v, g in zip(
      tf.trainable_variables(),
      tf.gradients(loss, tf.trainable_variables()),
      strict=True,
    )
  }
  return {'loss': loss, 'regularization_loss': regularization, 'norms': norms}


def check_training(case, found, expected):
  for name, tolerance in ('loss', 1e-4), ('regularization_loss', 1e-5):
    np.testing.assert_allclose(
      found[name], arrays()[f'{case}/{name}'], rtol=tolerance
    )
  norms = found['norms']
  assert list(norms) == list(expected['gradient_norms'])
  largest = max(expected['gradient_norms'].values())
  for name, norm in expected['gradient_norms'].items():
    np.testing.assert_allclose(
      norms[name], norm, rtol=2e-3, atol=1e-6 * largest, err_msg=name
    )


def check_moved(moved, expected):
  for name, (mean, std) in expected['moving_after_one_update'].items():
    np.testing.assert_allclose(
      [moved[name].mean(), moved[name].std()],
      [mean, std],
      rtol=1e-4,
      atol=1e-6,
      err_msg=name,
    )
