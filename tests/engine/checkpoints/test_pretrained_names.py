"""Names of published weights: what each stands for, and what is listed."""

import pytest

from engine.checkpoints import pretrained_names
from nets.catalogue import pretrained_table
from nets.catalogue.pretrained_table import PRETRAINED


@pytest.mark.parametrize(
  'name, meant',
  [
    ('pretrained:resnet_v1_50', 'tfslim:resnet_v1_50'),
    # Before the files that PyTorch alone reads.
    ('pretrained:resnet_v1_5_50', 'timm:resnet50.tv_in1k'),
    ('pretrained:resnet_v1_5_101', 'torchvision:resnet101_v2'),
    ('pretrained:resnet_v1_50_beta', 'deeplab:resnet_v1_50_beta_imagenet'),
    ('torchvision:resnet_v1_5_50', 'torchvision:resnet50_v2'),
    ('torchvision:resnet50', 'torchvision:resnet50_v2'),
    ('torchvision:resnet50-0676ba61', 'torchvision:resnet50_v1'),
    ('keras:ResNet50V2', 'keras:resnet50v2'),
    ('keras:resnet_v1_101', 'keras:resnet101'),
    ('timm:resnet50d', 'timm:resnet50d.ra2_in1k'),
    ('tfslim:resnet_v2_50_2017_04_14', 'tfslim:resnet_v2_50'),
  ],
)
def test_what_a_name_stands_for(name, meant):
  assert pretrained_names.is_name(name)
  assert pretrained_names.find(name) == (meant, PRETRAINED[meant])


@pytest.mark.parametrize(
  'network', sorted({entry.network for entry in PRETRAINED.values()})
)
def test_every_network_has_a_name(network):
  _, entry = pretrained_names.find(f'pretrained:{network}')
  assert entry.network == network
  others = pretrained_table.of_network(network).values()
  assert not entry.needs_torch or all(other.needs_torch for other in others)


@pytest.mark.parametrize(
  'path', ['runs/a', '/a:b', 'gs://a/b', 'C:/a', 'other:resnet50', 'a', '']
)
def test_paths_are_no_names(path):
  assert not pretrained_names.is_name(path)


@pytest.mark.parametrize(
  'name, words',
  [
    (
      'pretrained:resnet_v1_51',
      ('Did you mean resnet_v1_50 or ', 'resnext_101_64x4d'),
    ),
    ('torchvision:resnet50v2', ('Did you mean keras:resnet50v2?',)),
    ('tfslim:x', ('Behind tfslim: can stand resnet_v1_50, resnet_v1_101,',)),
    ('keras:', ('resnet152v2', '--list_pretrained')),
  ],
)
def test_unknown_names(name, words):
  with pytest.raises(ValueError, match='There are no weights named') as error:
    pretrained_names.find(name)
  for word in (name, *words):
    assert word in str(error.value)


def test_the_list():
  header, *rows, last = pretrained_names.lines()
  assert len(rows) == len(PRETRAINED)
  assert header.split() == [
    'name',
    'network',
    'top-1',
    'top-5',
    'parameters',
    'size',
    'preprocessing',
    'images',
    'licence',
  ]
  (row,) = [row for row in rows if row.startswith('keras:resnet50v2 ')]
  assert (
    row.split()
    == (
      'keras:resnet50v2 resnet_v2_50 75.96 93.03 25,568,360 103 MB keras_v2 '
      '224x224 Apache-2.0'
    ).split()
  )
  marked = [row.split()[1] for row in rows if '*' in row]
  assert sorted(marked) == sorted({e.network for e in PRETRAINED.values()})
  assert 'pretrained:NETWORK' in last
