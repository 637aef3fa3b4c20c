"""The network of a configuration: the options that it takes."""

import pytest
import tensorflow.compat.v1 as tf

from engine.config import scripts
from engine.config.tasks import CLASSIFICATION, SEGMENTATION, get_task
from engine.model import build
from tests import builders


def complete(name, **options):
  return build.complete(scripts.TrainConfig(model_name=name, **options))


@pytest.mark.parametrize(
  'name, root_block, shortcut',
  [
    ('resnet_v1_18', '7x7', 'B'),
    ('resnet_v2_50', '7x7', None),
    ('resnet_v1_50_beta', 'beta', None),
    ('cifar_residual_20', 'cifar', 'A'),
    ('cifar_highway_26', 'cifar', 'A'),
    ('cifar_resnet_v2_29', 'cifar', None),
  ],
)
def test_the_own_options_of_a_network(name, root_block, shortcut):
  found = complete(name)
  assert (found.root_block, found.shortcut) == (root_block, shortcut)
  assert build.network_options(found) == {
    'root_block': root_block,
    **({'shortcut': shortcut} if shortcut else {}),
  }


def test_given_options_stay():
  found = complete('resnet_v1_18', root_block='3x3', shortcut='C')
  assert build.network_options(found) == {'root_block': '3x3', 'shortcut': 'C'}
  assert complete('plain_34', root_block='beta').root_block == 'beta'


@pytest.mark.parametrize(
  'name, options, words',
  [
    (
      'resnet_v1_18',
      {'root_block': '5x5'},
      '--root_block=5x5 is unknown. It can be 7x7, 7x7_symmetric, beta, deep, '
      '3x3, cifar.',
    ),
    (
      'resnet_v1_18',
      {'shortcut': 'E'},
      '--shortcut=E is unknown. It can be A, B, C, D.',
    ),
    (
      'plain_18',
      {'shortcut': 'A'},
      '--shortcut=A: plain_18 has no such option. Leave it out, or take one of '
      'resnet_v1_18, resnet_v1_34, resnet_v1_5_50, ',
    ),
    ('cifar_resnet_v1_20', {'shortcut': 'A'}, 'has no such option'),
    (
      'cifar_residual_20',
      {'root_block': '3x3'},
      '--root_block=3x3 has 64 channels, the first block of cifar_residual_20 '
      '16, of which --shortcut=A cannot be made: pass --shortcut=B, or another '
      'root.',
    ),
    ('cifar_resnet_v1_21', {'shortcut': 'A'}, 'There is no network named'),
  ],
)
def test_what_is_refused(name, options, words):
  with pytest.raises(ValueError) as raised:
    complete(name, **options)
  assert words in str(raised.value)


@pytest.mark.parametrize(
  'name, root_block, stride',
  [
    ('resnet_v1_18', None, 16),
    ('resnet_v1_18', '3x3', 8),
    ('cifar_plain_8', None, 4),
  ],
)
def test_default_output_stride(name, root_block, stride):
  assert build.output_stride(complete(name, root_block=root_block)) == stride


@pytest.mark.parametrize('task', [CLASSIFICATION, SEGMENTATION])
def test_they_reach_the_network(monkeypatch, task):
  builders.register_tiny_networks(monkeypatch.setitem)
  built = build.complete(
    scripts.EvalConfig(
      task=task,
      model_name='resnet_v1_small',
      root_block='3x3',
      decoder='deeplabv3plus',
      decoder_depth=8,
      output_stride=4,
    )
  )
  with tf.Graph().as_default():
    logits, end_points = get_task(task).build(
      built, tf.zeros([1, 33, 33, 3]), 5
    )
    (kernel,) = (
      v
      for v in tf.global_variables()
      if v.op.name == 'resnet_v1_small/conv1/weights'
    )
  assert kernel.shape.as_list() == [3, 3, 3, 64]
  assert end_points['resnet_v1_small/conv1'].shape.as_list() == [1, 33, 33, 64]
  assert logits.shape.as_list() == (
    [1, 5] if task == CLASSIFICATION else [1, 33, 33, 5]
  )
