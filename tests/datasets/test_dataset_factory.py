"""The registry of datasets, and the files it finds."""

import dataclasses
import io
import os
import re
import shutil

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from PIL import Image

from datasets import dataset_factory, dataset_utils
from datasets.records import description, tfrecord
from datasets.verifying import verify
from datasets.writing import writer
from datasets.writing.plan import Item, Plan
from nets.slim_compat import slim
from tests import builders

CIFAR = {'preprocessing_name': 'cifar', 'train_image_size': 32}
# Name -> (its pattern, files of one split, that split, the other one, classes).
FILES = {
  'digits': (
    'digits_%s.tfrecord',
    ['digits_test.tfrecord'],
    'test',
    'train',
    10,
  ),
  'cifar10': (
    'cifar10_%s.tfrecord',
    ['cifar10_train.tfrecord'],
    'train',
    'test',
    10,
  ),
  'cifar100': (
    'cifar100_%s.tfrecord',
    ['cifar100_train.tfrecord'],
    'train',
    'test',
    100,
  ),
  'fashion_mnist': (
    'fashion_mnist_%s.tfrecord',
    ['fashion_mnist_test.tfrecord'],
    'test',
    'train',
    10,
  ),
  'flowers': (
    'flowers_%s*.tfrecord',
    [
      'flowers_validation_00000-of-00002.tfrecord',
      'flowers_validation_00001-of-00002.tfrecord',
    ],
    'validation',
    'train',
    5,
  ),
  'idenprof': (
    'idenprof_%s*.tfrecord',
    ['idenprof_train-00000-of-00001.tfrecord'],
    'train',
    'test',
    10,
  ),
  'imagenet': (
    '%s-*',
    [f'train-{i:05}-of-00003' for i in range(3)],
    'train',
    'validation',
    1001,
  ),
  'mnist': ('mnist_%s.tfrecord', ['mnist_test.tfrecord'], 'test', 'train', 10),
  'signs': ('signs_%s.tfrecord', ['signs_train.tfrecord'], 'train', 'test', 6),
}
SUGGESTIONS = {
  'digits': {
    'preprocessing_name': 'digits',
    'train_image_size': 32,
    'batch_size': 128,
    'max_number_of_steps': 200,
    'learning_rate': 0.03,
    'num_epochs_per_decay': 17.8,
    'learning_rate_decay_type': 'polynomial',
  },
  'cifar10': CIFAR,
  'cifar100': CIFAR,
  'fashion_mnist': {'preprocessing_name': 'cifar', 'train_image_size': 28},
  'mnist': {'preprocessing_name': 'digits', 'train_image_size': 28},
  'signs': {'preprocessing_name': 'unaugmented', 'train_image_size': 64},
}


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
  return tmp_path / 'cache' / 'slim-resnets'


def _png(number, height=4, width=5):
  pixels = np.random.RandomState(number).randint(0, 256, (height, width, 3))
  data = io.BytesIO()
  Image.fromarray(pixels.astype(np.uint8)).save(data, 'png')
  return data.getvalue()


def _write(path, *labels, **features):
  """Writes a TFRecord file of images of these labels."""
  dataset_utils.write_tfrecord(
    path,
    [
      dataset_utils.image_to_tfexample(
        _png(label), b'png', 4, 5, label, features
      )
      for label in labels
    ],
  )


def _convert(folder, name='tfrecord', classes=('a', 'b', 'c'), size=(4, 5)):
  """Writes a folder with a dataset.json."""
  plan = Plan(
    'SOURCE',
    list(classes),
    {
      split: [
        Item(f'{split} {i}', i % 2, lambda i=i: _png(i, *size))
        for i in range(count)
      ]
      for split, count in (('train', 5), ('special', 2))
    },
    name,
  )
  writer.write(plan, folder, '%s-*.tfrecord', num_shards=2)
  return str(folder)


def _refused(text, *arguments, **options):
  with pytest.raises(ValueError) as error:
    dataset_factory.get_dataset(*arguments, **options)
  assert str(error.value) == text


# Data of segmentation: name -> (pattern, splits, some class names by id, the
# number of them, the ignore label).
MADE = {'digits', 'digit_scenes', 'photo_scenes'}  # on first use
MASKS = {
  'photo_scenes': ('photo_scenes_%s.tfrecord', ('train', 'test'), {}, 11, 255),
  'digit_scenes': ('digit_scenes_%s.tfrecord', ('train', 'test'), {}, 11, 255),
  'ade20k': (
    '%s-*',
    ('train', 'val'),
    {
      0: 'background',
      1: 'wall',
      13: 'person',
      21: 'car',
      126: 'pot',
      150: 'flag',
    },
    151,
    0,
  ),
  'cityscapes': (
    '%s-*',
    ('train_fine', 'val_fine', 'train_coarse', 'trainval_fine', 'test_fine'),
    {0: 'road', 5: 'pole', 8: 'vegetation', 13: 'car', 18: 'bicycle'},
    19,
    255,
  ),
  'pascal_voc_seg': (
    '%s-*',
    ('train', 'val', 'train_aug', 'trainval'),
    {0: 'background', 1: 'aeroplane', 15: 'person', 20: 'tvmonitor'},
    21,
    255,
  ),
}


def test_every_name_is_tested():
  assert {*FILES, *MASKS, 'tfrecord'} == {*dataset_factory.DATASETS}
  assert dataset_factory.OWN == 'tfrecord'


@pytest.mark.parametrize('name', FILES)
def test_specification(name, tmp_path):
  pattern, _, split, other, classes = FILES[name]
  found = dataset_factory.DATASETS[name]
  assert (found.file_pattern, found.num_classes) == (pattern, classes)
  assert {*found.splits} == {split, other} and found.splits[0] == 'train'
  assert found.suggestions == SUGGESTIONS.get(name, {})
  assert (found.ensure is not None) == (name == 'digits')
  assert dataset_factory.get_specification(name, str(tmp_path)) == found


@pytest.mark.parametrize('name', FILES)
def test_files_are_found_and_sorted(tmp_path, name):
  _, files, split, _, classes = FILES[name]
  for i, file in enumerate([*reversed(files), 'other.tfrecord', 'labels.md']):
    _write(tmp_path / file, *range(i + 1))
  dataset = dataset_factory.get_dataset(name, split, str(tmp_path))
  assert isinstance(dataset, slim.dataset.Dataset)
  assert dataset.data_sources == [str(tmp_path / file) for file in files]
  assert dataset.num_samples == sum(range(len(files) + 1))
  assert (dataset.name, dataset.split_name) == (name, split)
  assert dataset.num_classes == classes
  assert dataset.labels_to_names is None
  assert dataset.reader is tf.TFRecordReader


@pytest.mark.parametrize('name', FILES)
def test_splits_do_not_share_files(tmp_path, name):
  specification = dataset_factory.get_specification(name, str(tmp_path))
  for split in specification.splits:
    (tmp_path / (specification.file_pattern.replace('*', '0') % split)).touch()
  found = [
    dataset_factory.get_dataset(name, split, str(tmp_path)).data_sources
    for split in specification.splits
  ]
  assert len(found) == 2 and [len(files) for files in found] == [1, 1]
  assert found[0] != found[1]


def test_labels(tmp_path):
  (tmp_path / 'mnist_test.tfrecord').touch()
  names = {label: f'name {label}' for label in range(10)}
  dataset_utils.write_label_file(names, tmp_path)
  dataset = dataset_factory.get_dataset('mnist', 'test', str(tmp_path))
  assert dataset.labels_to_names == names


@pytest.mark.parametrize('count', [9, 11])
def test_labels_of_other_data(tmp_path, count):
  (tmp_path / 'mnist_test.tfrecord').touch()
  dataset_utils.write_label_file(
    dict(enumerate('abcdefghijk'[:count])), tmp_path
  )
  _refused(
    f'{tmp_path}/labels.txt names {count} classes, but mnist has 10: '
    'are these data of your own? Then pass --dataset_name=tfrecord.',
    'mnist',
    'test',
    str(tmp_path),
  )


def test_file_pattern(tmp_path):
  _write(tmp_path / 'my-train.rec', 0, 1)
  _write(tmp_path / 'mnist_train.tfrecord', 0)
  dataset = dataset_factory.get_dataset(
    'mnist', 'train', str(tmp_path), 'my-%s.*'
  )
  assert dataset.data_sources == [str(tmp_path / 'my-train.rec')]
  assert dataset.num_samples == 2


def test_reader(tmp_path):
  (tmp_path / 'mnist_train.tfrecord').touch()
  assert (
    dataset_factory.get_dataset(
      'mnist', 'train', str(tmp_path), reader=tf.TextLineReader
    ).reader
    is tf.TextLineReader
  )


def test_digits_make_themselves(cache):
  dataset = dataset_factory.get_dataset('digits', 'train')
  assert dataset.data_sources == [
    str(cache / 'digits' / 'digits_train.tfrecord')
  ]
  assert dataset.labels_to_names[3] == 'three'
  assert dataset.num_samples == 1437
  folder = str(cache / 'digits')
  for name in ('digits', 'tfrecord'):
    assert dataset_factory.get_dataset(name, 'test', folder).num_samples == 360
    found = dataset_factory.get_specification(name, folder)
    assert found.suggestions == SUGGESTIONS['digits']


def test_nothing_is_made_in_a_folder_of_the_user(tmp_path):
  with pytest.raises(ValueError, match='There is no file'):
    dataset_factory.get_dataset('digits', 'train', str(tmp_path / 'mine'))
  assert not (tmp_path / 'mine').exists()


def test_default_dir(cache):
  assert dataset_factory.default_dir('digits') == str(cache / 'digits')
  assert not cache.exists()


@pytest.mark.parametrize('name', sorted({*FILES, *MASKS, 'tfrecord'} - MADE))
def test_missing_dir(name):
  text = (
    f'--dataset_name={name} needs --dataset_dir, the folder of its TFRecords.'
  )
  _refused(text, name, 'train')
  for function in (
    dataset_factory.get_specification,
    dataset_factory.default_dir,
  ):
    with pytest.raises(ValueError, match=re.escape(text)):
      function(name)


@pytest.mark.parametrize(
  'name, hint',
  [
    ('digit', ' Did you mean digits?'),
    ('flower', ' Did you mean flowers?'),
    ('cifar', ' Did you mean cifar10 or cifar100?'),
    ('tfrecords', ' Did you mean tfrecord?'),
    ('zzz', ''),
  ],
)
def test_unknown_name(name, hint, tmp_path):
  text = (
    f'There is no dataset named {name!r}.{hint} The datasets are: '
    f'{", ".join(dataset_factory.DATASETS)}.'
  )
  _refused(text, name, 'train')
  _refused(text, name, 'train', str(tmp_path))


def test_unknown_split():
  _refused(
    "The dataset digits has no split 'validation'; it has train and test.",
    'digits',
    'validation',
  )


def test_no_files(tmp_path):
  (tmp_path / 'mnist_test.tfrecord').touch()
  _refused(
    f'There is no file {tmp_path}/mnist_train.tfrecord: is '
    f'--dataset_dir={tmp_path} the folder of the TFRecords of mnist, '
    'split train?',
    'mnist',
    'train',
    str(tmp_path),
  )


def _check_suggestions(name, suggestions):
  from engine.config import scripts

  fields = {field.name for field in dataclasses.fields(scripts.TrainConfig)}
  assert suggestions.keys() <= fields
  scripts.TrainConfig(dataset_name=name, **suggestions)


@pytest.mark.parametrize('name', dataset_factory.DATASETS)
def test_suggestions_are_flags(name):
  found = dataset_factory.DATASETS[name]
  _check_suggestions(name, found.suggestions)
  _check_suggestions(name, found.annealing)


@pytest.mark.parametrize('name', ['run [1]', 'a*b?', 'a\\b', ']'])
def test_folder_with_glob_characters(tmp_path, name):
  folder = tmp_path / name
  folder.mkdir()
  _write(folder / 'mnist_test.tfrecord', 1)
  dataset = dataset_factory.get_dataset('mnist', 'test', str(folder))
  assert dataset.data_sources == [str(folder / 'mnist_test.tfrecord')]


# Folders that describe themselves.


@pytest.mark.parametrize(
  'name, given',
  [
    ('tfrecord', 'tfrecord'),
    ('flowers', 'tfrecord'),
    ('flowers', 'flowers'),
    ('tfds:pets', 'tfrecord'),
  ],
)
def test_described(tmp_path, name, given):
  """What the folder says goes before the registry."""
  folder = _convert(tmp_path / 'data', name)
  (tmp_path / 'data' / 'train-00009.tfrecord').write_text('of another day')
  dataset = dataset_factory.get_dataset(given, 'train', folder)
  assert dataset.data_sources == [
    f'{folder}/train-0000{i}-of-00002.tfrecord' for i in (0, 1)
  ]
  assert (dataset.num_samples, dataset.num_classes) == (5, 3)
  assert dataset.labels_to_names == {0: 'a', 1: 'b', 2: 'c'}
  assert (dataset.name, dataset.split_name) == (given, 'train')
  assert dataset_factory.get_dataset(given, 'special', folder).num_samples == 2
  assert dataset_factory.get_specification(given, folder).splits == (
    'train',
    'special',
  )


def test_described_by_another_name(tmp_path):
  folder = _convert(tmp_path / 'data', 'flowers')
  _refused(
    f'--dataset_name=mnist contradicts the data in {folder}, which are '
    'flowers: leave the flag out.',
    'mnist',
    'train',
    folder,
  )


def test_described_without_that_split(tmp_path):
  _refused(
    "The dataset tfrecord has no split 'test'; it has train and special.",
    'tfrecord',
    'test',
    _convert(tmp_path / 'data'),
  )


def test_described_with_other_labels(tmp_path):
  folder = _convert(tmp_path / 'data')
  dataset_utils.write_label_file({0: 'a'}, folder)
  _refused(
    f'{folder}/labels.txt names 1 classes, but tfrecord has 3: restore '
    'it, or convert the data again.',
    'tfrecord',
    'train',
    folder,
  )


def test_described_with_a_file_cut_short(tmp_path):
  folder = _convert(tmp_path / 'data')
  file = os.path.join(folder, 'train-00001-of-00002.tfrecord')
  os.truncate(file, os.path.getsize(file) - 1)
  with pytest.raises(
    ValueError, match=f'{file} has .* it is cut short or was changed'
  ):
    dataset_factory.get_dataset('tfrecord', 'train', folder)
  dataset_factory.get_dataset('tfrecord', 'special', folder)
  os.remove(file)
  with pytest.raises(ValueError, match=f'{file} is missing'):
    dataset_factory.get_dataset('tfrecord', 'train', folder)


def test_described_wrongly(tmp_path):
  folder = _convert(tmp_path / 'data')
  (tmp_path / 'data' / description.FILENAME).write_text('{}')
  with pytest.raises(
    ValueError,
    match='dataset.json is not as the converter wrote it: version is null',
  ):
    dataset_factory.get_specification('tfrecord', folder)


def test_described_with_a_pattern(tmp_path):
  folder = _convert(tmp_path / 'data')
  dataset = dataset_factory.get_dataset(
    'tfrecord', 'train', folder, '%s-00001-*'
  )
  assert dataset.data_sources == [f'{folder}/train-00001-of-00002.tfrecord']
  assert dataset.num_samples == 2


@pytest.mark.parametrize(
  'size, expected',
  [
    ((4, 5), CIFAR),
    ((64, 33), {**CIFAR, 'train_image_size': 64}),
    ((65, 8), {}),
    ((8, 65), {}),
  ],
)
def test_small_images(tmp_path, size, expected):
  folder = _convert(tmp_path / 'data', size=size)
  found = dataset_factory.get_specification('tfrecord', folder).suggestions
  assert found == expected
  _check_suggestions('tfrecord', found)


def test_suggestions_of_a_known_name(tmp_path):
  """Those of the registry go before those for small images."""
  folder = _convert(tmp_path / 'data', 'mnist')
  found = dataset_factory.get_specification('tfrecord', folder)
  assert found.suggestions == SUGGESTIONS['mnist']
  assert found.annealing == dataset_factory.DATASETS['mnist'].annealing != {}


def test_name_of(tmp_path):
  assert dataset_factory.name_of(None) == 'digits'
  assert dataset_factory.name_of(str(tmp_path)) == 'tfrecord'
  for name, expected in (
    ('tfrecord', 'tfrecord'),
    ('mnist', 'mnist'),
    ('tfds:pets', 'tfrecord'),
  ):
    assert (
      dataset_factory.name_of(_convert(tmp_path / expected / name, name))
      == expected
    )


# Folders of TFRecords with labels.txt and no dataset.json.


def _folder(tmp_path, *names, labels='ab'):
  folder = tmp_path / 'own'
  folder.mkdir(parents=True)
  for i, name in enumerate(names):
    _write(folder / name, *[0, 1][: 1 + i % 2])
  if labels:
    dataset_utils.write_label_file(dict(enumerate(labels)), folder)
  return str(folder)


@pytest.mark.parametrize(
  'names, splits',
  [
    (
      [
        'mydata_train_00000-of-00002.tfrecord',
        'mydata_train_00001-of-00002.tfrecord',
        'val-0.tfrecord',
      ],
      {'train': [0, 1], 'val': [2]},
    ),
    (
      ['train-00000-of-00001', 'validation-00000-of-00001', 'test-0'],
      {'train': [0], 'validation': [1], 'test': [2]},
    ),
    (['train.tfrecord', 'test.tfrecord'], {'train': [0], 'test': [1]}),
    (['1_train.rec', 'x.test.2.gz'], {'train': [0], 'test': [1]}),
    (
      [
        'training_notes.txt',
        'contrain.tfrecord',
        'trainer.tfrecord',
        'latest.tfrecord',
        'validations',
        'train.txt',
        'train.json',
        'test.csv',
        'test.png',
        'val.tfrecord',
      ],
      {'val': [9]},
    ),
  ],
)
def test_guessed(tmp_path, names, splits):
  folder = _folder(tmp_path, *names)
  found = dataset_factory.get_specification('tfrecord', folder)
  assert (found.splits, found.num_classes) == ((*splits,), 2)
  assert found.suggestions == {}
  for split, numbers in splits.items():
    dataset = dataset_factory.get_dataset('tfrecord', split, folder)
    assert dataset.data_sources == [f'{folder}/{names[i]}' for i in numbers]
    assert dataset.num_samples == sum(1 + i % 2 for i in numbers)
    assert (dataset.name, dataset.num_classes) == ('tfrecord', 2)
    assert dataset.labels_to_names == {0: 'a', 1: 'b'}


def test_folders_are_no_records(tmp_path):
  folder = _folder(tmp_path, 'train-0')
  for name in ('train', 'test', 'run-train'):
    os.makedirs(os.path.join(folder, name, 'daisy'))
  assert dataset_factory.get_specification('tfrecord', folder).splits == (
    'train',
  )
  assert dataset_factory.get_dataset(
    'tfrecord', 'train', folder
  ).data_sources == [f'{folder}/train-0']


def test_guessed_without_that_split(tmp_path):
  _refused(
    "The dataset tfrecord has no split 'test'; it has train and val.",
    'tfrecord',
    'test',
    _folder(tmp_path, 'val-0', 'train-0'),
  )


def test_guessed_with_a_pattern(tmp_path):
  folder = _folder(tmp_path, 'train-0', 'train-1')
  dataset = dataset_factory.get_dataset('tfrecord', 'train', folder, '%s-1')
  assert dataset.data_sources == [f'{folder}/train-1']


def test_no_labels(tmp_path):
  folder = _folder(tmp_path, 'train-0', labels='')
  _refused(
    f'{folder} has no dataset.json and no labels.txt: is it the folder '
    'of TFRecords? python download_and_convert_data.py makes one. For '
    "records of TF-Slim's datasets, name them by --dataset_name.",
    'tfrecord',
    'train',
    folder,
  )


def test_no_folder(tmp_path):
  with pytest.raises(ValueError, match='has no dataset.json and no labels.txt'):
    dataset_factory.get_dataset('tfrecord', 'train', str(tmp_path / 'none'))


@pytest.mark.parametrize('text, count', [('', 0), ('0:a\n', 1)])
def test_too_few_labels(tmp_path, text, count):
  folder = _folder(tmp_path, 'train-0')
  (tmp_path / 'own' / 'labels.txt').write_text(text)
  _refused(
    f'{folder}/labels.txt names {count} classes: it should have a line for '
    'each class, two or more, since with one there is nothing to tell apart '
    'and nothing to learn.',
    'tfrecord',
    'train',
    folder,
  )


@pytest.mark.parametrize('names', [[], ['a.tfrecord', 'training.tfrecord']])
def test_no_names_of_splits(tmp_path, names):
  folder = _folder(tmp_path, *names)
  _refused(
    f'No file in {folder} has train, validation, val or test in its '
    'name: is it the folder of TFRecords?',
    'tfrecord',
    'train',
    folder,
  )


# What TF-Slim makes of them.

BOXES = {
  f'image/object/bbox/{side}': values
  for side, values in (
    ('ymin', [0.125, 0.0]),
    ('xmin', [0.25, 0.5]),
    ('ymax', [0.5, 1.0]),
    ('xmax', [0.75, 0.625]),
  )
}


def _decode(dataset, record):
  items = dataset.decoder.list_items()
  with tf.Graph().as_default(), tf.Session() as session:
    return dict(
      zip(
        items,
        session.run(dataset.decoder.decode(tf.constant(record), items)),
        strict=True,
      )
    )


def test_decoder(tmp_path):
  folder = _folder(tmp_path, 'train-0')
  dataset = dataset_factory.get_dataset('tfrecord', 'train', folder)
  assert (
    sorted(dataset.decoder.list_items())
    == sorted(dataset.items_to_descriptions)
    == [
      'filename',
      'image',
      'label',
      'label_text',
      'object/bbox',
      'object/label',
    ]
  )
  found = _decode(
    dataset,
    dataset_utils.image_to_tfexample(
      _png(1),
      b'png',
      4,
      5,
      1,
      {
        **BOXES,
        'image/object/bbox/label': [1, 0],
        'image/filename': b'x.png',
        'image/class/text': b'b',
      },
    ).SerializeToString(),
  )
  np.testing.assert_array_equal(
    found['image'], np.asarray(Image.open(io.BytesIO(_png(1))))
  )
  assert found['image'].dtype == np.uint8
  assert (found['label'], found['label'].dtype) == (1, np.int64)
  assert (found['label_text'], found['filename']) == (b'b', b'x.png')
  assert found['object/bbox'].dtype == np.float32
  assert found['object/bbox'].tolist() == [
    [0.125, 0.25, 0.5, 0.75],
    [0.0, 0.5, 1.0, 0.625],
  ]
  assert found['object/label'].tolist() == [1, 0]


@pytest.mark.parametrize(
  'features', [{}, {name: [] for name in (*BOXES, 'image/object/bbox/label')}]
)
def test_decoder_without_boxes(tmp_path, features):
  (tmp_path / 'mnist_test.tfrecord').touch()
  found = _decode(
    dataset_factory.get_dataset('mnist', 'test', str(tmp_path)),
    dataset_utils.image_to_tfexample(
      _png(1), b'png', 4, 5, 1, features
    ).SerializeToString(),
  )
  assert found['object/bbox'].shape == (0, 4)
  assert found['object/label'].shape == (0,)
  assert (found['label'], found['filename'], found['label_text']) == (
    1,
    b'',
    b'',
  )


def test_data_provider(tmp_path):
  folder = _convert(tmp_path / 'data')
  dataset = dataset_factory.get_dataset('tfrecord', 'train', folder)
  with tf.Graph().as_default():
    provider = slim.dataset_data_provider.DatasetDataProvider(
      dataset, num_readers=1, shuffle=False, num_epochs=1
    )
    image, label, name = provider.get(['image', 'label', 'filename'])
    with tf.Session() as session:
      session.run(
        [tf.global_variables_initializer(), tf.local_variables_initializer()]
      )
      coordinator = tf.train.Coordinator()
      threads = tf.train.start_queue_runners(session, coordinator)
      found = [session.run((name, label, image)) for _ in range(5)]
      with pytest.raises(tf.errors.OutOfRangeError):
        session.run(image)
      coordinator.request_stop()
      coordinator.join(threads)
  assert sorted(name for name, _, _ in found) == [
    f'train {i}'.encode() for i in range(5)
  ]
  for name, label, image in found:
    number = int(name.split()[1])
    assert label == number % 2
    np.testing.assert_array_equal(
      image, np.asarray(Image.open(io.BytesIO(_png(number))))
    )


# Data of segmentation.


def _write_masks(path, *numbers):
  tfrecord.write(
    path,
    [
      builders.mask_record(i, builders.noise_mask(i, 4, 5, [0, 1, 255]))
      for i in numbers
    ],
  )


@pytest.mark.parametrize('name', MASKS)
def test_specification_of_masks(name, tmp_path):
  pattern, splits, names, classes, ignore_label = MASKS[name]
  found = dataset_factory.get_specification(name, str(tmp_path))
  assert (found.file_pattern, found.splits, found.num_classes) == (
    pattern,
    splits,
    classes,
  )
  assert (found.task, found.ignore_label) == ('segmentation', ignore_label)
  assert (found.ensure is not None) == (name in MADE)
  assert len(found.class_names) == len({*found.class_names})
  assert len(found.class_names) == (classes if names else 0)
  assert {label: found.class_names[label] for label in names} == names


@pytest.mark.parametrize('name', sorted(MASKS.keys() - MADE))
def test_masks_of_public_data(tmp_path, name):
  """Each split has its own files, though names begin alike."""
  pattern, splits, _, classes, ignore_label = MASKS[name]
  for number, split in enumerate(splits):
    _write_masks(
      tmp_path / f'{split}-00000-of-00001.tfrecord', *range(number + 1)
    )
  for number, split in enumerate(splits):
    found = dataset_factory.get_dataset(name, split, str(tmp_path))
    assert found.data_sources == [f'{tmp_path}/{split}-00000-of-00001.tfrecord']
    assert found.num_samples == number + 1
    assert (found.task, found.ignore_label, found.num_classes) == (
      'segmentation',
      ignore_label,
      classes,
    )
    assert tuple(found.labels_to_names.values()) == (
      dataset_factory.DATASETS[name].class_names
    )
    assert list(found.labels_to_names) == list(range(classes))
  names = {label: f'own {label}' for label in range(classes)}
  dataset_utils.write_label_file(names, tmp_path)
  assert (
    dataset_factory.get_dataset(name, splits[0], str(tmp_path)).labels_to_names
    == names
  )


def test_the_split_train_is_none_of_cityscapes(tmp_path):
  _refused(
    "The dataset cityscapes has no split 'train'; it has train_fine "
    'and val_fine and train_coarse and trainval_fine and test_fine. Did you '
    'mean train_fine?',
    'cityscapes',
    'train',
    str(tmp_path),
  )


@pytest.mark.parametrize(
  'name, ignore_label',
  [
    ('tfrecord', 255),
    ('pascal_voc_seg', 255),
    ('tfrecord', None),
    ('tfrecord', 0),
  ],
)
def test_described_masks(tmp_path, name, ignore_label):
  folder = builders.write_masks(
    tmp_path,
    ['background', 'a'],
    ignore_label,
    data_name=name,
    train=[builders.mask_record(0, builders.noise_mask(0, 4, 4, [0, 1]))],
  )
  assert dataset_factory.name_of(folder) == name
  found = dataset_factory.get_specification(name, folder)
  assert (found.task, found.ignore_label) == ('segmentation', ignore_label)
  assert found.num_classes == 2
  assert found.suggestions == {'train_crop_size': '33'}
  dataset = dataset_factory.get_dataset(name, 'train', folder)
  assert (dataset.task, dataset.ignore_label) == ('segmentation', ignore_label)
  assert dataset.labels_to_names == {0: 'background', 1: 'a'}


@pytest.mark.parametrize('spoil', [False, True])
def test_guessed_by_the_first_record(tmp_path, spoil):
  """An empty file and a damaged record tell nothing."""
  folder = _folder(tmp_path, labels='abc')
  _write_masks(f'{folder}/train-0', *[])
  _write_masks(f'{folder}/train-1', 0, 1)
  if spoil:
    with open(f'{folder}/train-1', 'r+b') as file:
      file.seek(40)
      file.write(b'?')
  found = dataset_factory.get_specification('tfrecord', folder)
  assert (found.task, found.ignore_label, found.num_classes) == (
    'segmentation',
    255,
    3,
  )
  dataset = dataset_factory.get_dataset('tfrecord', 'train', folder)
  assert (dataset.task, dataset.ignore_label) == ('segmentation', 255)


def test_other_records_are_of_classification(tmp_path):
  for names in (['train-0'], ['train-0', 'test-0']):
    folder = _folder(tmp_path / str(len(names)), *names)
    found = dataset_factory.get_specification('tfrecord', folder)
    assert (found.task, found.ignore_label) == ('classification', None)
    dataset = dataset_factory.get_dataset('tfrecord', 'train', folder)
    assert (dataset.task, dataset.ignore_label) == ('classification', None)


def test_decoder_of_masks(tmp_path):
  """The items are DeepLab's."""
  _write_masks(tmp_path / 'val-00000-of-00001', 0)
  dataset = dataset_factory.get_dataset('pascal_voc_seg', 'val', str(tmp_path))
  items = ['height', 'image', 'image_name', 'labels_class', 'width']
  assert sorted(dataset.decoder.list_items()) == items
  assert sorted(dataset.items_to_descriptions) == items
  label = builders.noise_mask(3, 6, 5, [0, 20, 255])
  found = _decode(dataset, builders.mask_record(3, label))
  np.testing.assert_array_equal(found['image'], builders.noise_image(3, 6, 5))
  assert found['labels_class'].dtype == np.uint8
  np.testing.assert_array_equal(found['labels_class'], label[..., None])
  assert (found['height'], found['width'], found['image_name']) == (
    6,
    5,
    b'Bild 3',
  )


# What is lost of a folder that does not describe itself.

SHARDS = [f'train-{i:05}-of-00004.tfrecord' for i in range(4)]


@pytest.fixture
def kept(tmp_path, monkeypatch):
  """The cache, so that what is read for the first time is."""
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
  return tmp_path / 'cache'


def _notes(folder):
  return dataset_factory.get_dataset('tfrecord', 'train', folder).notes


def _verified(folder, **options):
  return verify.verify('tfrecord', folder, threads=1, **options)


def _told(folder, *words):
  """Training refuses the folder in these words, and --verify reports them."""
  with pytest.raises(ValueError) as error:
    dataset_factory.get_dataset('tfrecord', 'train', folder)
  for text in str(error.value), ' '.join(_verified(folder).problems):
    for word in words:
      assert word in text


def test_a_whole_set_of_files(tmp_path, kept):
  assert _notes(_folder(tmp_path, *SHARDS)) == []


def test_a_missing_shard(tmp_path, kept):
  folder = _folder(tmp_path, *SHARDS)
  os.remove(os.path.join(folder, SHARDS[2]))
  _told(
    folder,
    f'lacks 1 of 4 files: {SHARDS[2]}. Copy what is missing again; if it is '
    'left out on purpose, rename the others.',
  )


def test_two_sets_of_shards(tmp_path, kept):
  folder = _folder(tmp_path, *SHARDS, 'train-00000-of-00002.tfrecord')
  _told(
    folder,
    'has files of 2 sets, ',
    'train-*-of-00002.tfrecord',
    'train-*-of-00004.tfrecord',
    'remove those that do not belong there',
  )


@pytest.mark.parametrize('make', [os.mkdir, os.mkfifo])
def test_what_is_no_file_in_the_place_of_a_shard(tmp_path, kept, make):
  folder = _folder(tmp_path, *SHARDS)
  path = os.path.join(folder, SHARDS[2])
  os.remove(path)
  make(path)
  _told(folder, f'{SHARDS[2]} is a ', 'and no file')


def test_a_shard_without_records(tmp_path, kept):
  """It may have been written so; it is told."""
  folder = _folder(tmp_path, *SHARDS)
  _write(os.path.join(folder, SHARDS[2]))
  told = f'{SHARDS[2]} has no records: is it as it was written?'
  assert _notes(folder) == [f'{folder}/{told}']
  assert _verified(folder).problems == (told,)


def test_a_file_cut_where_a_record_ends(tmp_path, kept):
  """It looks whole; what it had when it was first read is kept."""
  folder = _folder(tmp_path, *SHARDS)
  assert _notes(folder) == _notes(folder) == []
  _write(os.path.join(folder, SHARDS[1]), 0)
  told = (
    f'The split train of {folder} is not what it was when it was first read: '
    f'{SHARDS[1]} has 1 records and had 2. If that is meant, --verify takes it '
    'as it is.'
  )
  assert _notes(folder) == _notes(folder) == [told]
  assert _verified(folder).problems == (told,)
  assert _notes(folder) == [] and _verified(folder).problems == ()


def test_files_that_come_and_go(tmp_path, kept):
  folder = _folder(tmp_path, 'train-a', 'train-b')
  assert _notes(folder) == []
  os.rename(f'{folder}/train-b', f'{folder}/train-c')
  (note,) = _notes(folder)
  assert 'train-b is gone, train-c is new' in note
  for path in (kept / 'slim-resnets' / 'counts').iterdir():
    path.write_text('{"train": [')  # it is a cache
  assert _notes(folder) == []


def test_copied_records(tmp_path, kept):
  folder = _folder(tmp_path, 'train-a', 'test-b')
  shutil.copy(f'{folder}/train-a', f'{folder}/train-copy')
  shutil.copy(f'{folder}/train-a', f'{folder}/test-copy')
  assert any(
    'byte for byte: 3. Was a file copied twice?' in note
    for note in _verified(folder).notes
  )


def test_described_with_other_counts(tmp_path, kept):
  """A file of the same size, in which two records are one."""
  folder = _convert(tmp_path / 'data')
  path = tmp_path / 'data' / description.FILENAME
  text = path.read_text()
  with pytest.raises(ValueError, match='has 3 records; dataset.json says 2'):
    path.write_text(
      text.replace('"records": 2', '"records": X')
      .replace('"records": 3', '"records": 2')
      .replace('"records": X', '"records": 3')
    )
    dataset_factory.get_dataset('tfrecord', 'train', folder)
