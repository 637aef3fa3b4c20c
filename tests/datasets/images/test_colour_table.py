"""Tables of colours: CSV, labelmap.txt, rows that are ignored, and errors."""

import re

import pytest

from datasets.images import colour_table

CSV = '\ufeffName, R ,g,b,note\nsky,0,0,255,a\n\n"a, b",1,2,3\nVoid,0,0,0,\n'
LABELMAP = (
  '# label:color_rgb:parts:actions\nsky:0,0,255::\n\n'
  'a b:1, 2, 3:wheel,door:\nunlabeled:0,0,0::\n'
)


def read(tmp_path, text, ignore_label=255):
  path = tmp_path / 'T'
  path.write_bytes(text if isinstance(text, bytes) else text.encode())
  return colour_table.read(str(path), ignore_label)


@pytest.mark.parametrize(
  'text,second,void',
  [
    (CSV, 'a, b', 'Void'),
    (CSV.replace('\n', '\r\n'), 'a, b', 'Void'),
    (LABELMAP, 'a b', 'unlabeled'),
  ],
)
def test_forms(tmp_path, text, second, void):
  found = read(tmp_path, text)
  assert found.class_names == ['sky', second] and found.ignored == [void]
  assert found.rule.ignore_label == 255 and found.rule.values == ()
  assert found.rule.colours == {(0, 0, 255): 0, (1, 2, 3): 1, (0, 0, 0): 255}
  assert found.rule.names == {
    (0, 0, 255): 'sky',
    (1, 2, 3): second,
    (0, 0, 0): void,
  }


def test_every_pixel_counts(tmp_path):
  found = read(tmp_path, CSV, None)
  assert found.class_names == ['sky', 'a, b', 'Void']
  assert found.ignored == [] and found.rule.ignore_label is None
  assert list(found.rule.colours.values()) == [0, 1, 2]


def test_columns_in_another_order(tmp_path):
  found = read(tmp_path, 'r,g,b,name\n1,2,3,a\n4,5,6,b\n')
  assert found.rule.colours == {(1, 2, 3): 0, (4, 5, 6): 1}


@pytest.mark.parametrize(
  'text,label,words',
  [
    (
      '',
      255,
      'T has no column name and r and g and b in its first line; that '
      'should be: name,r,g,b.',
    ),
    ('name,red,g,b\n', 255, 'T has no column r in'),
    (
      'name,r,g,b\na,1,2\n',
      255,
      "T, line 2: the colour '1,2,' should be three numbers from 0 to 255.",
    ),
    ('a:1,2,3::\nb:1,2::\n', 255, "T, line 2: the colour '1,2' should be"),
    ('a:1,2,3::\nb:1,2,-3::\n', 255, "T, line 2: the colour '1,2,-3' should"),
    ('name,r,g,b\n,1,2,3\n', 255, 'T, line 2: the name is empty. Fill it in.'),
    (
      'name,r,g,b\n"a\x07",1,2,3\n',
      255,
      "T, line 2: the class 'a\\x07' has a control character",
    ),
    (
      'a:1,2,3::\n\na:1,2,4::\n',
      255,
      'T, line 3: the name a is that of line 1 too. Keep one.',
    ),
    ('a:1,2,3::\nb:1,2,3::\n', 255, 'T, line 2: the colour 1,2,3 is that of'),
    ('a:1,2,3::\nvoid:1,2,4::\n', 255, 'T names less than two classes'),
    (
      LABELMAP,
      1,
      'T names unlabeled, which is ignored, and --ignore_label=1 '
      'is the class a b as well: set it to 255, or to -1 for none.',
    ),
    (
      ''.join(f'c{i}:{i % 256},{i // 256},9::\n' for i in range(257)),
      255,
      'T has 257 rows; masks have room for 256 classes.',
    ),
    (b'a:1,2,3::\n\xff', 255, 'T is not UTF-8 text: save it as UTF-8.'),
  ],
)
def test_refused(tmp_path, text, label, words):
  with pytest.raises(ValueError, match=re.escape(f'{tmp_path}/{words}')):
    read(tmp_path, text, label)


def test_no_file(tmp_path):
  with pytest.raises(ValueError, match='The table of colours .*x does not'):
    colour_table.read(str(tmp_path / 'x'), 255)
