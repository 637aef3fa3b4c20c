"""The table of converters."""

import re

import pytest

from datasets.convert import registry, tfds
from datasets.writing.plan import Options


def test_names():
  assert list(registry.CONVERTERS) == [
    'image_folder',
    'csv',
    'mask_folder',
    'cifar10',
    'cifar100',
    'mnist',
    'fashion_mnist',
    'idenprof',
    'flowers',
    'signs',
    'imagenet',
    'voc_masks',
    'cityscapes',
    'ade20k',
    'coco_stuff',
    'coco_panoptic',
    'coco_instances',
  ]
  for name, converter in registry.CONVERTERS.items():
    assert registry.get_converter(name) is converter
    assert bool(converter.downloads) != bool(converter.source), name


def test_downloads():
  for name, converter in registry.CONVERTERS.items():
    for download in converter.downloads:
      assert re.fullmatch(
        r'https?://\S+\.(tar|tar\.gz|tgz|zip|gz)', download.url
      )
      assert converter.archive == (not download.url.endswith('-ubyte.gz'))
      if name not in ('idenprof', 'voc_masks'):
        assert download.size > 4000
      if name != 'idenprof':
        assert re.fullmatch(
          'md5:[0-9a-f]{32}|sha256:[0-9a-f]{64}', download.checksum
        )
  for name in ('mnist', 'fashion_mnist'):
    assert [
      download.url.rpartition('/')[2]
      for download in registry.CONVERTERS[name].downloads
    ] == [
      'train-images-idx3-ubyte.gz',
      'train-labels-idx1-ubyte.gz',
      't10k-images-idx3-ubyte.gz',
      't10k-labels-idx1-ubyte.gz',
    ]


@pytest.mark.parametrize('name', ['idenprof', 'flowers'])
def test_named_folders(tmp_path, name):
  for path in ('a/1', 'a/2', 'b/1', 'b/2'):
    (tmp_path / name / path).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name / path).write_bytes(b'x')
  (tmp_path / name / 'LICENSE.txt').write_text('CC BY')
  plan = registry.get_converter(name).plan(str(tmp_path), Options())
  assert plan.name == name and plan.class_names == ['a', 'b']
  assert list(plan.splits) == ['train', 'validation']
  assert sorted(
    item.name for items in plan.splits.values() for item in items
  ) == [f'{name}/a/1', f'{name}/a/2', f'{name}/b/1', f'{name}/b/2']


@pytest.mark.parametrize(
  'name, hint',
  [
    ('cifar', ' Did you mean cifar10 or cifar100?'),
    ('flower', ' Did you mean flowers?'),
    ('xyz', ''),
  ],
)
def test_unknown(name, hint):
  with pytest.raises(ValueError) as caught:
    registry.get_converter(name)
  assert str(caught.value) == (
    f'There is no converter named {name!r}.{hint} The converters are: '
    'image_folder, csv, mask_folder, cifar10, cifar100, mnist, '
    'fashion_mnist, idenprof, flowers, signs, imagenet, voc_masks, '
    'cityscapes, ade20k, coco_stuff, coco_panoptic, coco_instances and '
    'tfds:NAME.'
  )


def test_tfds(monkeypatch):
  monkeypatch.setattr(tfds, 'plan', lambda *args: args)
  converter = registry.get_converter('tfds:cifar10:3.0.2')
  assert not converter.downloads and not converter.source
  assert converter.plan(None, Options()) == ('cifar10:3.0.2', Options())
  with pytest.raises(ValueError, match='such as tfds:beans'):
    registry.get_converter('tfds:')


@pytest.mark.parametrize(
  'name, words',
  [
    ('image_folder', 'image_folder needs --source, a folder with one sub-fol'),
    ('csv', 'csv needs --source, a CSV file whose first line is path,label.'),
    (
      'imagenet',
      'imagenet needs --source, the folder of its tars, for '
      'ImageNet cannot be downloaded without an account: ask for one at '
      'https://image-net.org.',
    ),
    (
      'signs',
      'signs needs --source, the folder of train_signs.h5 and '
      'test_signs.h5, which have no public address: they come with ',
    ),
  ],
)
def test_source_is_needed(name, words):
  with pytest.raises(ValueError, match=f'^{re.escape(words)}'):
    registry.check_source(name, None)
  registry.check_source(name, 'somewhere')


def test_source_is_not_needed():
  for name in ('cifar10', 'tfds:beans'):
    registry.check_source(name, None)
  with pytest.raises(ValueError, match='no converter named'):
    registry.check_source('nothing', None)
