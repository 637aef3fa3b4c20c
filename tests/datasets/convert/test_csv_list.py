"""CSV files that list images."""

import pathlib

import pytest

from datasets.convert import csv_list
from datasets.writing.plan import Options

FILES = [f'{name}.png' for name in 'abcdefgh']


@pytest.fixture
def folder(tmp_path):
  (tmp_path / 'sub').mkdir()
  for name in [*FILES, 'sub/x, y.png']:
    (tmp_path / name).write_bytes(name.encode())
  return tmp_path


def plan(folder, text, **options):
  data = text if isinstance(text, bytes) else text.encode()
  (folder / 'list.csv').write_bytes(data)
  return csv_list.plan(str(folder / 'list.csv'), Options(**options))


def refused(folder, text, **options):
  with pytest.raises(ValueError) as caught:
    plan(folder, text, **options)
  assert '\n' not in str(caught.value)
  str(caught.value).encode()
  return str(caught.value)


def contents(plan):
  return {
    split: [(item.name, item.label) for item in items]
    for split, items in plan.splits.items()
  }


def test_names_and_splits(folder):
  found = plan(
    folder,
    (
      'size,label,split,path\n9,rose,train,a.png\n9,daisy,train,b.png\n'
      '9,rose,val,c.png\n\n9,daisy,test,"sub/x, y.png"\n'
    ),
  )
  assert found.class_names == ['daisy', 'rose']
  assert found.source == str(folder / 'list.csv')
  assert found.name == 'tfrecord'
  assert contents(found) == {
    'train': [('a.png', 1), ('b.png', 0)],
    'validation': [('c.png', 1)],
    'test': [('sub/x, y.png', 0)],
  }
  assert [item.read() for items in found.splits.values() for item in items] == [
    b'a.png',
    b'b.png',
    b'c.png',
    b'sub/x, y.png',
  ]


@pytest.mark.parametrize('bom', [b'', b'\xef\xbb\xbf'])
@pytest.mark.parametrize('end', [b'\n', b'\r\n'])
def test_encodings(folder, bom, end):
  found = plan(
    folder,
    bom
    + end.join(
      [
        b'path,label',
        'a.png,Käse'.encode(),
        'b.png,猫'.encode(),
        'c.png,Käse'.encode(),
      ]
    ),
  )
  assert found.class_names == ['Käse', '猫']


def test_one_split_is_parted(folder):
  rows = ''.join(f'{name},{i % 2}\n' for i, name in enumerate(FILES))
  for text in (
    'path,label\n' + rows,
    'path,label,split\n' + rows.replace('\n', ',train\n'),
  ):
    found = plan(folder, text, validation_fraction=0.25, seed=5)
    assert [item.label for item in found.splits['validation']] in (
      [0, 1],
      [1, 0],
    )
    names = [item.name for items in found.splits.values() for item in items]
    assert sorted(names) == FILES


def test_numbers(folder):
  found = plan(folder, 'path,label\na.png,3\nb.png,0\nc.png,03\n')
  assert found.class_names == ['0', '1', '2', '3']
  assert sorted(
    (item.name, item.label) for items in found.splits.values() for item in items
  ) == [('a.png', 3), ('b.png', 0), ('c.png', 3)]


def test_numbers_with_names(folder):
  (folder / 'names').write_text('0:x\n1:y\n2:z\n')
  found = plan(
    folder,
    'path,label\na.png,2\nb.png,0\nc.png,2\n',
    labels_file=str(folder / 'names'),
  )
  assert found.class_names == ['x', 'y', 'z']
  assert {item.label for item in found.splits['train']} == {0, 2}


def test_names_in_the_order_of_a_file(folder):
  (folder / 'names').write_text('0:z\n1:y\n')
  found = plan(
    folder,
    'path,label,split\na.png,y,train\nb.png,z,train\nc.png,z,test\n',
    labels_file=str(folder / 'names'),
  )
  assert found.class_names == ['z', 'y']
  assert contents(found) == {
    'train': [('a.png', 1), ('b.png', 0)],
    'test': [('c.png', 0)],
  }
  assert "list.csv, line 2: the label 'x' is not in" in refused(
    folder, 'path,label\na.png,x\nb.png,y\n', labels_file=str(folder / 'names')
  )


def test_some_numbers_are_names(folder):
  found = plan(
    folder, 'path,label\na.png,10\nb.png,9\nc.png,-1\nd.png,x\ne.png,x\n'
  )
  assert found.class_names == ['-1', '10', '9', 'x']


def test_absolute_paths(folder, tmp_path_factory):
  other = tmp_path_factory.mktemp('other') / 'o.png'
  other.write_bytes(b'other')
  found = plan(
    folder,
    f'path,label,split\n{folder}/a.png,x,train\n{other},y,train\nb.png,x,test',
  )
  assert contents(found)['train'] == [('a.png', 0), (str(other), 1)]
  assert found.splits['train'][1].read() == b'other'


def test_relative_source(folder, monkeypatch):
  plan(
    folder,
    'path,label,split\na.png,x,train\nb.png,y,train\n./sub/../c.png,x,test\n',
  )
  monkeypatch.chdir(folder)
  found = csv_list.plan('list.csv', Options())
  assert found.splits['test'][0].name == 'c.png'
  assert found.splits['test'][0].read() == b'c.png'


def test_the_same_row_again(folder):
  """It counts once, lest it is in train and in validation."""
  found = plan(
    folder,
    'path,label,split\na.png,x,train\nb.png,y,train\n'
    './a.png,x,train\nc.png,y,test',
  )
  assert contents(found)['train'] == [('a.png', 0), ('b.png', 1)]


@pytest.mark.parametrize(
  'text, words',
  [
    (
      '',
      'list.csv has no column path and label in its first line; it has '
      'nothing. The first line should be: path,label',
    ),
    ('path,label\n', 'list.csv has no rows below its first line. Add some.'),
    (
      'path,class\na.png,x\n',
      'has no column label in its first line; it has '
      "'path', 'class'. The first line should be: path,label",
    ),
    ('path;label\na.png;x\n', "it has 'path;label'. The first line should"),
    ('path,label,path\n', 'has the column path twice. Rename one.'),
    (
      'path,label\na.png,x\nb.png\n',
      'list.csv, line 3: it has 1 cells and '
      'the first line has 2. Add what is missing; quote a cell with a comma.',
    ),
    ('path,label\nx, y.png,x\n', 'line 2: it has 3 cells and the first'),
    ('path,label\na.png,\n', 'list.csv, line 2: the label is empty. Fill'),
    ('path,label\n  ,x\n', 'list.csv, line 2: the path is empty. Fill it in.'),
    ('path,label,split\na.png,x,\n', 'line 2: the split is empty.'),
    (
      'path,label,split\na.png,x,dev\n',
      "line 2: the split is 'dev'; it should "
      'be one of train, test, val, validation.',
    ),
    ('path,label,split\na.png,x,test\n', 'has no row of the split train.'),
    (
      'path,label\na.png,0\n\nb.png,-1\n',
      'list.csv, line 4: the label -1 '
      'should be a number from 0 to 99,999, or a name.',
    ),
    ('path,label\na.png,0\nb.png,123456789\n', 'line 3: the label 123456789'),
    (
      'path,label\na.png,x\nb.png,y\nsub/../a.png,y\n',
      'list.csv, line 4: '
      "sub/../a.png has the label 'y', and 'x' in line 2. Keep one.",
    ),
    (
      'path,label,split\na.png,x,train\na.png,x,test\n',
      'list.csv, line 3: '
      "a.png has the split 'test', and 'train' in line 2. Keep one.",
    ),
    (
      'path,label\na.png,x\nno1.png,y\nno2.png,y\n',
      'list.csv, line 3: there '
      "is no file 'no1.png'; 2 of 3 are missing. Paths are relative to {}.",
    ),
    ('path,label\nsub,x\na.png,y\n', "line 2: there is no file 'sub'; 1 of 2"),
    ('path,label\na.png,x\nb.png,x\n', 'list.csv has one class only, x;'),
    ('path,label\na.png,1\nb.png,1\n', 'list.csv has one class only, 1;'),
    (
      'path,label,split\na.png,x,train\nb.png,y,train\nc.png,z,test\n',
      'list.csv: test has examples of z, and train has none.',
    ),
    ('path,label\na.png,x\nb.png,x \n', "the classes 'x' and 'x ' differ by"),
    ('path,label\na.png,"x\ny"\n', r"line 3: the label 'x\ny' has a control"),
    ('path,label\n"a\tb.png",x\n', r"line 2: the path 'a\tb.png' has a contr"),
    (
      b'path,label\na.png,x\nb.png,caf\xe9\n',
      'list.csv, line 3: this is not UTF-8. Save the file as UTF-8.',
    ),
    ('path,label\n'.encode('utf-16'), 'line 1: this is not UTF-8.'),
    ('path,label\na.png,"x\nb.png,y\n', 'this is not CSV: unexpected end of'),
  ],
)
def test_refused(folder, text, words):
  assert words.format(folder) in refused(folder, text)


@pytest.mark.parametrize(
  'names, text, words',
  [
    (
      '0:x\n1:y\n',
      'path,label\na.png,0\nb.png,2\n',
      'list.csv, line 3: the '
      'label 2 should be a number from 0 to 1 of {}/names, or a name.',
    ),
    (
      '0:x\n2:y\n',
      'path,label\na.png,0\n',
      'names has no line for label 1, but one for 2: ',
    ),
    (None, 'path,label\na.png,0\n', 'names does not exist.'),
    (
      '0:x\n1:x\n',
      'path,label,split\na.png,0,train\nb.png,1,train\nc.png,0,val\n',
      "list.csv: the classes 0 and 1 have the same name, 'x'.",
    ),
    (
      '0:x\n1:\n',
      'path,label,split\na.png,0,train\nb.png,1,train\nc.png,0,val\n',
      'list.csv: the name of class 1 is blank.',
    ),
    (
      '0:x\n1:\x1b[2J\n',
      'path,label\na.png,0\nb.png,1\n',
      r"names, line 2: the class '\x1b[2J' has a control character",
    ),
  ],
)
def test_labels_file_refused(folder, names, text, words):
  if names:
    (folder / 'names').write_text(names)
  assert words.format(folder) in refused(
    folder, text, labels_file=str(folder / 'names')
  )


def test_not_there(tmp_path):
  for path, words in (
    (tmp_path / 'no.csv', 'no.csv does not exist. Is'),
    (tmp_path, 'is a folder; --source should be a CSV'),
  ):
    with pytest.raises(ValueError, match=words):
      csv_list.plan(str(pathlib.Path(path)), Options())
