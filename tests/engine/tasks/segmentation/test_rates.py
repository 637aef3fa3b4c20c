"""Atrous rates that do not fit a stride or a crop: what is said."""

import pytest

from engine.config.scripts import TrainConfig
from engine.resolve.training import training
from engine.tasks.segmentation import rates
from tests import builders

AT_16 = {'atrous_rates': (6, 12, 18), 'output_stride': 16}


@pytest.mark.parametrize(
  'run, stride, want',
  [
    (AT_16, 8, (12, 24, 36)),
    (AT_16, 32, (3, 6, 9)),
    ({'atrous_rates': (12, 24, 36), 'output_stride': 8}, 16, (6, 12, 18)),
    ({}, 8, ()),
  ],
)
def test_rates_of_another_stride(run, stride, want):
  assert rates.of_run(run, stride) == want


def test_rates_that_another_stride_does_not_have():
  with pytest.raises(ValueError, match='no whole numbers there. Leave the'):
    rates.of_run({'atrous_rates': (6, 9), 'output_stride': 16}, 32)


@pytest.mark.parametrize(
  'given, stride, said',
  [
    ((6, 12, 18), 16, ''),
    ((6, 12, 18), 8, 'is usual at output stride 16. At 8, 12,24,36 reaches'),
    ((12, 24, 36), 16, 'is usual at output stride 8. At 16, 6,12,18 reaches'),
    ((1, 2, 3), 8, ''),
  ],
)
def test_rates_of_the_other_stride(capsys, given, stride, said):
  rates.check_stride(given, stride)
  found = capsys.readouterr().out
  assert said in found and bool(said) is bool(found)


@pytest.mark.parametrize(
  'given, stride, size, beyond, better',
  [
    ((6, 12, 18), 16, (513, 513), None, None),  # 33 features
    ((6, 12, 18), 16, (289, 513), None, None),  # 19
    ((6, 12, 18), 16, (513, 288), '18', '5,11,17'),  # 18
    ((6, 12, 18), 16, (129, 129), '12,18', '2,5,8'),  # 9
    ((6, 12, 18), 8, (33, 33), '6,12,18', '1,2,4'),  # 5
    ((6, 12, 18), 16, (16, 16), '6,12,18', None),  # 1
    ((), 16, (16, 16), None, None),
  ],
)
def test_taps_beyond_the_features(capsys, given, stride, size, beyond, better):
  rates.check_reach(given, stride, 'the crops', size)
  found = capsys.readouterr().out
  assert bool(found) is (beyond is not None)
  assert f'here {beyond or ""}, ' in found or not beyond
  assert ('--atrous_rates=' in found) is (better is not None)
  assert f'--atrous_rates={better} ' in found or not better


@pytest.mark.usefixtures('workplace')
def test_said_by_training(shapes, capsys):
  flags = {**builders.shape_flags(shapes), 'train_crop_size': '33'}
  training(TrainConfig(**{**flags, 'decoder': 'aspp'}))
  found = capsys.readouterr().out
  assert 'the crops of --train_crop_size=33 have 5 features' in found
  training(TrainConfig(**flags))  # fcn has no rates
  assert 'atrous' not in capsys.readouterr().out


@pytest.mark.parametrize(
  'given, stride, differ',
  [((6, 12, 18), 16, False), ((12, 24, 36), 8, False), ((6, 12, 18), 8, True)],
)
def test_other_rates_than_those_of_a_run(capsys, given, stride, differ):
  rates.check_trained(given, stride, AT_16)
  said = 'reach another distance than those of the run, 6,12,18 at 16'
  assert (said in capsys.readouterr().out) is differ
