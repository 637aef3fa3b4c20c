"""What workers give to each other, by an exchange of bytes."""

import json

import numpy as np

from engine.replicas import workers


class Fake(workers.Workers):
  """The first of three; the others give what they are told to."""

  count = 3

  def __init__(self, *others):
    self.others, self.given = others, []

  def exchange(self, data):
    self.given.append(data)
    return [data, *self.others]


def test_alone():
  alone = workers.current()
  assert (alone.count, alone.index, alone.master) == (1, 0, '')
  assert alone.is_chief and alone.exchange(b'ab') == [b'ab']
  arrays, value = {'a': np.ones(2)}, {'b': (1, 2)}
  assert alone.gather(arrays)[0] is arrays  # nothing is copied
  assert alone.gather_json(value)[0] is value
  assert alone.wait() is None


def test_gather():
  """Arrays of the workers, of other shapes, dtypes and names too."""
  own = {'counts': np.arange(6).reshape(2, 3), 'means': np.float32(0.1)}
  second = {'counts': np.zeros([0, 3], np.int64), 'means': np.float32(0.2)}
  third = {'a/b': np.array([True, False])}
  fake = Fake(workers._packed(second), workers._packed(third))
  found = fake.gather(own)
  for got, want in zip(found, [own, second, third], strict=True):
    assert list(got) == list(want)
    for name, value in want.items():
      assert got[name].dtype == value.dtype and got[name].shape == value.shape
      assert got[name].tobytes() == value.tobytes()
  assert len(fake.given) == 1


def test_gather_json():
  fake = Fake(b'null', json.dumps(['\xe4', 1.5]).encode())
  assert fake.gather_json({'a': [1, '\u732b']}) == [
    {'a': [1, '\u732b']},
    None,
    ['\xe4', 1.5],
  ]


def test_wait():
  fake = Fake(b'', b'')
  fake.wait()
  assert fake.given == [b'']


def test_use():
  """Of those within alone, and put back after a failure."""
  before = workers.current()
  fake = Fake()
  try:
    with workers.use(fake):
      assert workers.current() is fake and fake.is_chief
      raise KeyError
  except KeyError:
    pass
  assert workers.current() is before
  fake.index = 2
  assert not fake.is_chief
