"""What grows, and its picture."""

import numpy as np
from PIL import Image

from benchmarks import growth, steps
from nets import nets_factory


def test_cases():
  assert growth.case('size', 64) == steps.Case('resnet_v1_50', 64, 8)
  assert growth.case('batch', 2) == steps.Case('resnet_v1_50', 224, 2)
  for depth in growth.AXES['depth']:
    assert growth.case('depth', depth).model_name in nets_factory.NETWORKS


def test_the_picture(tmp_path):
  path = tmp_path / 'growth.png'
  growth.draw(
    {
      'batch': [growth.Point(1, 0.1, 800), growth.Point(2, 0.2, 900)],
      'size': [growth.Point(64, 0.1, 700)],
    },
    str(path),
  )
  assert np.asarray(Image.open(path)).std() > 0
