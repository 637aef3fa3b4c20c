"""What the tests of the engine share: tiny networks and datasets."""

import io

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from PIL import Image

from datasets import dataset_factory, dataset_utils
from nets import resnet_v1
from nets.slim_compat import slim


@pytest.fixture
def png():
  """png(image): a uint8 image as the bytes of a PNG."""

  def encode(image):
    data = io.BytesIO()
    Image.fromarray(image).save(data, 'png')
    return data.getvalue()

  return encode


@pytest.fixture
def tiny():
  """tiny(images, num_classes=5, **options): logits of a net of one block."""

  def build(images, num_classes=5, **options):
    blocks = [resnet_v1.resnet_v1_block('block1', 4, 2, 2)]
    with slim.arg_scope(resnet_v1.resnet_arg_scope()):
      return resnet_v1.resnet_v1(
        images, blocks, num_classes, scope='tiny', **options
      )

  return build


@pytest.fixture
def make_dataset(monkeypatch, tmp_path, png):
  """make_dataset(labels, num_classes=10, shards=2): a dataset of noise.

  The label of an example is what `labels` says, and its first pixel its
  number. Offsets are cached below tmp_path.
  """
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))

  def make(labels, num_classes=10, shards=2):
    random = np.random.RandomState(0)
    examples = []
    for number, label in enumerate(labels):
      image = random.randint(0, 256, (8, 8, 3)).astype(np.uint8)
      image[0, 0] = number
      examples.append(
        dataset_utils.image_to_tfexample(png(image), b'png', 8, 8, label)
      )
    size = -(-len(examples) // shards)
    paths = []
    for shard in range(shards):
      paths.append(str(tmp_path / f'noise-{shard}.tfrecord'))
      dataset_utils.write_tfrecord(
        paths[-1], examples[shard * size : (shard + 1) * size]
      )
    return dataset_factory.make_dataset(
      'noise', 'train', paths, num_classes, None
    )

  return make


@pytest.fixture
def fetch():
  """fetch(stream, count=None): batches as arrays; all, or the first few."""

  def run(stream, count=None):
    found = []
    with tf.Session() as session:
      session.run(stream.initializer)
      while count is None or len(found) < count:
        try:
          found.append(stream.run(session, stream.batch))
        except tf.errors.OutOfRangeError:
          break
    return found

  return run
