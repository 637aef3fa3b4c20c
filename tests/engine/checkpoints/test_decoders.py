"""Which form of a decoder a checkpoint has, and that no other is made of it."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from engine.checkpoints import architecture, compatibility, warm_start
from engine.checkpoints.inference import InferenceSession
from engine.config.scripts import TrainConfig
from nets.slim_compat import slim
from tests import builders
from tests.engine.checkpoints import decoder_shapes

SEPARABLE = '--aspp_with_separable_conv=true --decoder_use_separable_conv=true'
# What a checkpoint has, beside what is built, and what is said of it.
OTHERS = {
  'separable': ({'separable': True}, {}, SEPARABLE),
  'not separable': (
    {},
    {'separable': True},
    '--aspp_with_separable_conv=false --decoder_use_separable_conv=false',
  ),
  'separable aspp': (
    {'separable': True, 'stages': 0},
    {'stages': 0},
    '--aspp_with_separable_conv=true',
  ),
  'separable decoder': (
    {'decoder_separable': True},
    {},
    '--decoder_use_separable_conv=true',
  ),
  'image level': ({}, {'image_level': False}, '--add_image_level_feature=true'),
  'two stages': (
    {'stages': 2},
    {},
    '--decoder_output_stride of 2, such as 4,2',
  ),
  'a decoder': ({}, {'stages': 0}, '--decoder=deeplabv3plus'),
  'rates': ({'rates': 4}, {}, '--atrous_rates of 4 numbers'),
}


@pytest.mark.parametrize(
  'options, name, stages, told',
  [
    ({}, 'deeplabv3plus', 1, (False, False, True)),
    ({'separable': True}, 'deeplabv3plus', 1, (True, True, True)),
    ({'decoder_separable': True}, 'deeplabv3plus', 1, (False, True, True)),
    (
      {'stages': 2, 'image_level': False},
      'deeplabv3plus',
      2,
      (False, False, False),
    ),
    ({'separable': True, 'stages': 2}, 'deeplabv3plus', 2, (True, True, True)),
    ({'separable': True, 'stages': 0}, 'aspp', 0, (True, None, True)),
    ({'classes': 0, 'rates': 2}, 'deeplabv3plus', 1, (False, False, True)),
  ],
)
def test_every_form_is_told(options, name, stages, told):
  found = architecture.decoder(decoder_shapes.of(**options))
  names = (
    'aspp_with_separable_conv',
    'decoder_use_separable_conv',
    'add_image_level_feature',
  )
  assert (found.name, found.depth, found.stages) == (name, 8, stages)
  assert found.rates == options.get('rates', 3)
  assert tuple(found.options.get(option) for option in names) == told


def test_what_is_printed():
  shapes = decoder_shapes.of(separable=True, stages=2)
  assert architecture.decoder(shapes).forms == (
    f'deeplabv3plus, 8 channels, {SEPARABLE.replace(" ", ", ")}, '
    '--decoder_output_stride of 2, such as 4,2'
  )
  assert architecture.decoder(decoder_shapes.of(stages=0)).forms == (
    'aspp, 8 channels'
  )


BACKBONE = {'net/block1/unit_1/bottleneck_v1/conv1/weights': [1, 1, 4, 4]}


def build(options):
  for name, shape in {**decoder_shapes.of(**options), **BACKBONE}.items():
    slim.model_variable(
      name,
      shape,
      trainable='moving' not in name,
      initializer=tf.zeros_initializer(),
    )


def save(folder, options, **more):
  path = str(folder / 'a.ckpt')
  shapes = {**decoder_shapes.of(**options), **BACKBONE, **more}
  builders.write_checkpoint(
    path, {name: np.ones(shape, np.float32) for name, shape in shapes.items()}
  )
  return path


@pytest.mark.parametrize('name', OTHERS)
def test_another_form_is_refused(name):
  there, here, flags = OTHERS[name]
  there, here = decoder_shapes.of(**there), decoder_shapes.of(**here)
  with pytest.raises(ValueError) as error:
    compatibility.check_decoder('P', here, there)
  sentence = str(error.value)
  assert sentence.startswith('The decoder of the checkpoint P is of another ')
  assert sentence.endswith(f': pass {flags}.')
  compatibility.check_decoder('P', there, there)


def test_by_inference_and_by_a_new_run_which_may_leave_it(tmp_path, graph):
  path = save(tmp_path, {'separable': True, 'stages': 0})
  build({'stages': 0})
  sentence = (
    f'The decoder of the checkpoint {path} is of another form than the '
    "network's, which lacks 30 of its variables, "
    'aspp1_depthwise/BatchNorm/beta, aspp1_depthwise/BatchNorm/gamma, '
    'aspp1_depthwise/BatchNorm/moving_mean and 27 more: pass '
    '--aspp_with_separable_conv=true'
  )
  with InferenceSession(graph) as network, pytest.raises(ValueError) as error:
    network.restore(path)
  assert str(error.value) == f'{sentence}.'
  config = TrainConfig(checkpoint_path=path)
  with pytest.raises(ValueError) as error:
    warm_start.prepare(config)
  scopes = (
    'aspp1_depthwise,aspp1_pointwise,aspp2_depthwise,aspp2_pointwise,'
    'aspp3_depthwise,aspp3_pointwise'
  )
  assert str(error.value) == (
    f'{sentence}, or leave them by --checkpoint_exclude_scopes={scopes}.'
  )
  start = warm_start.prepare(config.replace(checkpoint_exclude_scopes=scopes))
  assert 'aspp0/weights' in start.restored and len(start.unexpected) == 30
  assert len(start.skipped) == 15 and 'aspp1/weights' in start.skipped
  with pytest.raises(ValueError, match="under the scope 'aspp4'"):
    warm_start.prepare(
      config.replace(checkpoint_exclude_scopes=f'aspp4,{scopes}')
    )


def test_what_no_flag_builds():
  """DeepLabv2's logits of each rate, or one of a hand-written decoder."""
  here = decoder_shapes.of()
  for name in 'logits/semantic_1/weights', 'decoder/mine/weights':
    with pytest.raises(ValueError, match=f'{name}: no flag builds it.$'):
      compatibility.check_decoder('P', here, {**here, name: [1]})


def test_other_classes_and_no_decoder_are_as_before(tmp_path, graph):
  path = save(tmp_path, {'classes': 7})
  build({})
  start = warm_start.prepare(TrainConfig(checkpoint_path=path))
  assert set(start.skipped) == {
    'logits/semantic/weights',
    'logits/semantic/biases',
  }


def test_a_network_without_a_decoder_takes_what_it_has(tmp_path, graph):
  """Such as a classifier from the weights of a segmentation."""
  path = save(tmp_path, {'separable': True}, **{'net/conv/weights': [2]})
  slim.model_variable('net/conv/weights', [2])
  start = warm_start.prepare(TrainConfig(checkpoint_path=path))
  assert list(start.restored) == ['net/conv/weights'] and start.unexpected
