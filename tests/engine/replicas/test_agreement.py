"""Workers that do not mean the same are named, with what differs."""

import json
import os
import pathlib
import threading

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from engine.replicas import agreement, workers


class Among(workers.Workers):
  """A worker of several, in a thread each, that exchange by a barrier."""

  def __init__(self, index, given, barrier):
    self.index, self._given, self._barrier = index, given, barrier
    self.count = len(given)

  def exchange(self, data):
    self._given[self.index] = data
    self._barrier.wait()
    found = [*self._given]
    self._barrier.wait()
    return found


def together(count, function):
  """Returns what function(index) returns or raises, of each worker."""
  given, barrier = [b''] * count, threading.Barrier(count, timeout=20)
  found = [None] * count

  def run(index):
    with workers.use(Among(index, given, barrier)):
      try:
        found[index] = function(index)
      except ValueError as error:
        found[index] = str(error)

  threads = [threading.Thread(target=run, args=[i]) for i in range(count)]
  for thread in threads:
    thread.start()
  for thread in threads:
    thread.join()
  return found


def checked(*facts):
  return together(
    len(facts), lambda index: agreement.check(facts[index], 'do this.')
  )


def test_the_same():
  assert checked(*[{'a': 1, 'b': [1, None]}] * 3) == [None] * 3
  agreement.check({'a': object()}, '')  # alone: nothing is compared


def test_order_does_not_matter():
  assert checked({'a': 1, 'b': 2}, {'b': 2, 'a': 1}) == [None] * 2


@pytest.mark.parametrize(
  'facts, said',
  [
    (
      [{'a': 1}, {'a': 1}, {'a': 2}],
      'Worker 2 has a 2, not 1 as worker 0, the chief, has: do this.',
    ),
    (
      [{'a': 1, 'b': 'x'}, {'a': 3, 'b': 'y'}, {'a': 1, 'b': 'x'}],
      'Worker 1 has a 3, not 1; b y, not x as worker 0, the chief, has: do '
      'this.',
    ),
    (
      [{'a': 1}, {}],
      'Worker 1 has a none, not 1 as worker 0, the chief, has: do this.',
    ),
    (
      [{}, {'a': 0}],
      'Worker 1 has a 0, not none as worker 0, the chief, has: do this.',
    ),
    # The chief alone differs: it is still the one to compare with.
    (
      [{'a': 1}, {'a': 2}, {'a': 2}],
      'Worker 1 has a 2, not 1 as worker 0, the chief, has: do this.',
    ),
  ],
)
def test_all_say_who_differs_and_in_what(facts, said):
  assert checked(*facts) == [said] * len(facts)


def test_software():
  found = agreement.software()
  assert found['TensorFlow'] == tf.__version__
  assert found['NumPy'] == np.__version__
  assert json.loads(json.dumps(found)) == found == agreement.software()


def test_other_code_is_other_software(monkeypatch, tmp_path):
  """A line of a package counts, a note beside it does not."""
  root = tmp_path / 'engine' / 'replicas'
  root.mkdir(parents=True)
  monkeypatch.setattr(agreement, '__file__', str(root / 'agreement.py'))
  found = []
  for name, text in [
    ('a.py', '1'),
    ('a.txt', '1'),
    ('a.py', '2'),
    ('b.py', ''),
  ]:
    (root / name).write_text(text)
    found.append(agreement.software()['the code of this project'])
  assert found[0] == found[1] and len(set(found)) == 3


@pytest.mark.parametrize('count', [1, 3])
def test_one_folder(tmp_path, count):
  """By whatever name; nothing is left in it."""
  os.symlink(tmp_path, tmp_path.parent / f'{tmp_path.name}-link')
  names = [str(tmp_path), f'{tmp_path}-link', os.path.relpath(tmp_path)]
  assert (
    together(
      count, lambda index: agreement.check_shared(names[index], 'train_dir')
    )
    == [None] * count
  )
  assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
  'places, blind', [('aba', '1'), ('abc', '1, 2'), ('aa-', '2')]
)
def test_other_folders(tmp_path, monkeypatch, places, blind):
  """A folder on a disk of its own, also one with an old token, and none."""
  monkeypatch.setattr(agreement, '_PATIENCE', 0.3)
  for name in 'abc':
    (tmp_path / name).mkdir()
  pathlib.Path(tmp_path, 'b', agreement._TOKEN).write_text('of another run')
  found = together(
    len(places),
    lambda index: agreement.check_shared(
      str(tmp_path / places[index]), 'eval_dir'
    ),
  )
  assert found == [
    f'Worker {blind} does not see what the chief writes to its --eval_dir: '
    'all workers need the same folder, on a file system that they share.'
  ] * len(places)
  assert list((tmp_path / 'a').iterdir()) == []


def test_a_folder_that_shows_late(tmp_path, monkeypatch):
  """As on a file system that other machines see after some seconds."""
  appears = pathlib.Path.read_text
  asked = []

  def late(path, *arguments):
    asked.append(path)
    if len(asked) < 3:
      raise FileNotFoundError
    return appears(path, *arguments)

  monkeypatch.setattr(pathlib.Path, 'read_text', late)
  assert (
    together(
      2, lambda index: agreement.check_shared(str(tmp_path), 'train_dir')
    )
    == [None] * 2
  )
  assert len(asked) > 2
