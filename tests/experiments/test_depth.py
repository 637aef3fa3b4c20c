"""The costs of training steps over depth, by the experiment's main."""

import csv
import os

import pytest
from matplotlib import figure

from experiments import depth, step_cost
from tests import builders


def cost(network, batch_size, steps, recompute):
  """Linear costs, but for the memory of maps that are computed again."""
  layers = int(network.rpartition('_')[2])
  return (
    2.0 * layers + 1,
    10.0 * layers ** (0.5 if recompute else 1),
    700.0,
    1.0,
  )


@pytest.fixture
def measured(monkeypatch, tmp_path):
  """The measurements that were asked for; they are not made."""
  monkeypatch.chdir(tmp_path)
  calls = []

  def apart(*arguments):
    calls.append((arguments[0], arguments[3]))
    return cost(*arguments)

  monkeypatch.setattr(depth, '_apart', apart)
  return calls


def rows(path='runs/experiments/depth/depth.csv'):
  with open(path, newline='') as file:
    return list(csv.DictReader(file))


def test_growth_and_trade_are_told(measured):
  printed = builders.call(depth, '--recompute', depths='1001,29,110')
  assert printed.status == 0, printed.err
  assert [(row['network'], row['recompute'], row['step_ms']) for row in rows()][
    :2
  ] == [
    ('cifar_resnet_v2_29', 'False', '59.0'),
    ('cifar_resnet_v2_29', 'True', '59.0'),
  ]
  assert len(measured) == len(rows()) == 6
  assert os.path.getsize('runs/experiments/depth/depth.png') > 10_000
  for sentence in (
    'Activations kept: the time of a step is linear in depth; a line of '
    '2.000 ms a layer is at most 0% off (R^2 = 1.0000). 34.5 times the layers '
    'have 33.9 times as much.',
    'Activations kept: the memory of a step is linear in depth; a line of '
    '10.000 MB',
    'Activations recomputed: the memory of a step is not linear in depth',
    'At 1001 layers, recomputed activations take 1.00 times as long and 0.03 '
    'times the memory.',
  ):
    assert sentence in printed.out


def test_a_line_is_drawn_of_what_is_linear(monkeypatch, tmp_path):
  """Of the rest the points are joined; slopes have a unit."""
  drawn = []
  monkeypatch.setattr(
    figure.Figure, 'savefig', lambda fig, *_, **__: drawn.append(fig)
  )
  table = [
    depth.Row('net', layers, 4, way, *cost(f'net_{layers}', 4, 1, way))
    for way in (False, True)
    for layers in (29, 110, 488, 1001)
  ]
  depth._draw(tmp_path / 'depth.png', table, 'title')
  _, memory = drawn[0].axes
  kept, line, recomputed, joined = memory.lines
  assert line.get_label() == '10.000 MB a layer, $R^2$ = 1.000'
  assert len(line.get_xdata()) == 2
  assert joined.get_label().startswith('not linear: up to ')
  assert list(joined.get_ydata()) == list(recomputed.get_ydata())
  assert kept.get_label() == 'activations kept'


def test_resumes_where_it_was_stopped(measured, monkeypatch):
  apart = depth._apart

  def stopped(network, *others):
    if network.endswith('_14'):
      raise KeyboardInterrupt
    return apart(network, *others)

  flags = {'family': 'cifar_plain', 'depths': '8,14,20'}
  monkeypatch.setattr(depth, '_apart', stopped)
  assert builders.call(depth, **flags).status == 130
  monkeypatch.setattr(depth, '_apart', apart)
  assert builders.call(depth, **flags).status == 0
  assert measured == [(f'cifar_plain_{n}', False) for n in (8, 14, 20)]
  printed = builders.call(depth, **flags)
  assert len(measured) == 3
  assert '3 measurements, 3 of them made' in printed.out
  builders.call(depth, batch_size=2, **flags)
  assert len(measured) == len(rows()) == 6


@pytest.mark.slow
def test_a_measurement_in_a_process_of_its_own():
  kept = step_cost.measure('cifar_plain_20', 2, 1, again=False)
  again = step_cost.Cost(*depth._apart('cifar_plain_20', 2, 1, True))
  assert 0 < again.step_mb < 0.7 * kept.step_mb
  assert 100 < again.process_mb < 5000
  assert 0 < again.step_ms < 1000 * again.build_s


def test_a_killed_measurement_is_told(monkeypatch):
  monkeypatch.setattr(depth, '_measure', os._exit)
  with pytest.raises(ValueError, match='was killed.* --batch_size'):
    depth._apart(9)


@pytest.mark.parametrize(
  'flags, words',
  [
    ({'depths': '29,30'}, ['cifar_resnet_v2_29', 'cifar_resnet_v2_38']),
    ({'depths': '29,a'}, ['--depths', 'no number']),
    ({'family': 'resnet'}, ['no network named', 'resnet_29']),
    ({'batch_size': 0}, ['--batch_size=0', 'at least 1']),
  ],
)
def test_mistakes_are_told_before_anything_is_measured(flags, words, measured):
  builders.refused(builders.call(depth, **flags), *words)
  assert not measured and not os.path.exists('runs')


def test_a_table_of_another_kind_is_left_alone(measured):
  os.makedirs('other')
  with open('other/depth.csv', 'w') as file:
    file.write('metres,fish\n3,herring\n')
  builders.refused(
    builders.call(depth, output_dir='other'),
    'other/depth.csv',
    'name another --output_dir',
  )
  assert rows('other/depth.csv') == [{'metres': '3', 'fish': 'herring'}]
