"""ImageNet with three synsets: folders, tars, labels and boxes."""

import gzip
import io
import tarfile

import pytest

from datasets.convert import imagenet
from datasets.writing.plan import Options

SYNSETS = ('n03', 'n01', 'n02')  # their order is that of the list
TRAIN = {
  'n01': ['n01_5.JPEG', 'n01_40.JPEG'],
  'n02': ['n02_1.JPEG'],
  'n03': ['n03_7.JPEG', 'n03_8.JPEG', 'n03_9.JPEG'],
}
VALIDATION = ['n02', 'n03', 'n01', 'n02']
LABELS = {'n03': 1, 'n01': 2, 'n02': 3}


def content(name):
  """Of another length for each image, to find wrong offsets."""
  return (name * (len(name) * 31 % 97)).encode() + name.encode()


def put(path, data):
  path.parent.mkdir(parents=True, exist_ok=True)
  path.write_bytes(data if isinstance(data, bytes) else data.encode())


def tar_of(files):
  data = io.BytesIO()
  with tarfile.open(fileobj=data, mode='w') as tar:
    for name, content in files.items():
      info = tarfile.TarInfo(name)
      info.size = len(content)
      tar.addfile(info, io.BytesIO(content))
  return data.getvalue()


def val_name(i):
  return f'ILSVRC2012_val_{i:08}.JPEG'


def write_lists(folder):
  put(folder / 'synsets.txt', '\n'.join(SYNSETS) + '\n')
  put(folder / imagenet.VALIDATION_LABELS, '\n'.join(VALIDATION) + '\n')


def write_train(folder):
  for synset, names in TRAIN.items():
    for name in names:
      put(folder / 'train' / synset / name, content(name))


def train_tar(prefix=''):
  return tar_of(
    {
      f'{prefix}{synset}.tar': tar_of({name: content(name) for name in names})
      for synset, names in TRAIN.items()
    }
  )


def write_flat(folder, name='validation'):
  for i in range(1, 5):
    put(folder / name / val_name(i), content(val_name(i)))


def plan(folder, **options):
  return imagenet.plan(str(folder), Options(**options))


def refused(folder, **options):
  with pytest.raises(ValueError) as caught:
    plan(folder, **options)
  assert '\n' not in str(caught.value)
  return str(caught.value)


def check_train(found, prefix='train'):
  assert [(item.name, item.label) for item in found.splits['train']] == [
    (f'{prefix}/{name}', LABELS[name[:3]])
    for name in sorted(
      f'{synset}/{name}' for synset in TRAIN for name in TRAIN[synset]
    )
  ]
  for item in found.splits['train']:
    assert item.read() == content(item.name.rpartition('/')[2])


def check_validation(found, prefix):
  assert [(item.name, item.label) for item in found.splits['validation']] == [
    (f'{prefix}/{val_name(i)}', LABELS[synset])
    for i, synset in enumerate(VALIDATION, 1)
  ]
  for item in found.splits['validation']:
    assert item.read() == content(item.name.rpartition('/')[2])


@pytest.mark.parametrize('name', ['validation', 'val'])
def test_folders(tmp_path, name):
  write_lists(tmp_path)
  write_train(tmp_path)
  write_flat(tmp_path, name)
  found = plan(tmp_path)
  assert found.name == 'imagenet' and found.source == str(tmp_path)
  assert found.class_names == ['background', 'n03', 'n01', 'n02']
  assert list(found.splits) == ['train', 'validation']
  check_train(found)
  check_validation(found, name)
  assert found.splits['train'][0].features == {
    'image/class/synset': b'n01',
    'image/class/text': b'n01',
  }


@pytest.mark.parametrize('prefix', ['', './', 'ILSVRC/'])
def test_tars(tmp_path, prefix):
  write_lists(tmp_path)
  put(tmp_path / imagenet.TRAIN_TAR, train_tar(prefix))
  put(
    tmp_path / imagenet.VALIDATION_TAR,
    tar_of({prefix + val_name(i): content(val_name(i)) for i in (3, 1, 4, 2)}),
  )
  found = plan(tmp_path)
  names = [item.name for item in found.splits['train']]
  assert names[:3] == [
    f'{imagenet.TRAIN_TAR}/n01.tar/n01_5.JPEG',
    f'{imagenet.TRAIN_TAR}/n01.tar/n01_40.JPEG',
    f'{imagenet.TRAIN_TAR}/n02.tar/n02_1.JPEG',
  ]
  assert [item.label for item in found.splits['train']] == [2, 2, 3, 1, 1, 1]
  for item in found.splits['train']:
    assert item.read() == content(item.name.rpartition('/')[2])
  check_validation(found, imagenet.VALIDATION_TAR)


def test_validation_by_synset(tmp_path):
  write_lists(tmp_path)
  (tmp_path / imagenet.VALIDATION_LABELS).unlink()
  for i, synset in enumerate(VALIDATION, 1):
    put(tmp_path / 'val' / synset / val_name(i), content(val_name(i)))
  found = plan(tmp_path)
  assert list(found.splits) == ['validation']
  assert [(item.name, item.label) for item in found.splits['validation']] == [
    (f'val/n01/{val_name(3)}', 2),
    (f'val/n02/{val_name(1)}', 3),
    (f'val/n02/{val_name(4)}', 3),
    (f'val/n03/{val_name(2)}', 1),
  ]


def test_train_alone(tmp_path):
  write_lists(tmp_path)
  write_train(tmp_path)
  found = plan(tmp_path)
  assert list(found.splits) == ['train']
  check_train(found)


def test_names_and_boxes(tmp_path):
  write_lists(tmp_path)
  write_train(tmp_path)
  write_flat(tmp_path)
  put(
    tmp_path / imagenet.METADATA,
    'n01\ttench, Tinca tinca\nn99\tother\nn03\tKäse\n',
  )
  put(
    tmp_path / imagenet.BOXES,
    'n01_5.JPEG,0.0060,0.2620,0.7545,0.9940\nn02_1,0,0,1,1\n'
    'n01_5.JPEG,0.1,0.2,0.3,0.4\nn99_1.JPEG,0,0,1,1\n',
  )
  found = plan(tmp_path)
  assert found.class_names == [
    'background',
    'Käse',
    'tench, Tinca tinca',
    'n02',
  ]
  features = {
    item.name.rpartition('/')[2]: item.features
    for items in found.splits.values()
    for item in items
  }
  assert features['n01_5.JPEG'] == {
    'image/class/synset': b'n01',
    'image/class/text': b'tench, Tinca tinca',
    'image/object/bbox/xmin': [0.006, 0.1],
    'image/object/bbox/ymin': [0.262, 0.2],
    'image/object/bbox/xmax': [0.7545, 0.3],
    'image/object/bbox/ymax': [0.994, 0.4],
    'image/object/bbox/label': [2, 2],
  }
  assert features['n02_1.JPEG']['image/object/bbox/label'] == [3]
  assert features['n01_40.JPEG'] == {
    'image/class/synset': b'n01',
    'image/class/text': b'tench, Tinca tinca',
  }
  assert features[val_name(2)]['image/class/text'] == 'Käse'.encode()


def test_names_that_are_shared(tmp_path):
  write_lists(tmp_path)
  write_train(tmp_path)
  put(tmp_path / imagenet.METADATA, 'n01\tcrane\nn02\tcrane\n')
  found = plan(tmp_path)
  assert found.class_names == ['background', 'n03', 'crane (2)', 'crane (3)']
  assert found.notes == (
    'Classes that share a name are told apart: crane (2), crane (3).',
  )


@pytest.mark.parametrize('given', [False, True])
def test_other_lists_of_synsets(tmp_path, given):
  write_train(tmp_path)
  name = 'mine.txt' if given else 'imagenet_lsvrc_2015_synsets.txt'
  put(tmp_path / name, 'n02\r\n\r\nn01\r\nn03')
  found = plan(tmp_path, labels_file=str(tmp_path / name) if given else None)
  assert found.class_names == ['background', 'n02', 'n01', 'n03']


def test_no_list_of_synsets(tmp_path):
  write_train(tmp_path)
  assert refused(tmp_path) == (
    f'There is no list of synsets, {tmp_path}/synsets.txt or '
    f'{tmp_path}/imagenet_lsvrc_2015_synsets.txt. It has one synset a line, '
    'such as n01440764, in the order of the labels.'
  )
  assert 'There is no list of synsets, none.txt. It' in refused(
    tmp_path, labels_file='none.txt'
  )


def test_nothing_there(tmp_path):
  assert 'none does not exist.' in refused(tmp_path / 'none')
  write_lists(tmp_path)
  assert refused(tmp_path) == (
    f'{tmp_path} has none of train, ILSVRC2012_img_train.tar, validation, '
    'val and ILSVRC2012_img_val.tar. Is it the right folder?'
  )


@pytest.mark.parametrize(
  'name, data, words',
  [
    (
      'synsets.txt',
      'n03\nn01\n',
      '{}/train has n02, not in the list of '
      'synsets {}/synsets.txt. Is it the right list?',
    ),
    ('synsets.txt', 'n03\nn01\n\nn03\n', 'line 4: n03 is there twice.'),
    ('synsets.txt', 'n03\n', 'synsets.txt has 1 synsets; training needs two'),
    ('synsets.txt', b'caf\xe9\n', 'synsets.txt is not UTF-8. Save it as'),
    (
      imagenet.METADATA,
      'n01\ta\nn02 b\n',
      'imagenet_metadata.txt, line 2: '
      "'n02 b' should be a synset, a tab and its names.",
    ),
    (
      imagenet.VALIDATION_LABELS,
      'n01\nn02\nn03\n',
      '{}/validation has 4 '
      'images and {}/' + imagenet.VALIDATION_LABELS + ' has 3 lines. They '
      'should be as many.',
    ),
    (
      imagenet.VALIDATION_LABELS,
      'n01\nn09\nn01\nn01\n',
      'line 2: n09 is not in the list of synsets. Is it the right list?',
    ),
    ('train/n02/sub/.x', '', None),
    ('train/n04/.x', '', 'No images in {}/train/n04. Add some, or take'),
    ('train/n02/a\tb', '', r"the file 'train/n02/a\tb' has a control char"),
    (
      imagenet.BOXES,
      'n01_5,0,0,1,1\nn01_5,0,0,1\n',
      'boxes.csv, line 2: '
      "'0,0,1' should be xmin,ymin,xmax,ymax between 0 and 1, the minima not "
      'above the maxima.',
    ),
    (imagenet.BOXES, 'n01_5,0,0,1,x\n', "line 1: '0,0,1,x' should be"),
    (imagenet.BOXES, 'n01_5,0,0,1,1.1\n', "line 1: '0,0,1,1.1' should be"),
    (imagenet.BOXES, 'n01_5,-.1,0,1,1\n', "line 1: '-.1,0,1,1' should be"),
    (imagenet.BOXES, 'n01_5,.6,0,.5,1\n', "line 1: '.6,0,.5,1' should be"),
    (imagenet.BOXES, 'n01_5,0,nan,1,1\n', "line 1: '0,nan,1,1' should be"),
  ],
)
def test_refused(tmp_path, name, data, words):
  write_lists(tmp_path)
  write_train(tmp_path)
  write_flat(tmp_path)
  put(tmp_path / name, data)
  if words is None:
    plan(tmp_path)
  else:
    assert words.replace('{}', str(tmp_path)) in refused(tmp_path)


def test_flat_validation_without_labels(tmp_path):
  write_lists(tmp_path)
  write_flat(tmp_path, 'val')
  (tmp_path / imagenet.VALIDATION_LABELS).unlink()
  assert f'{tmp_path}/val has no folders by synset, so that the file ' in (
    refused(tmp_path)
  )


def test_train_without_classes(tmp_path):
  write_lists(tmp_path)
  put(tmp_path / 'train' / '1.JPEG', b'x')
  assert f'{tmp_path}/train has no sub-folders; it should' in refused(tmp_path)
  put(tmp_path / 'train' / 'n01' / '1.JPEG', b'x')
  assert f'{tmp_path}/train has one class only, n01;' in refused(tmp_path)


@pytest.mark.parametrize(
  'data, words',
  [
    (train_tar()[:9000], 'ILSVRC2012_img_train.tar is cut off, or not an'),
    (train_tar()[:1100], 'ILSVRC2012_img_train.tar, n01.tar is cut off, or'),
    (
      train_tar()[: 10752 + 100],
      'cut off, or not an uncompressed tar (bad hea',
    ),
    (gzip.compress(train_tar()), 'img_train.tar is cut off, or not an uncom'),
    (b'', 'ILSVRC2012_img_train.tar is cut off, or not an uncompressed tar'),
    (tar_of({'n01.tar': b'no tar' * 99}), 'img_train.tar, n01.tar is cut off'),
    (
      tar_of({'n01/1.JPEG': b'x'}),
      'holds n01/1.JPEG; it should hold nothing but a tar for each synset.',
    ),
    (tar_of({}), 'No images in'),
    (tar_of({'n01.tar': tar_of({'._x': b'x'})}), '_train.tar, n01.tar. Copy'),
    (
      tar_of({'n09.tar': tar_of({'1': b'x'}), 'n01.tar': tar_of({'1': b'x'})}),
      'has n09, not in the list of synsets',
    ),
    (tar_of({'n01.tar': tar_of({'a\nb': b'x'})}), r"the file 'a\nb' has a con"),
  ],
)
def test_tar_refused(tmp_path, data, words):
  write_lists(tmp_path)
  put(tmp_path / imagenet.TRAIN_TAR, data)
  assert words in refused(tmp_path)
  assert str(tmp_path / imagenet.TRAIN_TAR) in refused(tmp_path)


def test_tar_cut_off_later(tmp_path):
  write_lists(tmp_path)
  put(tmp_path / imagenet.TRAIN_TAR, train_tar())
  item = plan(tmp_path).splits['train'][-1]
  put(tmp_path / imagenet.TRAIN_TAR, train_tar()[:3000])
  with pytest.raises(ValueError, match='img_train.tar is cut off. Copy it ag'):
    item.read()
