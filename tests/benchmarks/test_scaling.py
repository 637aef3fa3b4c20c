"""Replicas and workers: the arithmetic of predictions, turns and tables."""

import argparse
import socket

import pytest

from benchmarks import scaling
from nets import nets_factory

LAYERS = [scaling.Layer(4, 30), scaling.Layer(8, 10), scaling.Layer(4, 60)]
# 1.5 s of 3 are forward and the first half of the backward pass; 1 MB a second.
COST = scaling.Cost(seconds=3.0, gbits=0.008, latency=0.0)


def test_the_layers_are_those_of_the_network():
  """Every parameter and every multiply-add, once."""
  trained, moving = scaling.layers_of('resnet_v1_18', 10, 64)
  size = nets_factory.count('resnet_v1_18', 10, image_size=64)
  assert sum(each.size for each in trained) == 4 * size.parameters
  assert sum(each.work for each in trained) == size.multiply_adds
  # A mean and a variance for each gamma and beta.
  norms = sum(each.size for each in trained if not each.work) - 4 * 10
  assert sum(each.size for each in moving) == norms


def test_packs():
  """The last layers first; a pack is there with the first of its layers."""
  assert scaling.packs_of(LAYERS, 12) == [
    scaling.Pack(12, 0.7),
    scaling.Pack(4, 1.0),
  ]
  assert scaling.packs_of(LAYERS, 1000) == [scaling.Pack(16, 1.0)]


@pytest.mark.parametrize(
  'workers,found', [(2, 100), (4, 150), (256, 199.21875)]
)
def test_bytes_of_a_ring(workers, found):
  assert scaling.sent(100, workers) == found


def test_a_pack_waits_for_its_gradients_and_for_the_one_before():
  packs = [scaling.Pack(10**6, 0.25), scaling.Pack(10**5, 0.5)]
  packs.append(scaling.Pack(5 * 10**5, 1.0))
  assert scaling.timeline(packs, 2, COST) == [
    (1.5, 1.5, pytest.approx(2.5)),
    (2.0, pytest.approx(2.5), pytest.approx(2.6)),
    (3.0, 3.0, pytest.approx(3.5)),
  ]
  assert scaling.efficiency(packs, 2, COST) == pytest.approx(3 / 3.5)


def test_messages_take_time_however_short():
  """2 (n-1) of them a pack."""
  cost = COST._replace(latency=0.01)
  ((_, begin, end),) = scaling.timeline([scaling.Pack(0, 1.0)], 6, cost)
  assert (begin, end) == (3.0, pytest.approx(3.1))


def test_what_is_sent_in_time_costs_nothing():
  assert scaling.efficiency([scaling.Pack(10**5, 0.1)], 2, COST) == 1


def arguments(**changed):
  return argparse.Namespace(
    **{'step_ms': 200.0, 'latency_us': 50.0, 'gbits': [10.0]} | changed
  )


def test_the_prediction_shows_how_it_comes_about(monkeypatch):
  monkeypatch.setattr(scaling, 'PREDICTED', ('resnet_v1_50',))
  text = '\n'.join(scaling.prediction(arguments(), measured=2.5))
  assert '25,557,032 trained parameters, 102.2 MB' in text
  assert 'send 178.9 MB each' in text
  assert '200.0 ms alone / 217.4 ms = 92.0%' in text
  rows = [line.split() for line in text.splitlines()[-2:]]
  assert rows[0][:2] == ['10', '92.0%']
  assert rows[1][0] == '2.5' and rows[1][-1] == 'loopback)'


def test_turns_of_two_workers_have_the_same_steps(monkeypatch):
  """The one that is asked tells the seconds of each kind."""
  now = 0.0
  monkeypatch.setattr(scaling, 'perf_counter', lambda: now)
  ours, theirs = socket.socketpair()
  parent = scaling.Line(ours)
  for text in ('begin', 'begin', 'end'):
    parent.send(text)
  kinds = []
  for kind in scaling.schedule(scaling.Line(theirs), 'ab', 2, 3):
    kinds.append(kind)
    now += 1.0 if kind == 'a' else 2.0
  assert ''.join(kinds) == 'aaabbb' + 'aaabbb' + 'bbbaaa'
  assert kinds == list(scaling.schedule(None, 'ab', 2, 3))
  for _ in range(2):
    assert parent.receive() == {'a': 1.0, 'b': 2.0}


def test_a_parent_that_is_gone():
  ours, theirs = socket.socketpair()
  ours.close()
  with pytest.raises(EOFError):
    scaling.Line(theirs).receive()


def test_the_report():
  def times(loop, bare):
    return [{'the loop': loop * i, 'bare steps': bare * i} for i in (1, 2, 4)]

  measured = scaling.Measured(
    {
      '1 replica': times(1.0, 0.8),
      '2 replicas': times(2.0, 2.0),
      '4 replicas': times(4.0, 4.0),
      '2 workers': times(1.25, 1.0),
      'half alone': times(1.0, 1.0),
      scaling.SUMS: [{'all': 0.125, 'one number': 0.001}] * 3,
    },
    loopback=[2e6],
  )
  given = arguments(
    model_name='cifar_resnet_v1_20', image_size=32, batch=8, turns=3, steps=1
  )
  text = '\n'.join(scaling.report(measured, given, 2))
  assert '2 workers are 0.800 times as fast' in text
  assert 'have 0.800 of the speed' in text
  assert '+25.00%' in text  # the loop of 1 replica
  assert 'Counted on loopback, of both: 2.0 MB' in text
  assert 'One number takes 1000 us, 500 a message' in text
  size = 4 * nets_factory.count('cifar_resnet_v1_20', 2).parameters
  assert f'{size / 1e6:.2f} MB of gradients' in text
  assert scaling.rate(measured, given) > size * 8 / 0.125 / 1e9
