"""python -m nets: what there is to choose from."""

import json

import pytest

from nets import __main__ as nets_main
from nets import nets_factory
from nets.catalogue import listing, pretrained_table


@pytest.mark.slow
def test_all_networks_in_their_order():
  """With what their entries say, and the weights that others have trained."""
  listed = nets_factory.list_networks()
  assert [each.name for each in listed] == list(nets_factory.NETWORKS)
  for each in listed:
    network = nets_factory.get_network(each.name)
    assert each.preprocessing == network.preprocessing
    assert each.image_size == network.default_image_size
    assert each.num_classes == (10 if each.name.startswith('cifar_') else 1000)
    assert each.multiply_adds > each.parameters > 0, each.name
  names = [weights.name for each in listed for weights in each.pretrained]
  assert sorted(names) == sorted(pretrained_table.PRETRAINED)


@pytest.mark.slow
@pytest.mark.parametrize(
  'name, strides',
  [
    ('resnet_v1_101', (4, 8, 16, 32)),
    ('resnet_v2_18', (4, 8, 16, 32)),
    ('cifar_resnet_v2_29', (1, 2, 4)),
  ],
)
def test_strides(name, strides):
  (listed,) = nets_factory.list_networks([name])
  assert listed.strides == strides


def test_published_accuracy():
  (listed,) = nets_factory.list_networks(['resnet_v2_152'])
  assert ('tfslim:resnet_v2_152', 77.8, 94.1) in listed.pretrained


def test_the_command(capsys):
  assert nets_main.main(['resnet_v1_18', 'cifar_residual_26']) == 0
  header, *rows = capsys.readouterr().out.splitlines()
  assert header.split()[:3] == ['network', 'parameters', 'multiply-adds']
  assert [row.split()[:8] for row in rows] == [
    ['resnet_v1_18', '11.69M', '1.814G', '224', '4', '8', '16', '32'],
    ['cifar_residual_26', '0.37M', '0.055G', '32', '1', '2', '4', 'cifar'],
  ]


def test_the_command_in_json(capsys):
  assert nets_main.main(['--json', 'resnet_v1_50']) == 0
  (found,) = json.loads(capsys.readouterr().out)
  assert found['parameters'] == 25_557_032
  assert found['strides'] == [4, 8, 16, 32]
  assert found['pretrained'][0] == {
    'name': 'tfslim:resnet_v1_50',
    'top1': 75.2,
    'top5': 92.2,
  }


def test_a_name_that_is_none(capsys):
  assert nets_main.main(['resnet_v1_51']) == 1
  printed = capsys.readouterr()
  assert printed.err.startswith(
    "error: There is no network named 'resnet_v1_51'"
  )
  assert printed.out == ''


def test_accuracies_that_are_not_known():
  row = listing.Listed(
    'net', 1, 2, 32, 10, (1,), 'vgg', (listing.Weights('a:b', None, None),)
  )
  assert listing.table([row]).splitlines()[1].endswith('vgg            a:b')
