"""Importing nets and building networks changes nothing global."""

import subprocess
import sys

# Run in a new process, where nothing but TensorFlow is imported.
GLOBAL_STATE = """
import logging
import tensorflow as tf
from absl import flags

def state():
  return (tf.executing_eagerly(), sorted(flags.FLAGS), logging.root.level,
          list(logging.root.handlers), tf.config.get_visible_devices(),
          id(tf.compat.v1.get_default_graph()),
          len(tf.compat.v1.get_default_graph().get_operations()),
          tf.compat.v1.control_flow_v2_enabled(),
          tf.compat.v1.resource_variables_enabled())

before = state()
from nets import nets_factory, resnet_v1
assert state() == before, ('import', before, state())
with tf.Graph().as_default():
  resnet_v1.resnet_v1(
      tf.compat.v1.placeholder(tf.float32, [None, 32, 32, 3]),
      [resnet_v1.resnet_v1_block('block1', 1, 2, 2)], 10, output_stride=4)
assert state() == before, ('build', before, state())
assert tf.executing_eagerly()
"""


def test_importing_and_building_leave_global_state_alone():
  result = subprocess.run(
    [sys.executable, '-c', GLOBAL_STATE],
    capture_output=True,
    text=True,
    check=False,
  )
  assert result.returncode == 0, result.stderr[-2000:]
