"""JSON in files: bounded, and of known kinds."""

import os
from typing import TypedDict

import pytest

from datasets import files, json_files


class Point(TypedDict):
  x: int
  y: float | None


def test_read(tmp_path):
  path = tmp_path / 'a.json'
  path.write_text('{"ä": [1, 2.5, null, "猫"], "b": {}}', 'utf-8')
  assert json_files.read(path) == {'ä': [1, 2.5, None, '猫'], 'b': {}}


@pytest.mark.parametrize(
  'data, words',
  [
    (b'', 'Expecting value'),
    (b'{"a": 1', "Expecting ',' delimiter"),
    (b'\xff\xfe', 'it is not UTF-8 text'),
    (b'{"a": 1, "b": 2, "a": 3}', 'it has "a" twice'),
    (b'[' * 21 + b']' * 21, 'it nests more than 20 values in each other'),
    (b'[' * 10**6, 'it nests more than 20 values in each other'),
    (b'{"a":' * 10**5, 'it nests more than 20 values in each other'),
    (b'9' * 5000, 'digits'),
    (b' ' * (1 << 24) + b'1', 'it has more than 16,777,216 bytes'),
  ],
)
def test_what_is_refused(tmp_path, data, words):
  path = tmp_path / 'a.json'
  path.write_bytes(data)
  with pytest.raises(ValueError, match=words):
    json_files.read(path)


def test_only_files(tmp_path):
  os.mkfifo(tmp_path / 'a')
  with pytest.raises(files.Irregular, match='a is a pipe, and no file'):
    json_files.read(tmp_path / 'a')


@pytest.mark.parametrize(
  'value, kind',
  [
    (1, int),
    (1, float),
    (1.5, float),
    ('', str),
    (True, bool),
    (None, int | None),
    ([], list[int]),
    ([1, None], list[int | None]),
    ({'a': {'b': 1}}, dict[str, dict[str, int]]),
    ({'x': 1, 'y': None, 'more': ''}, Point),
    ([{'x': 1, 'y': 2}], list[Point]),
  ],
)
def test_kinds(value, kind):
  json_files.check(value, kind, 'it')


@pytest.mark.parametrize(
  'value, kind, text',
  [
    (True, int, 'it is true, and should be a whole number'),
    (2**63, int, 'it is 9223372036854775808, and should be a whole number'),
    (1.0, int, 'it is 1.0, and should be a whole number'),
    (1, bool, 'it is 1, and should be true or false'),
    ('1', float, 'it is "1", and should be a number'),
    (None, str, 'it is null, and should be a text'),
    ({}, int | None, 'it is {}, and should be a whole number or null'),
    ([1, 'a'], list[int], 'it[1] is "a", and should be a whole number'),
    ({'a': [1]}, dict[str, int], 'it["a"] is [1], and should be a whole'),
    ({'x': 1.5}, Point, 'it.x is 1.5, and should be a whole number'),
    ([{}], list[Point], 'it[0].x is null, and should be a whole number'),
    ([], Point, 'it is [], and should be an object'),
  ],
)
def test_other_kinds(value, kind, text):
  with pytest.raises(ValueError) as error:
    json_files.check(value, kind, 'it')
  assert str(error.value).startswith(text)
