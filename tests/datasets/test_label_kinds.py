"""The kinds of label, and a further one that an entry adds."""

import dataclasses
import json
import os

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from PIL import Image
from tf_slim.data import tfexample_decoder

from datasets import dataset_factory, dataset_utils, label_kinds
from datasets.images import contact_sheet
from datasets.images.image_files import BadImage, EncodedImage
from datasets.label_kinds import LabelKind
from datasets.records import description, examples, tfrecord
from datasets.records.label_readers import BadExample
from datasets.records.slim_decoders import Form
from datasets.verifying import samples, table, verify
from datasets.writing import writer
from datasets.writing.plan import Item, Labelled, Plan
from tests import builders

SCORE = 'image/score'


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))


# A toy: images have a score each, from 0 to 1, and no class.


def read_score(labels, ignore_label):
  del labels, ignore_label

  def read(value, image):
    del image
    if not 0 <= value <= 1:
      raise BadExample(f'has the score {value:g}, which is not in 0 to 1')
    return float(value)

  return read


def score_form():
  return Form(
    {
      'image/encoded': tf.FixedLenFeature([], tf.string, ''),
      'image/format': tf.FixedLenFeature([], tf.string, 'jpeg'),
      SCORE: tf.FixedLenFeature([], tf.float32),
    },
    {
      'image': ('uint8 [height, width, 3]', tfexample_decoder.Image),
      'score': ('float32', lambda: tfexample_decoder.Tensor(SCORE)),
    },
  )


def make_example(item, image, plan):
  del plan
  example = dataset_utils.image_to_tfexample(
    image.data,
    image.format,
    image.height,
    image.width,
    0,
    {'image/filename': item.name.encode(), **item.features},
  )
  del example.features.feature['image/class/label']
  if item.features[SCORE] > 1:
    raise BadImage('has a score above 1')
  return Labelled(example, [])


class ScoreStatistics:
  word, alike, values = 'score', 'with its score', None
  counted, examined = {'examples_per_class': []}, range(0)

  def __init__(self, data):
    self.scores = {}

  def add(self, index, label):
    self.scores[index] = label
    return round(label * 1000)

  def fact(self, label):
    return f'score {label / 1000:g}'

  def judge(self, split):
    least, most = min(self.scores.values()), max(self.scores.values())
    return [], [f'Scores of {split.name} are {least:g} to {most:g}.']


def score_table(report, splits):
  del report
  return ['all'], [['scored', *(str(s.examples) for s in splits), 'yes']]


def draw_scores(path, report, max_pixels, seed):
  examiner = examples.Examiner(range(0), max_pixels, 'scoring')
  shown = samples.share_out(
    report.paths,
    4,
    seed,
    lambda split, reader, random, count: [
      contact_sheet.Shown(example.image, f'{example.label:g}', split)
      for example in map(
        examiner, map(reader.read, range(min(count, len(reader))))
      )
    ],
  )
  if shown:
    contact_sheet.draw(path, shown)
  return bool(shown)


@pytest.fixture
def scoring(monkeypatch):
  kind = LabelKind(
    noun='a score for every image',
    preposition='with scores and',
    feature=SCORE,
    feature_type='float',
    read_label=read_score,
    slim_form=score_form,
    make_example=make_example,
    statistics=ScoreStatistics,
    class_table=score_table,
    draw_samples=draw_scores,
    classes_per_example=(0, 0),
    least_classes=0,
  )
  monkeypatch.setitem(label_kinds.KINDS, 'scoring', kind)
  return kind


def png(shade):
  return builders.encode(
    Image.fromarray(np.full((8, 9, 3), shade, np.uint8)), 'png'
  )


def item(number, score):
  return Item(
    f'{number}.png', None, lambda: png(number), features={SCORE: score}
  )


def plan(scores):
  return Plan(
    'SOURCE',
    [],
    {
      'train': [item(10 + i, score) for i, score in enumerate(scores)],
      'test': [item(99, 0.5)],
    },
    task='scoring',
  )


@pytest.fixture
def folder(scoring, tmp_path):
  folder = tmp_path / 'data'
  described, left_out = writer.write(
    plan([0.0, 0.25, 1.0]), folder, '%s-*.tfrecord'
  )
  assert left_out == []
  assert description.read(str(folder)) == described
  return str(folder)


def test_a_further_kind_describes_itself(folder):
  found = description.read(folder)
  assert (found.task, found.ignore_label) == ('scoring', None)
  assert found.class_names == ()
  with open(os.path.join(folder, 'dataset.json'), encoding='utf-8') as file:
    values = json.load(file)
  assert values['task'] == 'scoring' and values['num_classes'] == 0
  assert 'ignore_label' not in values
  assert values['splits']['train'].keys() == {
    'examples',
    'examples_per_class',
    'files',
  }
  specification = dataset_factory.get_specification('tfrecord', folder)
  assert specification.task == 'scoring' and specification.suggestions == {}
  # The numbers of classes do not add up where an example has none.
  values['class_names'], values['num_classes'] = ['a'], 1
  values['splits']['train']['examples_per_class'] = [1]
  with open(os.path.join(folder, 'dataset.json'), 'w') as file:
    json.dump(values, file)
  with pytest.raises(ValueError, match='do not add up'):
    description.read(folder)


def test_a_further_kind_is_read(folder, graph):
  dataset = dataset_factory.get_dataset('tfrecord', 'train', folder)
  found = examples.Examples(dataset)
  labels = {}
  for index in range(len(found)):
    example = found.example(index)
    labels[example.filename] = example.label
    assert example.image.shape == (8, 9, 3)
  assert labels == {'10.png': 0.0, '11.png': 0.25, '12.png': 1.0}
  assert dataset.items_to_descriptions['score'] == 'float32'
  record = tfrecord.Reader(dataset.data_sources).read(0)
  assert examples.task_of(record) == 'scoring'
  (score,) = dataset.decoder.decode(tf.constant(record), ['score'])
  with tf.Session() as session:
    assert session.run(score) in labels.values()


def test_a_further_kind_of_a_folder_that_says_nothing(folder):
  os.remove(os.path.join(folder, 'dataset.json'))
  found = dataset_factory.get_specification('tfrecord', folder)
  assert (found.task, found.ignore_label) == ('scoring', None)
  assert (found.splits, found.num_classes) == (('train', 'test'), 0)


def test_a_further_kind_is_verified(folder, tmp_path):
  report = verify.verify('tfrecord', folder)
  assert report.problems == () and report.task == 'scoring'
  assert report.notes == (
    'Scores of train are 0 to 1.',
    'Scores of test are 0.5 to 0.5.',
  )
  assert report.splits['train'].examples == 3
  lines = [line.split() for line in table.describe(report)]
  assert ['class', 'train', 'test', 'all'] in lines
  assert ['scored', '3', '1', 'yes'] in lines
  assert ['examples', '3', '1'] in lines
  sheet = tmp_path / 'sheet.png'
  kind = label_kinds.get(report.task)
  assert kind.draw_samples(sheet, report, 1000, 0) and sheet.exists()


def test_bad_labels_of_a_further_kind(scoring, tmp_path):
  with pytest.raises(ValueError, match='12.png of SOURCE has a score above 1'):
    writer.write(plan([0.0, 1.0, 2.0]), tmp_path / 'new', '%s-*.tfrecord')
  examiner = examples.Examiner(range(0), task='scoring')
  image = EncodedImage(png(1), b'png', 8, 9, 3)
  example = make_example(item(1, -3.0), image, None).example
  with pytest.raises(BadExample, match='has the score -3, which is not in 0'):
    examiner(dataset_utils.serialize(example))
  del example.features.feature[SCORE]
  with pytest.raises(BadExample, match='has no single value of image/score'):
    examiner(dataset_utils.serialize(example))


def test_an_unknown_kind():
  with pytest.raises(ValueError) as error:
    label_kinds.get('segmentatoin')
  assert str(error.value) == (
    "There is no label kind named 'segmentatoin'. Did you mean segmentation? "
    'The label kinds are: classification, segmentation.'
  )
  with pytest.raises(ValueError, match='no label kind named'):
    examples.Examiner(range(2), task='scoring')


@pytest.mark.parametrize('name', label_kinds.KINDS)
def test_all_that_a_kind_names_is_there(name):
  kind = label_kinds.get(name)
  for field in dataclasses.fields(kind):
    value = getattr(kind, field.name)
    if isinstance(value, label_kinds.Later):
      assert callable(value.load()), field.name


@pytest.mark.parametrize(
  'name, largest, expected',
  [
    (
      'classification',
      (28, 40),
      {'preprocessing_name': 'cifar', 'train_image_size': 40},
    ),
    (
      'classification',
      (8, 9),
      {'preprocessing_name': 'cifar', 'train_image_size': 32},
    ),
    ('classification', (64, 65), {}),
    ('segmentation', (97, 90), {'train_crop_size': '97'}),
    ('segmentation', (98, 90), {'train_crop_size': '113'}),
    ('segmentation', (2000, 90), {'train_crop_size': '513'}),
  ],
)
def test_suggestions(name, largest, expected):
  assert label_kinds.get(name).suggest(largest) == expected


def test_the_last_kind_that_a_record_has_counts():
  """An image with a mask may have a class beside it."""
  both = dataset_utils.image_seg_to_tfexample(
    b'', b'png', b'', 1, 1, 3, b'', {'image/class/label': 1}
  )
  record = dataset_utils.serialize(both)
  assert examples.task_of(record) == 'segmentation'
  assert examples.task_of(b'rubbish') == 'classification'
