"""The conversion script: every source, what is then trained on, and errors."""

import contextlib
import functools
import gzip
import hashlib
import http.server
import io
import os
import pathlib
import random
import shlex
import signal
import struct
import subprocess
import sys
import tarfile
import threading
import time
import types
import zipfile

import numpy as np
import pytest
from PIL import Image

import download_and_convert_data
import eval_image_classifier
from datasets import dataset_factory, dataset_utils
from datasets.convert import registry
from datasets.records import description
from datasets.records.examples import Examiner
from datasets.records.tfrecord import Reader
from datasets.sources import download
from tests import builders

ROOT = pathlib.Path(__file__).parents[1]
COLOURS = list(builders.COLOURS)[:3]


@pytest.fixture(autouse=True)
def place(workplace, monkeypatch):
  """An empty current folder, and a cache of downloads of its own."""
  monkeypatch.setenv('XDG_CACHE_HOME', str(workplace / 'cache'))
  monkeypatch.setattr(download, '_WAITS', ())
  for name in ('NO_PROXY', 'no_proxy'):
    monkeypatch.setenv(name, '127.0.0.1')
  return workplace


def convert(
  *arguments, dataset_name='image_folder', dataset_dir='new', **flags
):
  """Runs the script; flags that are None are left out."""
  flags = {'dataset_name': dataset_name, 'dataset_dir': dataset_dir, **flags}
  return builders.call(
    download_and_convert_data,
    *arguments,
    **{name: value for name, value in flags.items() if value is not None},
  )


def converted(*arguments, **flags):
  """Runs the script, which succeeds; returns what the folder says."""
  before = set(os.listdir())
  printed = convert(*arguments, **flags)
  assert (printed.status, printed.err) == (0, '')
  assert 'Traceback' not in printed.out
  assert 'To train on it:' in printed.out
  assert set(os.listdir()) - before <= {'new', 'cache'}
  return check('new')


def check(folder):
  """Opens each split as the training does, and examines every record."""
  found = description.read(folder)
  name = dataset_factory.name_of(folder)
  assert dataset_utils.read_label_file(folder) == dict(
    enumerate(found.class_names)
  )
  examiner = Examiner(range(len(found.class_names)))
  for split, said in found.splits.items():
    dataset = dataset_factory.get_dataset(name, split, folder)
    assert dataset.num_samples == said.examples > 0
    assert dataset.num_classes == len(found.class_names)
    reader = Reader(dataset.data_sources)
    labels = [examiner(reader.read(i)).label for i in range(len(reader))]
    assert (
      tuple(np.bincount(labels, minlength=dataset.num_classes))
      == said.examples_per_class
    )
  return found


def refused(printed, *words, left=()):
  """Asserts a failure of one line, which leaves nothing behind."""
  builders.refused(printed, *words)
  assert set(os.listdir()) - {'cache'} == {*left}


# Sources.


def put(path, data=b''):
  path = pathlib.Path(path)
  path.parent.mkdir(parents=True, exist_ok=True)
  path.write_bytes(data)
  return path


def encode(image, form, **options):
  data = io.BytesIO()
  image.save(data, form, **options)
  return data.getvalue()


def write_folders(root, classes=tuple(COLOURS), count=4):
  """A folder for each class, with images of several kinds."""
  for label, name in enumerate(classes):
    for seed in range(count):
      form = ('png', 'jpeg', 'webp', 'bmp')[seed % 4]
      put(
        f'{root}/{name}/{seed}.{form}',
        builders.encode(builders.colour_image(label, seed, 24), form),
      )
  return str(root)


def write_zip(path, folder):
  with zipfile.ZipFile(path, 'w') as file:
    for member in sorted(pathlib.Path(folder).rglob('*')):
      if member.is_file():
        file.write(member, member.relative_to(folder))
  return str(path)


def write_tar(path, folder, mode='w:gz'):
  with tarfile.open(path, mode) as file:
    for member in sorted(os.listdir(folder)):
      file.add(os.path.join(folder, member), member)
  return str(path)


def write_csv(path):
  write_folders('images')
  lines = [
    f'images/{name}/{i}.{form},{name}\n'
    for name in COLOURS
    for i, form in enumerate(('png', 'jpeg', 'webp', 'bmp'))
  ]
  return str(put(path, ''.join(['path,label\n', *lines]).encode()))


def write_cifar(folder, name):
  """Batches of three records each."""
  label_bytes, classes, stem, names = {
    'cifar10': (1, 10, 'data_batch_{}.bin', 'batches.meta.txt'),
    'cifar100': (2, 100, 'train.bin', 'fine_label_names.txt'),
  }[name]
  files = [stem.format(i) for i in range(1, 6)] if '{' in stem else [stem]
  files.append('test_batch.bin' if name == 'cifar10' else 'test.bin')
  for file in files:
    chance = random.Random(file)
    put(
      f'{folder}/{file}',
      b''.join(
        bytes(chance.randrange(classes) for _ in range(label_bytes))
        + chance.randbytes(3072)
        for _ in range(3)
      ),
    )
  put(
    f'{folder}/{names}', ''.join(f'class{i}\n' for i in range(classes)).encode()
  )
  return str(folder)


def write_mnist(folder, suffix=''):
  for prefix, count in (('train', 6), ('t10k', 3)):
    chance = random.Random(prefix)
    for stem, shape, high in (
      ('images-idx3', (count, 28, 28), 256),
      ('labels-idx1', (count,), 10),
    ):
      data = struct.pack(f'>{1 + len(shape)}I', 0x800 + len(shape), *shape)
      data += bytes(chance.randrange(high) for _ in range(int(np.prod(shape))))
      put(
        f'{folder}/{prefix}-{stem}-ubyte{suffix}',
        gzip.compress(data) if suffix else data,
      )
  return str(folder)


SYNSETS = ('n03', 'n01')


def write_imagenet(folder, tars=False):
  for number, synset in enumerate(SYNSETS):
    for seed in range(3):
      data = builders.encode(builders.colour_image(number, seed), 'jpeg')
      put(f'{folder}/train/{synset}/{synset}_{seed}.JPEG', data)
      put(f'{folder}/validation/{synset}/val_{number}_{seed}.JPEG', data)
  put(f'{folder}/synsets.txt', '\n'.join(SYNSETS).encode())
  if tars:
    for synset in SYNSETS:
      write_tar(f'{folder}/{synset}.tar', f'{folder}/train/{synset}', 'w')
    with tarfile.open(f'{folder}/ILSVRC2012_img_train.tar', 'w') as file:
      for synset in SYNSETS:
        file.add(f'{folder}/{synset}.tar', f'{synset}.tar')
    remove(f'{folder}/train', *(f'{folder}/{name}.tar' for name in SYNSETS))
  return str(folder)


def remove(*paths):
  for path in map(pathlib.Path, paths):
    for inner in sorted(path.rglob('*'), reverse=True):
      inner.rmdir() if inner.is_dir() else inner.unlink()
    path.rmdir() if path.is_dir() else path.unlink()


class _Handler(http.server.SimpleHTTPRequestHandler):
  def log_message(self, *_):
    pass


@pytest.fixture
def address(tmp_path):
  """The address of the current folder, served on this machine."""
  handler = functools.partial(_Handler, directory=str(tmp_path))
  with http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler) as server:
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f'http://127.0.0.1:{server.server_port}'
    server.shutdown()
    thread.join()


# What is converted, and what is made of it.


def trained(**flags):
  """Trains two steps on the new folder and evaluates, naming only that."""
  printed = builders.train(
    model_name='resnet_v1_tiny',
    dataset_dir='new',
    max_number_of_steps=2,
    batch_size=4,
    train_dir='run',
    **flags,
  )
  assert printed.status == 0, printed.err
  printed = builders.call(eval_image_classifier, checkpoint_path='run')
  assert printed.status == 0, printed.err


@pytest.mark.slow
def test_image_folder(place):
  write_folders('source')
  turned = Image.Exif()
  turned[0x0112] = 6
  put(
    'source/red/turned.jpg',
    encode(
      builders.colour_image(0, 9, 24).resize((30, 20)), 'jpeg', exif=turned
    ),
  )
  found = converted(source='source', validation_fraction=0.25)
  assert found.class_names == tuple(sorted(COLOURS))
  assert [split.examples_per_class for split in found.splits.values()] == [
    (3, 3, 4),
    (1, 1, 1),
  ]
  assert (found.smallest, found.largest) == ((24, 20), (30, 24))
  trained()


@pytest.mark.parametrize('name', ['a.zip', 'a.tar.gz'])
@pytest.mark.parametrize('served', [False, True])
def test_archives(address, name, served):
  """Of a path or an address; unpacked beside, and that is gone then."""
  write = write_zip if name == 'a.zip' else write_tar
  source = write(name, write_folders('source'))
  found = converted(source=f'{address}/{source}' if served else source)
  assert found.class_names == tuple(sorted(COLOURS))
  downloads = pathlib.Path('cache/slim-resnets/downloads/image_folder')
  assert downloads.exists() == served
  if served:
    (folder,) = downloads.iterdir()
    assert sorted(os.listdir(folder)) == [name, f'{name}.json']


def test_an_archive_that_unpacks_to_too_much():
  source = write_zip('a.zip', write_folders('source'))
  refused(
    convert(source=source, max_unpacked_bytes=1000),
    'a.zip has',
    '1,000 are allowed',
    '--max_unpacked_bytes',
    left=('a.zip', 'source'),
  )


@pytest.mark.parametrize(
  'name,source,splits,classes',
  [
    ('csv', lambda: write_csv('list.csv'), (9, 3), 3),
    ('cifar10', lambda: write_cifar('c', 'cifar10'), (15, 3), 10),
    ('cifar100', lambda: write_cifar('c', 'cifar100'), (3, 3), 100),
    ('mnist', lambda: write_mnist('m'), (6, 3), 10),
    ('fashion_mnist', lambda: write_mnist('m', '.gz'), (6, 3), 10),
    ('imagenet', lambda: write_imagenet('i'), (6, 6), 3),
    ('imagenet', lambda: write_imagenet('i', True), (6, 6), 3),
  ],
)
def test_sources(name, source, splits, classes):
  found = converted(dataset_name=name, source=source())
  assert found.name == (name if name != 'csv' else 'tfrecord')
  assert tuple(split.examples for split in found.splits.values()) == splits
  assert len(found.class_names) == classes


def stratified(root, *splits):
  for split in splits:
    write_folders(f'{root}/{split}')
  return str(root)


def write_download(name):
  """Writes the files that a known dataset is downloaded as."""
  if name == 'idenprof':
    stratified('source/idenprof', 'train', 'test')
    return [write_zip('idenprof-jpg.zip', 'source')]
  if name == 'flowers':
    write_folders('source/flower_photos', list(builders.COLOURS))
    put('source/flower_photos/LICENSE.txt', b'CC BY')
    return [write_tar('flower_photos.tgz', 'source')]
  if name.startswith('cifar'):
    inner = {'cifar10': 'cifar-10-batches-bin', 'cifar100': 'cifar-100-binary'}[
      name
    ]
    write_cifar(f'source/{inner}', name)
    return [write_tar(f'{name}.tar.gz', 'source')]
  write_mnist('source', '.gz')
  return [f'source/{file}' for file in sorted(os.listdir('source'))]


def offer(monkeypatch, name, base, spoil=lambda checksum: checksum):
  """Has the registry name files of this machine for a dataset."""
  files = write_download(name)
  monkeypatch.setitem(
    registry.CONVERTERS,
    name,
    registry.CONVERTERS[name]._replace(
      downloads=[
        download.Download(
          f'{base}/{file}',
          os.path.getsize(file),
          'sha256:'
          + spoil(hashlib.sha256(pathlib.Path(file).read_bytes()).hexdigest()),
        )
        for file in files
      ]
    ),
  )
  return files


KNOWN = ('cifar10', 'cifar100', 'mnist', 'fashion_mnist', 'idenprof', 'flowers')


@pytest.mark.slow
@pytest.mark.parametrize('name', KNOWN)
@pytest.mark.parametrize('kind', ['http', 'file'])
def test_downloads(name, kind, monkeypatch, address, place):
  files = offer(
    monkeypatch, name, address if kind == 'http' else place.as_uri()
  )
  assert converted(dataset_name=name).name == name
  cache = pathlib.Path(f'cache/slim-resnets/downloads/{name}')
  if kind == 'file':  # read where they are
    assert not cache.exists()
    return
  assert sorted(os.listdir(cache)) == sorted(
    f'{os.path.basename(file)}{end}' for file in files for end in ('', '.json')
  )
  if name == 'mnist':
    trained()
  remove('new', *files)  # the second time nothing is fetched
  converted(dataset_name=name)


def test_addresses_that_end_alike(address):
  """Each has a file of its own, which is fetched again when it changes."""
  for folder, classes in (('a', ('red', 'green')), ('b', ('blue', 'grey'))):
    os.mkdir(folder)
    write_zip(f'{folder}/images.zip', write_folders(f'in_{folder}', classes))
  for url, classes, said in (
    ('a', ('green', 'red'), 'Downloading'),
    ('b', ('blue', 'grey'), 'Downloading'),
    ('b', ('blue', 'grey'), 'Using'),
    ('a', ('green', 'red', 'white'), 'Downloading'),
  ):
    if len(classes) == 3:
      write_zip('a/images.zip', write_folders('in_a', ('white',)) and 'in_a')
      os.utime('a/images.zip', (2e9, 2e9))
    printed = convert(source=f'{address}/{url}/images.zip')
    assert (printed.status, printed.err) == (0, '')
    assert printed.out.startswith(said)
    assert description.read('new').class_names == classes
    remove('new')


@pytest.mark.parametrize('name', KNOWN)
def test_a_download_that_is_another_file(name, monkeypatch, place):
  files = offer(monkeypatch, name, place.as_uri(), lambda _: '0' * 64)
  refused(
    convert(dataset_name=name),
    os.path.basename(files[0]),
    'is not the file it should be',
    '--source',
    left={'source', *files} - {f for f in files if '/' in f},
  )
  assert not os.path.exists('cache')


def test_a_download_that_is_not_there(monkeypatch, address):
  offer(monkeypatch, 'flowers', f'{address}/nowhere')
  refused(
    convert(dataset_name='flowers'),
    'flower_photos.tgz',
    '404',
    left=('source', 'flower_photos.tgz'),
  )


class ImageFeature:
  """Stands for tfds.features.Image."""


class ClassLabel:
  """Stands for tfds.features.ClassLabel."""

  names = COLOURS


def test_tfds(monkeypatch):
  examples = [
    {
      'image': builders.encode(builders.colour_image(i % 3, i), 'png'),
      'label': np.int64(i % 3),
    }
    for i in range(9)
  ]
  builder = types.SimpleNamespace(
    info=types.SimpleNamespace(
      features={'image': ImageFeature(), 'label': ClassLabel()},
      splits={'train': 9, 'test': 9},
    ),
    download_and_prepare=lambda: None,
    as_dataset=lambda split, decoders: examples,
  )
  monkeypatch.setitem(
    sys.modules,
    'tensorflow_datasets',
    types.SimpleNamespace(
      builder={'pets': builder}.get,
      as_numpy=iter,
      features=types.SimpleNamespace(Image=ImageFeature, ClassLabel=ClassLabel),
      decode=types.SimpleNamespace(SkipDecoding=object),
    ),
  )
  found = converted(dataset_name='tfds:pets')
  assert list(found.splits) == ['train', 'test']
  assert found.class_names == tuple(COLOURS)


# Errors.


@pytest.mark.parametrize(
  'flags,words',
  [
    ({'dataset_dir': None}, ('--dataset_dir is missing',)),
    ({'dataset_name': None}, ('--dataset_name is missing', 'tfds:NAME')),
    ({'dataset_name': 'flower'}, ("'flower'", 'Did you mean flowers?')),
    ({'dataset_name': 'imagenet'}, ('imagenet needs --source', 'image-net')),
    ({}, ('image_folder needs --source', 'sub-folder')),
    ({'source': 'nowhere'}, ('nowhere does not exist', '--source')),
    ({'source': 'https://127.0.0.1'}, ('127.0.0.1', 'name of a file')),
    ({'dataset_name': 'tfds:'}, ('tfds:beans',)),
    ({'validation_fraction': 1}, ('--validation_fraction=1', '0.99')),
    ({'num_shards': 0}, ('--num_shards=0', 'at least 1')),
    ({'sauce': 'x'}, ('sauce', '--help')),
    (
      {'dataset_dir': 'gs://a/b', 'dataset_name': 'digits'},
      ('--dataset_dir=gs://a/b is an address', 'copied there'),
    ),
  ],
)
def test_wrong_flags(flags, words):
  refused(convert(**flags), *words)


def test_commands_for_a_folder_with_blanks_can_be_pasted():
  write_folders('s')
  printed = convert(source='s', dataset_dir='my data[1]')
  commands = [line for line in printed.out.splitlines() if 'python' in line]
  assert [shlex.split(command)[-1] for command in commands] == [
    '--dataset_dir=my data[1]'
  ] * 2


def test_a_folder_that_is_not_empty():
  put('new/mine', b'precious')
  refused(
    convert(source=write_folders('source')),
    'new',
    'not empty',
    left=('new', 'source'),
  )
  assert os.listdir('new') == ['mine']


def one_class():
  return write_folders('source', ('red',))


def no_images():
  for name in COLOURS:
    pathlib.Path('source', name).mkdir(parents=True)
  return 'source'


def texts():
  for name in COLOURS:
    put(f'source/{name}/a.png', b'text')
    put(f'source/{name}/b.png', b'text')
  return 'source'


def line_break():
  return write_folders('source', ('red', 'bl\nue'))


def evil_zip():
  with zipfile.ZipFile('source', 'w') as file:
    file.writestr('red/a.png', b'x')
    file.writestr('../evil', b'x')
  return 'source'


def cut(write):
  def make():
    write('whole', write_folders('images'))
    put('source', pathlib.Path('whole').read_bytes()[:-400])
    remove('whole', 'images')
    return 'source'

  return make


def huge():
  write_folders('source')
  put('source/red/huge.png', builders.encode(Image.new('L', (40, 60)), 'png'))
  return 'source'


def broken():
  write_folders('source')
  data = builders.encode(builders.colour_image(0, 7), 'png')
  put('source/red/broken.png', data[:-40])
  return 'source'


def link():
  write_folders('source')
  os.symlink('nowhere', 'source/red/link.png')
  return 'source'


@pytest.mark.parametrize(
  'source,words',
  [
    (one_class, ('source has one class only, red',)),
    (no_images, ('No images in', 'source/blue')),
    (texts, ('.png of source is no image', '--skip_bad_examples=')),
    (line_break, ("'bl\\nue'", 'control character', 'Rename')),
    (evil_zip, ('source', "'../evil'", 'outside of its folder')),
    (cut(write_zip), ('source is damaged or cut short', 'again')),
    (cut(write_tar), ('source is damaged or cut short', 'again')),
    (broken, ('red/broken.png of source is damaged', '--skip_bad_examples=1')),
    (link, ('link.png', 'broken link')),
  ],
)
def test_bad_sources(source, words):
  refused(convert(source=source()), *words, left=['source'])


@pytest.mark.filterwarnings('error')
def test_remarks_of_pillow_are_hidden(monkeypatch, caplog):
  """On an image of many pixels, and on one whose EXIF is cut short."""
  monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', 24 * 24 - 1)
  write_folders('source')
  put(
    'source/red/exif.jpg',
    encode(
      builders.colour_image(0, 1, 24), 'jpeg', exif=b'Exif\0\0II*\0\b\0\0\0\x09'
    ),
  )
  assert convert(source='source').status == 0
  assert caplog.records == []


def test_a_image_that_is_too_large():
  refused(
    convert(source=huge(), max_image_pixels=2399),
    'red/huge.png of source',
    '40x60 = 2,400',
    left=['source'],
  )
  assert converted(source='source', max_image_pixels=2400).largest == (60, 40)


def test_bad_images_are_left_out():
  flags = {'source': broken(), 'skip_bad_examples': 1}
  printed = convert(**flags)
  assert (printed.status, printed.err) == (0, '')
  assert 'note: left out: red/broken.png of source is damaged.\n' in printed.out
  assert sum(split.examples for split in check('new').splits.values()) == 12
  put('source/blue/broken.png', b'text')
  refused(
    convert(dataset_dir='other', **flags),
    'broken.png of source',
    '--skip_bad_examples=2',
    left=('source', 'new'),
  )


@pytest.mark.skipif(
  os.name != 'posix' or os.geteuid() == 0, reason='root reads everything'
)
def test_a_file_that_cannot_be_read():
  write_folders('source')
  os.chmod('source/red/0.png', 0)
  refused(
    convert(source='source'),
    'red/0.png of source cannot be read',
    'Permission denied',
    left=['source'],
  )


# Verifying.


def test_verify():
  converted(source=write_folders('source'))
  printed = builders.call(
    download_and_convert_data, '--verify', dataset_dir='new'
  )
  assert (printed.status, printed.err) == (0, ''), printed.err
  for word in (*COLOURS, 'train', 'validation', 'contact_sheet.png'):
    assert word in printed.out
  with Image.open('new/contact_sheet.png') as sheet:
    assert min(sheet.size) > 100
  for said in description.read('new').splits.values():
    assert any(
      str(said.examples) in line.split() for line in printed.out.splitlines()
    ), printed.out
  check('new')  # the sheet is in nobody's way


def test_verify_what_is_damaged():
  converted(source=write_folders('source'))
  path = pathlib.Path('new/train-00000-of-00001.tfrecord')
  data = bytearray(path.read_bytes())
  data[len(data) - 50] ^= 4
  path.write_bytes(data)
  printed = builders.call(
    download_and_convert_data, '--verify', dataset_dir='new'
  )
  builders.refused(printed, 'new', 'problems')
  last = description.read('new').splits['train'].examples - 1
  assert f'record {last} of {path.name} is damaged' in printed.out


@pytest.mark.parametrize(
  'folder,words', [('nowhere', ('nowhere',)), ('empty', ('empty',))]
)
def test_verify_nothing(folder, words):
  os.mkdir('empty')
  refused(
    builders.call(download_and_convert_data, '--verify', dataset_dir=folder),
    *words,
    left=['empty'],
  )


# Killed.


@pytest.mark.slow
def test_killed(place):
  """Nothing looks complete, and the next run says what is left."""
  write_folders('source', count=400)
  process = subprocess.Popen(
    [
      sys.executable,
      ROOT / 'download_and_convert_data.py',
      '--dataset_name=image_folder',
      '--source=source',
      '--dataset_dir=new',
    ],
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
  )
  try:
    until = time.monotonic() + 60
    while (
      time.monotonic() < until
      and process.poll() is None
      and not any(path.stat().st_size for path in place.glob('.new.*/*'))
    ):
      time.sleep(0.002)
  finally:
    process.send_signal(signal.SIGKILL)
    process.communicate()
  assert process.returncode == -signal.SIGKILL
  assert not os.path.exists('new')
  (left,) = place.glob('.new.unfinished-*')
  assert not {'dataset.json', 'labels.txt'} & set(os.listdir(left))
  remove('source')
  write_folders('source')
  printed = convert(source='source')
  assert (printed.status, printed.err) == (0, '')
  assert f'note: {left} is left from a conversion' in printed.out
  assert check('new').class_names == tuple(sorted(COLOURS))


def test_interrupted(monkeypatch):
  """Ctrl-C leaves nothing."""
  write_folders('source')

  def stop(*_):
    raise KeyboardInterrupt

  with monkeypatch.context() as patch, contextlib.suppress(KeyboardInterrupt):
    patch.setattr(dataset_utils, 'write_label_file', stop)
    printed = convert(source='source')
  assert printed.status == 130 and printed.err == 'error: interrupted.\n'
  assert set(os.listdir()) == {'source'}
