"""Graphs as ONNX: the sizes and values of TensorFlow."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from engine.config.export import FORMATS
from engine.export import onnx_format, standalone
from engine.export.artefact import Artefact
from nets import resnet_utils

for module in FORMATS['onnx'].modules:
  pytest.importorskip(module, reason='needs the extra export')


def converted(folder, build, image):
  """What `build` computes of an image, and what its ONNX model does."""
  with tf.Graph().as_default() as graph, tf.Session() as session:
    inputs = tf.placeholder(tf.float32, [None, *image.shape], 'input')
    outputs = tf.identity(build(inputs), 'output')
    wanted = session.run(outputs, {inputs: image[np.newaxis]})
    told = {
      'format': 'onnx',
      'task': 'segmentation',
      'input': {'kind': 'preprocessed'},
      'outputs': {'output': {}},
      'class_names': ['ä', 'b"'],
      **FORMATS['onnx'].facts,
    }
    spec = tf.TensorSpec(inputs.shape, inputs.dtype)
    made = Artefact(
      graph.as_graph_def(), spec, {'output': spec}, told, None, iter
    )
  onnx_format.write(made, str(folder))
  return wanted, folder / standalone.FILES['onnx']


def ran(path, image):
  import onnxruntime

  session = onnxruntime.InferenceSession(str(path))
  return session.run(['output'], {'input': image[np.newaxis]})[0]


@pytest.mark.parametrize('small,large', [(9, 17), (5, 33), (3, 11), (17, 65)])
def test_resize(tmp_path, small, large):
  """9 times the float32 nearest to 17 / 9 is less than 17."""
  image = np.random.default_rng(1).normal(size=(small, small, 2))
  image = image.astype(np.float32)
  wanted, path = converted(
    tmp_path,
    lambda inputs: tf.image.resize_bilinear(
      inputs, [large, large], align_corners=True
    ),
    image,
  )
  assert wanted.shape[1:3] == (large, large)
  np.testing.assert_allclose(ran(path, image), wanted, atol=1e-5)


def test_facts(tmp_path):
  """In metadata_props: texts as they are, others as JSON."""
  import onnx

  image = np.ones((2, 2, 1), np.float32)
  _, path = converted(tmp_path, lambda inputs: inputs * 2, image)
  model = onnx.load(path)
  told = {each.key: each.value for each in model.metadata_props}
  assert told['task'] == 'segmentation'
  assert told['class_names'] == '["\\u00e4", "b\\""]'
  assert model.opset_import[0].version == FORMATS['onnx'].facts['opset']
  assert [each.name for each in model.graph.input] == ['input']
  assert [each.name for each in model.graph.output] == ['output']


def groups_and_means(net):
  """What networks of other libraries have beside those of TF-Slim."""
  random = np.random.default_rng(2)
  filters = [
    random.normal(size=(3, 3, 2, 8)).astype(np.float32) for _ in range(2)
  ]
  net = tf.nn.conv2d(net, filters[0], 2, 'VALID')
  net = tf.nn.conv2d(net, filters[1], 1, 'SAME', dilations=2)
  net = resnet_utils.mean_pool(resnet_utils.mean_pool(net, 1, 2), 2)
  return tf.nn.max_pool2d(
    tf.pad(net, [[0, 0], [1, 1], [1, 1], [0, 0]]), 3, 2, 'VALID'
  )


def test_grouped_convolutions_and_means(tmp_path):
  image = np.random.default_rng(1).normal(size=(19, 26, 8)).astype(np.float32)
  wanted, path = converted(tmp_path, groups_and_means, image)
  found = ran(path, image)
  assert found.shape == wanted.shape == (1, 3, 3, 8)
  np.testing.assert_allclose(found, wanted, atol=1e-5 * np.abs(wanted).max())
