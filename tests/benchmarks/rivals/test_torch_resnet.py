"""The network in PyTorch: what nets/resnet_v1.py has, from its variables."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from nets import nets_factory

torch = pytest.importorskip('torch')


@pytest.mark.parametrize('size,classes,stride', [(64, 5, None), (49, None, 16)])
def test_values(size, classes, stride):
  """Of even sizes, whose root leaves a row over, and of odd ones."""
  from benchmarks.rivals import torch_resnet

  random = np.random.default_rng(0)
  images = random.normal(size=(2, size, size, 3)).astype(np.float32)
  options = {'global_pool': False, 'output_stride': stride} if stride else {}
  with tf.Graph().as_default(), tf.Session() as session:
    build = nets_factory.get_network_fn('resnet_v1_50', classes)
    outputs = build(tf.constant(images), **options)[0]
    values = {}
    for variable in tf.global_variables():
      low = 0.5 if 'variance' in variable.name else -0.5
      value = random.uniform(low, low + 1, variable.shape)
      if len(value.shape) == 4:
        value /= np.sqrt(np.prod(value.shape[:-1]))
      values[variable.op.name] = value.astype(np.float32)
      variable.load(values[variable.op.name], session)
    wanted = session.run(outputs)
  network = torch_resnet.Network('resnet_v1_50', classes, stride).load(values)
  with torch.inference_mode():
    found = network.eval()(torch.from_numpy(images).permute(0, 3, 1, 2))
  found = np.moveaxis(found.numpy(), 1, -1)
  np.testing.assert_allclose(found, wanted, atol=1e-4 * np.abs(wanted).max())
