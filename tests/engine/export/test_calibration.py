"""The ranges by which TFLite computes in integers."""

import json

import numpy as np
import tensorflow.compat.v1 as tf

from engine.export import calibration, standalone, tflite
from engine.export.artefact import Artefact


def test_ranges():
  """The mean of the images' extremes, two deviations, no more than was seen."""
  ten = np.tile([[-1.0, 1.0]], [10, 1])[:, np.newaxis]
  ten[:5, 0] = [-3, 2]
  np.testing.assert_allclose(calibration.ranges(ten), [[-3, 2]])
  hundred = np.tile([[-1.0, 1.0]], [100, 1])[:, np.newaxis]
  hundred[0, 0] = [-1, 101]  # a mean of 2, a deviation of 9.95
  np.testing.assert_allclose(
    calibration.ranges(hundred), [[-1, 21.8997]], rtol=1e-5
  )


def test_a_small_branch_beside_a_large_one(tmp_path):
  """Its range is its own, not that of the sum that takes its place."""
  random = np.random.default_rng(1)
  filters = random.normal(size=[3, 3, 2, 2]).astype(np.float32)
  images = random.normal(size=[12, 8, 8, 2]).astype(np.float32)
  with tf.Graph().as_default() as graph, tf.Session() as session:
    inputs = tf.placeholder(tf.float32, [None, 8, 8, 2], 'input')
    small = tf.nn.conv2d(inputs, filters * 0.01, padding='SAME')
    large = tf.nn.conv2d(inputs, filters[..., ::-1], padding='SAME')
    tf.nn.relu(large + small + tf.nn.relu(large), 'sum')
    wanted = session.run('sum:0', {inputs: images})
    told = {
      'format': 'tflite',
      'task': 'segmentation',
      'input': {'kind': 'preprocessed'},
      'outputs': {'sum': None},
      'class_names': [],
    }
    spec = tf.TensorSpec(inputs.shape, inputs.dtype)
    calibrated = lambda: iter(images[:, np.newaxis])  # noqa: E731
    made = Artefact(
      graph.as_graph_def(), spec, {'sum': spec}, told, 'int8', calibrated
    )
  tflite.write(made, str(tmp_path))
  (tmp_path / standalone.DESCRIPTION).write_text(json.dumps(told))
  found = standalone.Model(tmp_path)(images)['sum']
  np.testing.assert_allclose(found, wanted, atol=0.05 * wanted.max())
  interpreter = tf.lite.Interpreter(
    model_path=str(tmp_path / standalone.FILES['tflite'])
  )
  scales = [
    each['quantization_parameters']['scales'][0]
    for each in interpreter.get_tensor_details()
    if len(each['shape']) == 4 and each['dtype'] == np.int8
    if tuple(each['shape'][1:]) == (8, 8, 2)
  ]
  assert min(scales) < 0.02 * max(scales), scales
