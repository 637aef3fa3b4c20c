"""The names of classes in a file."""

import os

import pytest

from engine.resolve import class_names


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
