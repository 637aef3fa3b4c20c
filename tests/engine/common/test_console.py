"""What a person sees."""

import errno
import pathlib
import re
import sys
import threading

import pytest
import tensorflow.compat.v1 as tf

from engine.common import console

ROOT = pathlib.Path(__file__).parents[3]


def test_lines(capsys):
  console.say('one')
  console.note('two')
  console.error('three')
  found = capsys.readouterr()
  assert found.out == 'one\nnote: two\n' and found.err == 'error: three\n'


@pytest.mark.parametrize('say', [console.say, console.note, console.error])
def test_control_characters_are_shown(say, capsys):
  """A name of a file or a class does not command the terminal."""
  say('a\x1b[2Jb\r\x9bc\u202ed\udcff\n\té薔')
  found = ''.join(capsys.readouterr())
  assert found.endswith('a\\x1b[2Jb\\r\\x9bc\\u202ed\\udcff\n\té薔\n')


def test_no_bar_off_a_terminal(capfd):
  with console.progress(3) as bar:
    bar.update()
  assert capfd.readouterr().err == ''


def test_errors_stand_above_a_bar(capfd, monkeypatch):
  monkeypatch.setattr(sys.stderr, 'isatty', lambda: True)
  with console.progress(3) as bar:
    bar.update()
    console.error('wrong')
    console.note('told', aside=True)
  lines = re.split('[\r\n]', capfd.readouterr().err)
  assert 'error: wrong' in lines and 'note: told' in lines


@pytest.mark.parametrize('count, files', [(1, '1 file'), (1024, '1,024 files')])
def test_indexing_that_takes_long_is_shown(capfd, monkeypatch, count, files):
  monkeypatch.setattr(sys.stderr, 'isatty', lambda: True)
  told, say = threading.Event(), console.say
  monkeypatch.setattr(console, 'say', lambda text: (say(text), told.set()))
  with console.indexing(count, 0, 'indexing', after=0) as bar:
    assert told.wait(60)
    bar.mininterval = 0
    bar.update(1)
  found = capfd.readouterr()
  assert found.out == f'Looking for the records of {files}.\n'
  assert 'indexing: ' in found.err and f' 1/{count} ' in found.err


def test_indexing_that_takes_no_time_is_silent(capfd, monkeypatch):
  monkeypatch.setattr(sys.stderr, 'isatty', lambda: True)
  before = threading.active_count()
  with console.indexing(2, 0, 'indexing', after=1000) as bar:
    (line,) = (
      each
      for each in threading.enumerate()
      if isinstance(each, threading.Timer)
    )
    bar.mininterval = 0
    bar.update(2)
  line.join(60)
  assert not line.is_alive() and threading.active_count() == before
  assert capfd.readouterr() == ('', '')


def _raised(graph, function, **options):
  value = tf.numpy_function(function, [], tf.float32, **options)
  with tf.Session() as session:
    with pytest.raises(tf.errors.OpError) as error:
      session.run(value)
  return error.value


@pytest.mark.parametrize(
  'text',
  ['record 3 of /a b/c: is damaged. Copy it.', 'what: ValueError: is this?'],
)
def test_explain_an_error_inside_of_a_graph(graph, text):
  def fail():
    raise ValueError(text)

  failure = _raised(graph, fail)
  assert 'Traceback' in str(failure)  # what the user is spared
  assert console.explain(failure) == text


def test_explain_an_error_inside_of_a_data_set(graph):
  def fail(number):
    raise ValueError('The record is bad.')

  dataset = tf.data.Dataset.range(3).map(
    lambda n: tf.numpy_function(fail, [n], tf.float32)
  )
  following = tf.data.make_one_shot_iterator(dataset).get_next()
  with tf.Session() as session:
    with pytest.raises(tf.errors.OpError) as error:
      session.run(following)
  assert console.explain(error.value) == 'The record is bad.'


def test_explain_an_error_of_tensorflow(graph):
  image = tf.io.decode_image(tf.constant(b'no image at all'))
  with tf.Session() as session:
    with pytest.raises(tf.errors.InvalidArgumentError) as error:
      session.run(image)
  text = console.explain(error.value)
  assert 'Unknown image file format' in text
  assert '\n' not in text and 'File' not in text


@pytest.mark.parametrize(
  'mode, strerror',
  [('r', 'No such file or directory'), ('d', 'Is a directory')],
)
def test_explain_a_file(tmp_path, mode, strerror):
  path = str(tmp_path / 'nowhere') if mode == 'r' else str(tmp_path)
  with pytest.raises(OSError) as error:
    open(path)
  assert console.explain(error.value) == f'{path}: {strerror}.'


@pytest.mark.parametrize(
  'failure, text',
  [
    (ValueError('one\ntwo'), 'one\ntwo'),
    (ValueError(), 'ValueError'),
    (OSError('plain'), 'plain'),
    (
      OSError(errno.ENOSPC, 'No space left on device'),
      'No space left on device.',
    ),
    (tf.errors.AbortedError(None, None, 'Lost'), 'Lost.'),
    (tf.errors.AbortedError(None, None, 'Lost.'), 'Lost.'),
    (ImportError("No module named 'x'"), "No module named 'x'"),
  ],
)
def test_explain_others(failure, text):
  assert console.explain(failure) == text
