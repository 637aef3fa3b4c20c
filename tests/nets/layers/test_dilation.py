"""Native dilation is slim.conv2d(rate=...) in all but speed."""

import functools
import logging
import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from nets import resnet_v1
from nets.layers import dilation
from nets.slim_compat import slim
from tests import golden

# What TensorFlow's optimization of a graph makes of it counts.
pytestmark = pytest.mark.usefixtures('optimized')

native = pytest.mark.skipif(
  not dilation.use_native(), reason='no native gradient on this machine'
)
IMAGE = golden.images(0, 2, 9, 8)
OPTIONS = [
  {},
  {'activation_fn': None, 'biases_initializer': None},
  {
    'padding': 'VALID',
    'weights_regularizer': slim.l2_regularizer(0.5),
    'biases_regularizer': slim.l1_regularizer(0.25),
    'trainable': False,
  },
  {
    'normalizer_fn': slim.batch_norm,
    'normalizer_params': {'scale': True},
    'weights_regularizer': slim.l2_regularizer(0.5),
  },
]


def op_types():
  return {
    operation.type for operation in tf.get_default_graph().get_operations()
  }


def described():
  """All that the current graph holds of variables and losses."""
  return {
    key: [
      (item.op.name, item.shape.as_list()) for item in tf.get_collection(key)
    ]
    for key in (
      tf.GraphKeys.GLOBAL_VARIABLES,
      tf.GraphKeys.TRAINABLE_VARIABLES,
      tf.GraphKeys.MODEL_VARIABLES,
    )
  } | {
    'losses': len(tf.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES)),
    'points': {
      name: point.shape.as_list()
      for name, point in slim.utils.convert_collection_to_dict('points').items()
    },
  }


def compute(conv2d, options, scope):
  """Returns what is described, the output, the losses and the gradients."""
  with tf.Graph().as_default():
    inputs = tf.constant(IMAGE)
    with slim.arg_scope([slim.conv2d], outputs_collections='points', **options):
      net = conv2d(inputs, 4, 3, rate=2, scope=scope)
    variables = slim.get_model_variables()
    wanted = [net, tf.losses.get_regularization_loss()] + [
      g
      for g in tf.gradients(tf.reduce_sum(net**2), [inputs] + variables)
      if g is not None
    ]
    with tf.Session() as session:
      session.run(
        [v.initializer for v in variables],
        {
          v.initializer.inputs[1]: golden.fill(v.op.name, v.shape.as_list())
          for v in variables
        },
      )
      return op_types(), described(), session.run(wanted)


@native
@pytest.mark.parametrize('scope', ['conv2', None])
@pytest.mark.parametrize(
  'options', OPTIONS, ids=['biases', 'bare', 'valid', 'normalized']
)
def test_native_is_slim(options, scope):
  ops, ours, values = compute(dilation.conv2d, options, scope)
  slim_ops, theirs, expected = compute(slim.conv2d, options, scope)
  assert 'SpaceToBatchND' not in ops and 'SpaceToBatchND' in slim_ops
  assert ours == theirs
  assert f'{scope or "Conv"}/weights' == ours['variables'][0][0]
  for value, wanted in zip(values, expected, strict=True):
    np.testing.assert_allclose(
      value, wanted, rtol=1e-4, atol=1e-5 * np.abs(wanted).max()
    )


@native
def test_options_of_the_call_win_over_those_of_the_scope(graph):
  with slim.arg_scope([slim.conv2d], padding='VALID', activation_fn=None):
    net = dilation.conv2d(tf.constant(IMAGE), 4, 3, rate=2, padding='SAME')
  assert net.shape == [2, 9, 8, 4]
  assert net.op.type == 'BiasAdd'


@native
def test_reuse(graph):
  first = dilation.conv2d(tf.constant(IMAGE), 4, 3, rate=2, scope='conv2')
  again = slim.conv2d(tf.constant(IMAGE), 4, 3, scope='conv2', reuse=True)
  assert first.shape == again.shape
  assert len(tf.global_variables()) == 2


@pytest.mark.parametrize(
  'options',
  [
    {'data_format': 'NHWC'},
    {'variables_collections': ['mine']},
    {'stride': 2},
    {'rate': 4},
  ],
)
def test_other_options_fall_back(graph, options):
  with slim.arg_scope([slim.conv2d], **options):
    net = dilation.conv2d(tf.constant(IMAGE), 4, 3, rate=2, scope='conv2')
  assert 'SpaceToBatchND' in op_types()
  assert net.shape == [2, 9, 8, 4]
  weights, biases = tf.global_variables()
  assert weights.shape == [3, 3, 3, 4]
  assert tf.get_collection('mine') == (
    [weights, biases] if 'variables_collections' in options else []
  )


def test_rate_one_is_a_plain_convolution(graph):
  net = dilation.conv2d(tf.constant(IMAGE), 4, 3, scope='conv2')
  (convolution,) = (
    operation
    for operation in graph.get_operations()
    if operation.type == 'Conv2D'
  )
  assert convolution.get_attr('dilations') == [1, 1, 1, 1]
  assert net.shape == [2, 9, 8, 4]


@native
def test_a_dense_network_is_all_native(graph):
  resnet_v1.resnet_v1(
    tf.zeros([1, 33, 33, 3]),
    [resnet_v1.resnet_v1_block(f'block{i}', 1, 2, 2) for i in (1, 2, 3)],
    output_stride=8,
    global_pool=False,
  )
  dilations = [
    operation.get_attr('dilations')[1]
    for operation in graph.get_operations()
    if operation.type == 'Conv2D'
  ]
  assert sorted(set(dilations)) == [1, 2]
  assert 'SpaceToBatchND' not in op_types()


def test_the_fall_back_is_said_once(graph, monkeypatch, caplog):
  monkeypatch.setattr(dilation, 'has_dilation_gradient', lambda: False)
  # A cache of the test's own, so that the real one keeps its answer.
  monkeypatch.setattr(
    dilation, 'use_native', functools.cache(dilation.use_native.__wrapped__)
  )
  with caplog.at_level(logging.WARNING, 'nets.layers.dilation'):
    for _ in range(2):
      dilation.conv2d(tf.constant(IMAGE), 4, 3, rate=2)
  assert 'SpaceToBatchND' in op_types()
  (message,) = caplog.messages
  assert 'no gradient kernel' in message and 'slower' in message


# Run in a new process, since TensorFlow reads the setting only once.
WITHOUT_ONEDNN = """
import sys
import tensorflow.compat.v1 as tf
from nets.layers import dilation
from nets.slim_compat import has_dilation_gradient
assert not has_dilation_gradient()
with tf.Graph().as_default() as graph:
  images = tf.random.normal([1, 9, 9, 3], seed=1)
  net = dilation.conv2d(dilation.conv2d(images, 4, 3, rate=2), 4, 3, rate=4)
  gradient = tf.gradients(net, tf.trainable_variables()[0])[0]
  assert any(op.type == 'SpaceToBatchND' for op in graph.get_operations())
  with tf.Session() as session:
    session.run(tf.global_variables_initializer())
    print(abs(session.run(gradient)).sum())
"""


@pytest.mark.slow
def test_machines_without_the_gradient():
  result = subprocess.run(
    [sys.executable, '-c', WITHOUT_ONEDNN],
    capture_output=True,
    text=True,
    check=False,
    env={
      **os.environ,
      'TF_ENABLE_ONEDNN_OPTS': '0',
      'CUDA_VISIBLE_DEVICES': '',
    },
  )
  assert result.returncode == 0, result.stderr[-2000:]
  assert float(result.stdout) > 0
  assert result.stderr.count('no gradient kernel for dilated') == 1
