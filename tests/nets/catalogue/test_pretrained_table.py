"""What is known of published weights fits the networks and itself."""

import hashlib
import math
import re

import pytest
import tensorflow.compat.v1 as tf

from nets import nets_factory, resnet_generator
from nets.catalogue import pretrained_table

ENTRIES = pretrained_table.PRETRAINED


def test_names_tell_the_source():
  sources = {name.partition(':')[0] for name in ENTRIES}
  assert sources == {'tfslim', 'keras', 'torchvision', 'timm', 'deeplab'}


def test_no_file_is_there_twice():
  addresses = [entry.address for entry in ENTRIES.values()]
  assert len(set(addresses)) == len(addresses)
  hashes = [entry.hash for entry in ENTRIES.values() if entry.hash]
  assert len(set(hashes)) == len(hashes)


@pytest.mark.parametrize('name', ENTRIES)
def test_an_entry_is_whole(name):
  entry = ENTRIES[name]
  assert re.fullmatch(
    r'https?://[\w.-]+/[\w./-]+\.(tar\.gz|h5|pth|safetensors)', entry.address
  )
  if entry.hash:
    digits = hashlib.new(entry.hash.kind).digest_size * 2
    assert re.fullmatch('[0-9a-f]+', entry.hash.value)
    assert len(entry.hash.value) in (8, digits)
    if len(entry.hash.value) == 8:
      assert entry.address.endswith(f'-{entry.hash.value}.pth')
  if entry.top1 is not None:
    assert 65 < entry.top1 < 85 and 88 < entry.top5 < 97
  if entry.size:  # 4 bytes a parameter, or 2
    assert 1.9 < entry.size / entry.parameters < 4.5 or 'deeplab' in name
  assert (entry.num_classes is None) == (entry.labels_offset is None)
  if entry.num_classes:
    assert entry.num_classes + entry.labels_offset == 1001


def test_names():
  assert (
    pretrained_table.get('pretrained:resnet_v1_50')
    is ENTRIES['tfslim:resnet_v1_50']
  )
  assert (
    pretrained_table.get('tfslim:resnet_v2_50_2017_04_14')
    is ENTRIES['tfslim:resnet_v2_50']
  )
  with pytest.raises(ValueError, match=r'torchvision:resnet50_v3.*resnet50_v2'):
    pretrained_table.get('torchvision:resnet50_v3')


def _parameters(entry):
  options = {'root_block': entry.root_block} if entry.root_block else {}
  with tf.Graph().as_default():
    nets_factory.get_network_fn(entry.network, entry.num_classes)(
      tf.zeros([1, 64, 64, 3]), **options
    )
    return sum(math.prod(v.shape.as_list()) for v in tf.trainable_variables())


def _count(name):
  entry = ENTRIES[name]
  if entry.root_block not in (None, *resnet_generator.ROOT_BLOCKS):
    entry = entry._replace(root_block=None)  # one of as many parameters
  if entry.network in nets_factory.NETWORKS:
    assert _parameters(entry) == entry.parameters


def test_parameters():
  _count('torchvision:resnet18_v1')


@pytest.mark.slow
@pytest.mark.parametrize('name', ENTRIES)
def test_parameters_of_all(name):
  _count(name)
