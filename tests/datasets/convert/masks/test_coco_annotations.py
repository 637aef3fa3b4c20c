"""COCO's files of annotations, read piece by piece, and what is none."""

import json
import re

import pytest

from datasets.convert.masks import coco_annotations, large_json
from datasets.images import image_files
from tests.datasets.convert.masks import sources

IMAGES = [
  {'id': 9, 'file_name': 'a/ä.jpg', 'height': 3, 'width': 4},
  {'id': 5, 'file_name': 'b.jpg', 'height': 5, 'width': 6, 'license': 1},
  {'id': 7, 'file_name': 'c.jpg', 'height': 7, 'width': 8},
]
ANNOTATIONS = [
  {'image_id': 7, 'category_id': 2, 'text': 'Größe "x" ]}'},
  {'image_id': 9, 'category_id': 1},
  {'image_id': 7, 'category_id': 1, 'box': [1.5, -2e3, []], 'more': {'a': {}}},
]
CATEGORIES = [{'id': 2, 'name': 'dog'}, {'id': 1, 'name': 'çat'}]
VALUES = {
  'info': {'year': 2017, 'lists': [[1], {}]},
  'annotations': ANNOTATIONS,
  'images': IMAGES,
  'licenses': [],
  'categories': CATEGORIES,
  'version': 12345,
}


@pytest.mark.parametrize('chunk', [1, 7, 1 << 20])
@pytest.mark.parametrize(
  'form', [{}, {'indent': 1}, {'ensure_ascii': False, 'separators': (',', ':')}]
)
def test_index(tmp_path, monkeypatch, chunk, form):
  """Whatever the order of the lists, and wherever a piece ends."""
  monkeypatch.setattr(large_json, '_CHUNK', chunk)
  path = tmp_path / 'a.json'
  path.write_text(json.dumps(VALUES, **form) + '\n', 'utf-8')
  found = coco_annotations.Annotations(path)
  assert [image.name for image in found.images] == ['a/ä.jpg', 'b.jpg', 'c.jpg']
  assert found.images[1] == ('b.jpg', 5, 6)
  assert found.categories == {1: 'çat', 2: 'dog'}
  assert [*found.categories] == [1, 2]
  assert found.counts.tolist() == [1, 0, 2]
  assert [found.of(number) for number in range(3)] == [
    [ANNOTATIONS[1]],
    [],
    [ANNOTATIONS[0], ANNOTATIONS[2]],
  ]


def test_a_large_file_is_held_in_part(tmp_path, monkeypatch):
  """What is read at once is bounded by a piece, not by the file."""
  monkeypatch.setattr(large_json, '_CHUNK', 1000)
  sources.write_json(
    tmp_path / 'a.json', {**VALUES, 'annotations': ANNOTATIONS * 500}
  )
  held = []
  more = large_json._Reader._more

  def watched(reader):
    held.append(len(reader._text))
    return more(reader)

  monkeypatch.setattr(large_json._Reader, '_more', watched)
  found = coco_annotations.Annotations(tmp_path / 'a.json')
  assert found.counts.sum() == 1500
  assert len(held) > 50 and max(held) < 3000


def test_a_file_that_has_changed_since(tmp_path):
  path = tmp_path / 'a.json'
  sources.write_json(path, VALUES)
  found = coco_annotations.Annotations(path)
  path.write_text(json.dumps(VALUES)[5:])
  with pytest.raises(
    image_files.BadImage, match='^has annotations in .*a.json that cannot be re'
  ):
    found.of(2)


def changed(**values):
  return json.dumps({**VALUES, **values})


def image(**values):
  return changed(images=[{**IMAGES[0], **values}, *IMAGES[1:]])


@pytest.mark.parametrize(
  'text, words',
  [
    ('', 'it ends at byte 0, before it is complete'),
    ('[]', "byte 0 is '[' instead of '{'"),
    ('{"info": [{"id": 1}', 'before it is complete'),
    ('{"images" [', "byte 10 is '[' instead of ':'"),
    ('{"a": 1 "b": 2}', "byte 8 is '\"' instead of ','"),
    ('{5: 1}', 'byte 1 should begin a name'),
    ('{"images": [nil]}', 'behind byte 12: Expecting value'),
    ('{"a": ' + '[' * 100_000, 'it nests too deeply'),
    ('{}', 'it has no images'),
    (changed(categories=[]), 'it has no categories'),
    (changed() + '{}', 'there is more behind its end, at byte '),
    (changed(images=[5]), 'an image is 5, and should be an object'),
    (changed(images=[*IMAGES, IMAGES[0]]), "has the image 9, 'a/ä.jpg', twice"),
    (image(height=None), 'an image.height is null, and should be a whole'),
    (image(width=0), "the image 'a/ä.jpg' has no pixels"),
    (image(file_name='../b.jpg'), "'../b.jpg' is no path within a folder"),
    (image(file_name='/b.jpg'), "'/b.jpg' is no path within a folder"),
    (image(file_name=''), "'' is no path within a folder"),
    (image(file_name='b\n.jpg'), 'has a control character'),
    (changed(categories=[*CATEGORIES] * 2), 'it has the category 2 twice'),
    (changed(annotations=[{'id': 1}]), 'an annotation.image_id is null'),
    (
      changed(annotations=[{'image_id': 6}]),
      'it has annotations of the image 6, which is none of its images',
    ),
  ],
)
def test_what_is_no_file_of_coco(tmp_path, text, words):
  path = tmp_path / 'a.json'
  path.write_text(text)
  with pytest.raises(
    ValueError, match=f"^{re.escape(str(path))} is not JSON in COCO's form: "
  ) as error:
    coco_annotations.Annotations(path)
  assert words in str(error.value)
  assert str(error.value).endswith('Put back the file, or export it again.')


@pytest.mark.parametrize(
  'text', ['{"a": "' + 'x' * 99, '{"images": [' + '1' * 99, '{"a": [[[' * 30]
)
def test_an_element_that_has_no_end(tmp_path, monkeypatch, text):
  """It is not read to the end of the file."""
  monkeypatch.setattr(large_json, '_CHUNK', 8)
  monkeypatch.setattr(large_json, '_LARGEST', 16)
  path = tmp_path / 'a.json'
  path.write_text(text + ' ' * 100)
  with pytest.raises(ValueError, match='COCO'):
    coco_annotations.Annotations(path)
