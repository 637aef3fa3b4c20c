"""Folders of images, one a class."""

import os
import pathlib
import re

import pytest

from datasets.convert import image_folder
from datasets.writing.plan import Options


def write(root, *names):
  """Writes files that hold their own names."""
  for name in names:
    path = pathlib.Path(root, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(os.fsencode(name))
  return str(root)


def plan(root, *names, **options):
  return image_folder.plan(write(root, *names), Options(**options))


def contents(plan):
  return {
    split: [(item.name, item.label) for item in items]
    for split, items in plan.splits.items()
  }


def refused(root, *names):
  with pytest.raises(ValueError) as caught:
    plan(root, *names)
  assert '\n' not in str(caught.value)
  str(caught.value).encode()
  return str(caught.value)


def test_train_and_others(tmp_path):
  found = plan(
    tmp_path,
    'train/b/2.png',
    'train/b/1.jpg',
    'train/a/x/y/3.jpg',
    'val/a/9.png',
    'test/b/7.png',
    'test/README',
  )
  assert found.class_names == ['a', 'b']
  assert found.source == str(tmp_path) and found.name == 'tfrecord'
  assert contents(found) == {
    'train': [
      ('train/a/x/y/3.jpg', 0),
      ('train/b/1.jpg', 1),
      ('train/b/2.png', 1),
    ],
    'test': [('test/b/7.png', 1)],
    'validation': [('val/a/9.png', 0)],
  }
  for items in found.splits.values():
    for item in items:
      assert item.read() == item.name.encode() and item.features == {}


def test_validation_by_its_name(tmp_path):
  found = plan(tmp_path, 'train/a/1', 'train/b/1', 'validation/b/1')
  assert list(found.splits) == ['train', 'validation']


@pytest.mark.parametrize('prefix', ['', 'train/'])
def test_one_split_is_parted(tmp_path, prefix):
  names = [f'{prefix}{c}/{i:02}.png' for c in 'ab' for i in range(20)]
  found = plan(tmp_path, *names, validation_fraction=0.25, seed=1)
  train, validation = found.splits['train'], found.splits['validation']
  assert sorted(item.name for item in train + validation) == names
  assert [
    sum(item.label == label for item in validation) for label in (0, 1)
  ] == [5, 5]
  again = plan(tmp_path, validation_fraction=0.25, seed=1)
  assert contents(again) == contents(found)
  other = plan(tmp_path, validation_fraction=0.25, seed=2)
  assert contents(other) != contents(found)


def test_current_folder(tmp_path, monkeypatch):
  write(tmp_path, 'train/a/1', 'train/b/1', 'test/a/2')
  monkeypatch.chdir(tmp_path)
  found = image_folder.plan('.', Options())
  assert [item.name for item in found.splits['train']] == [
    'train/a/1',
    'train/b/1',
  ]
  assert found.splits['test'][0].read() == b'test/a/2'


def test_litter_is_passed_over(tmp_path):
  found = plan(
    tmp_path,
    'a/1',
    'a/2',
    'b/1',
    'b/2',
    'LICENSE.txt',
    '.git/a/1',
    '__MACOSX/a/1',
    'a/.DS_Store',
    'a/Thumbs.db',
    'a/sub/desktop.ini',
    'a/.hidden/1',
    'a/__MACOSX/._1',
    'b/notes.txt',
  )
  names = sorted(item.name for items in found.splits.values() for item in items)
  assert names == ['a/1', 'a/2', 'b/1', 'b/2', 'b/notes.txt']


def test_a_class_called_train(tmp_path):
  found = plan(tmp_path, 'train/1', 'train/2', 'bus/1', 'plane/1')
  assert found.class_names == ['bus', 'plane', 'train']
  assert list(found.splits) == ['train', 'validation']


def test_blanks_around_a_name(tmp_path):
  assert plan(tmp_path, ' a/1', ' a/2', 'b/1').class_names == ['a', 'b']


def test_links(tmp_path):
  """Files and folders are followed, but never in a circle."""
  source = tmp_path / 'source'
  write(source, 'a/1', 'a/sub/2', 'b/1', 'b/2')
  write(tmp_path, 'else/3', 'file')
  (source / 'b' / 'file').symlink_to(tmp_path / 'file')
  (source / 'b' / 'folder').symlink_to(tmp_path / 'else')
  (tmp_path / 'else' / 'back').symlink_to(source / 'b')
  (source / 'a' / 'up').symlink_to('..')
  (source / 'a' / 'sub' / 'up').symlink_to(source / 'a')
  (source / 'c').symlink_to(source / 'a' / 'sub')
  found = image_folder.plan(str(source), Options())
  items = {item.name: item for items in found.splits.values() for item in items}
  assert sorted(items) == [
    'a/1',
    'a/sub/2',
    'b/1',
    'b/2',
    'b/file',
    'b/folder/3',
    'c/2',
  ]
  assert items['b/file'].read() == b'file'
  assert items['b/folder/3'].read() == b'else/3'


@pytest.mark.parametrize('target', ['nothing', 'link'])
def test_broken_link(tmp_path, target):
  (tmp_path / 'a').mkdir()
  (tmp_path / 'a' / 'link').symlink_to(target)
  assert refused(tmp_path, 'a/1', 'b/1') == (
    f"'{tmp_path}/a/link' is neither a file nor a folder; it may be a broken "
    'link. Take it away.'
  )


def test_pipe(tmp_path):
  """Reading it would wait for ever."""
  write(tmp_path, 'a/1', 'b/1')
  os.mkfifo(tmp_path / 'b' / 'pipe')
  assert "b/pipe' is neither a file nor" in refused(tmp_path)


def test_not_there(tmp_path):
  write(tmp_path, 'file')
  with pytest.raises(ValueError, match='none does not exist. Is --source'):
    image_folder.plan(str(tmp_path / 'none'), Options())
  with pytest.raises(ValueError, match='file is a file; --source should be a'):
    image_folder.plan(str(tmp_path / 'file'), Options())


def test_not_readable(tmp_path, monkeypatch):
  def scandir(path):
    raise PermissionError(13, 'Permission denied')

  monkeypatch.setattr(os, 'scandir', scandir)
  with pytest.raises(ValueError, match='cannot be listed: Permission denied'):
    image_folder.plan(str(tmp_path), Options())


@pytest.mark.parametrize(
  'names, words',
  [
    ([], 'has no sub-folders; it should have one for each class, with'),
    (['1.png', '2.png'], 'has no sub-folders; it should have one for each'),
    (['a/1', 'a/2'], 'has one class only, a; training needs two or more.'),
    (['train/a/1', 'test/a/1'], 'has one class only, a; training'),
    (['a/1', 'b/.x', 'c/.y'], 'No images in {0}/b, {0}/c. Add some, or'),
    (['train/a/1', 'train/b/1', 'test/a/.x'], 'No images in {0}/test/a.'),
    (['train/a/1', 'train/b/1', 'test/1'], '{0}/test has no sub-folders; it'),
    (
      ['train/a/1', 'train/b/1', 'test/c/1'],
      '{0}: test has examples of c, and train has none.',
    ),
    (
      ['train/a/1', 'train/b/1', 'val/a/1', 'validation/a/1'],
      '{0} has both val and validation. Keep one of them.',
    ),
    (['test/a/1', 'val/b/1'], '{0} has test, val but no train. Add the'),
    (
      ['train/a/1', 'test/a/1', 'models/1'],
      'folders of splits (test, train) and others (models). Move the others',
    ),
    (
      ['train/a/1', 'train/b/1', 'models/1'],
      'folders of splits (train) and others (models). Move the others',
    ),
    (['a/1', 'a /1', 'b/1'], "classes 'a' and 'a ' differ by surrounding"),
    (['a/1', 'b\nc/1'], r"the class 'b\nc' has a control character"),
    (['a/1', 'b/x\ty.png'], r"the file 'b/x\ty.png' has a control character"),
    (
      ['a/1', 'caf\udce9/1'],
      r"the class 'caf\udce9' has a control character, "
      'or bytes that are not UTF-8, in its name. Rename it.',
    ),
    (['a/1', 'b/caf\udce9.png'], r"the file 'b/caf\udce9.png' has a control"),
  ],
)
def test_refused(tmp_path, names, words):
  assert words.format(tmp_path) in refused(tmp_path, *names)


def test_many_in_an_error_are_cut(tmp_path):
  names = [f'{i}/.x' for i in range(9)]
  assert re.search('4 and 4 more. Add some', refused(tmp_path, *names))


@pytest.mark.parametrize('wrapped', [False, True])
def test_named(tmp_path, wrapped):
  prefix = 'idenprof/' if wrapped else ''
  names = [
    prefix + name
    for name in ('test/chef/1.jpg', 'train/chef/2.jpg', 'train/judge/3.jpg')
  ]
  write(tmp_path, *names, '__MACOSX/idenprof/x')
  found = image_folder.plan_named(str(tmp_path), Options(), 'idenprof')
  assert found.name == 'idenprof' and found.source == str(tmp_path)
  assert found.class_names == ['chef', 'judge']
  assert contents(found) == {
    'train': [(names[1], 0), (names[2], 1)],
    'test': [(names[0], 0)],
  }


def test_named_with_train_alone(tmp_path):
  write(tmp_path, 'train/a/1', 'train/a/2', 'train/b/1')
  found = image_folder.plan_named(str(tmp_path), Options(), 'flowers')
  assert found.class_names == ['a', 'b']
