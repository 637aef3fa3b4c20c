"""The names of the classes, as the classification of files shows them."""

import json
import os
import types

import pytest

from engine.resolve import class_names

RUN = {'labels_offset': 1}


def of_checkpoint(path, run, num_classes):
  config = types.SimpleNamespace(labels_file=str(path))
  return class_names.of_checkpoint(config, 'run/model.ckpt-1', run, num_classes)


def write(folder, names, first=0):
  path = folder / 'names.json'
  path.write_text(json.dumps({i: name for i, name in enumerate(names, first)}))
  return path


@pytest.mark.parametrize(
  'names, first',
  [(['none', 'a', 'b'], 0), (['a', 'b'], 1), (['a', 'b'], 0)],
  ids=['labels', 'labels without the first', 'logits'],
)
def test_labels_or_logits(tmp_path, names, first):
  path = write(tmp_path, names, first)
  assert of_checkpoint(path, RUN, 2) == ['a', 'b']


@pytest.mark.parametrize(
  'run, names, first, words',
  [
    (RUN, 'abcd', 0, ('4 classes', '2 logits', '3 names', 'first 1 are no')),
    ({'class_names': 'ab'}, 'abc', 0, ('3 classes', '2 logits', '0 to 1')),
    ({'class_names': 'ab'}, 'ab', 1, ('has none for label 0',)),
    ({'class_names': 'ab'}, 'a', 0, ('1 classes', 'has none for label 1')),
    (RUN, ['a', ' '], 0, ('name of label 1 is empty',)),
    (RUN, ['a', 'b\x1b[2J'], 0, (r"'b\x1b[2J' has a control character",)),
  ],
)
def test_names_that_do_not_fit(tmp_path, run, names, first, words):
  path = write(tmp_path, names, first)
  with pytest.raises(ValueError) as caught:
    of_checkpoint(path, run, 2)
  for word in (str(path), *words):
    assert word in str(caught.value)


def test_names_that_are_shared(tmp_path):
  """ImageNet has two cranes; they get the numbers of their labels."""
  path = write(tmp_path, ['none', 'crane', 'hen', 'crane'])
  assert of_checkpoint(path, RUN, 3) == ['crane (1)', 'hen', 'crane (3)']


def test_a_run_of_another_number_of_classes():
  config = types.SimpleNamespace(labels_file=None)
  with pytest.raises(ValueError, match='has 3 classes, and the checkpoint 2'):
    class_names.of_checkpoint(config, 'a.ckpt', {'class_names': 'abc'}, 2)


@pytest.mark.parametrize(
  'text',
  [
    '',
    '[]',
    '["chef"]',
    '{"0": 7}',
    '{"0": null}',
    '{"a": "chef"}',
    '{"-1": "chef"}',
    '{"00": "chef"}',
    '{"0": "chef", "0": "cook"}',
    '{"0": "\\ud800"}',
    '{"0": "a\\nb"}',
    '[' * 10**5,
    '\xff',
  ],
)
def test_json_of_another_form(tmp_path, text):
  path = tmp_path / 'names.json'
  path.write_text(text, 'latin-1')
  with pytest.raises(ValueError) as error:
    class_names.read_names(str(path))
  assert str(error.value).startswith(
    f'{path} is no JSON object from numbers to names, such as {{"0": "chef"}}: '
  )


def test_json(tmp_path):
  path = tmp_path / 'names.json'
  path.write_text('{"1": "K\u00e4se", "0": "chef"}', 'utf-8')
  assert class_names.read_names(str(path)) == {0: 'chef', 1: 'K\u00e4se'}


@pytest.mark.parametrize('name', ['names.json', 'names.txt'])
def test_a_pipe(tmp_path, name):
  os.mkfifo(tmp_path / name)
  with pytest.raises(ValueError, match=name):
    class_names.read_names(str(tmp_path / name))
