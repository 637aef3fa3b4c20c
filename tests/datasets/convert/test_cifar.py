"""CIFAR-10 and CIFAR-100 in their binary version."""

import io

import numpy as np
import pytest
from PIL import Image

from datasets.convert import cifar
from datasets.writing.plan import Options

FILES_10 = [*(f'data_batch_{i}.bin' for i in range(1, 6)), 'test_batch.bin']


def records(seed, label_bytes=1, classes=10, count=3):
  """uint8 [count, label_bytes + 3072]."""
  random = np.random.RandomState(seed)
  data = random.randint(0, 256, (count, label_bytes + 3072)).astype(np.uint8)
  data[:, label_bytes - 1] = random.randint(0, classes, count)
  return data


def write_10(folder):
  folder.mkdir(exist_ok=True)
  for seed, name in enumerate(FILES_10):
    (folder / name).write_bytes(records(seed).tobytes())
  (folder / 'batches.meta.txt').write_text(
    ''.join(f'class{i}\n' for i in range(10)) + '\n'
  )


def write_100(folder):
  folder.mkdir(exist_ok=True)
  for seed, name in enumerate(('train.bin', 'test.bin')):
    (folder / name).write_bytes(records(seed, 2, 100).tobytes())
  (folder / 'fine_label_names.txt').write_text(
    ''.join(f'fine_{i}\n' for i in range(100))
  )


def check(items, expected, label_bytes):
  assert len(items) == len(expected)
  for item, record in zip(items, expected, strict=True):
    assert item.label == record[label_bytes - 1]
    decoded = Image.open(io.BytesIO(item.read()))
    assert decoded.format == 'PNG' and decoded.mode == 'RGB'
    for channel, plane in enumerate(np.split(record[label_bytes:], 3)):
      np.testing.assert_array_equal(
        np.asarray(decoded)[..., channel], plane.reshape(32, 32)
      )


@pytest.mark.parametrize('inner', ['', 'cifar-10-batches-bin'])
def test_cifar10(tmp_path, inner):
  write_10(tmp_path / inner)
  plan = cifar.plan_cifar10(str(tmp_path), Options())
  assert plan.name == 'cifar10' and plan.source == str(tmp_path)
  assert plan.class_names == [f'class{i}' for i in range(10)]
  assert list(plan.splits) == ['train', 'test']
  check(plan.splits['train'], np.concatenate([records(i) for i in range(5)]), 1)
  check(plan.splits['test'], records(5), 1)
  assert plan.splits['train'][4].name == 'image 1 of data_batch_2.bin'
  assert plan.splits['train'][4].features == {}


@pytest.mark.parametrize('inner', ['', 'cifar-100-binary'])
def test_cifar100(tmp_path, inner):
  write_100(tmp_path / inner)
  plan = cifar.plan_cifar100(str(tmp_path), Options())
  assert plan.name == 'cifar100'
  assert plan.class_names == [f'fine_{i}' for i in range(100)]
  for seed, split in enumerate(('train', 'test')):
    check(plan.splits[split], records(seed, 2, 100), 2)
    assert [item.features for item in plan.splits[split]] == [
      {'image/class/coarse_label': int(record[0])}
      for record in records(seed, 2, 100)
    ]


def refused(plan, folder):
  with pytest.raises(ValueError) as caught:
    plan(str(folder), Options())
  return str(caught.value)


@pytest.mark.parametrize('size', [0, 1, 3 * 3073 - 1, 3074])
def test_wrong_size(tmp_path, size):
  write_10(tmp_path)
  (tmp_path / 'data_batch_3.bin').write_bytes(bytes(size))
  assert refused(cifar.plan_cifar10, tmp_path) == (
    f'{tmp_path}/data_batch_3.bin has {size:,} bytes; it should have a '
    'multiple of 3,073. Download it again.'
  )


def test_wrong_size_100(tmp_path):
  write_100(tmp_path)
  (tmp_path / 'test.bin').write_bytes(bytes(3073))
  assert 'a multiple of 3,074.' in refused(cifar.plan_cifar100, tmp_path)


def test_label_out_of_range(tmp_path):
  write_10(tmp_path)
  data = records(0)
  data[1, 0] = 10
  (tmp_path / 'test_batch.bin').write_bytes(data.tobytes())
  assert (
    'test_batch.bin: the label of image 1 is 10; it should be below 10.'
    in refused(cifar.plan_cifar10, tmp_path)
  )


def test_names(tmp_path):
  write_10(tmp_path)
  (tmp_path / 'batches.meta.txt').write_text('cat\ndog\n')
  assert 'batches.meta.txt has 2 class names; it should have 10.' in refused(
    cifar.plan_cifar10, tmp_path
  )


def test_missing(tmp_path):
  assert refused(cifar.plan_cifar10, tmp_path / 'none').startswith(
    f'{tmp_path}/none does not exist.'
  )
  assert refused(cifar.plan_cifar10, tmp_path) == (
    f'{tmp_path} has no data_batch_1.bin, data_batch_2.bin, '
    'data_batch_3.bin, data_batch_4.bin, data_batch_5.bin and 2 more. Is it '
    'the folder of the binary version?'
  )
  write_100(tmp_path / 'cifar-100-binary')
  (tmp_path / 'cifar-100-binary' / 'test.bin').unlink()
  assert refused(cifar.plan_cifar100, tmp_path).startswith(
    f'{tmp_path}/cifar-100-binary has no test.bin. Is it'
  )


@pytest.mark.parametrize(
  'plan, name',
  [(cifar.plan_cifar10, 'data_batch_1'), (cifar.plan_cifar100, 'train')],
)
def test_pickled(tmp_path, plan, name):
  (tmp_path / name).write_bytes(b'pickled')
  assert refused(plan, tmp_path) == (
    f'{tmp_path} has {name}, the pickled version for Python. The binary '
    'version is needed, from https://www.cs.toronto.edu/~kriz/cifar.html.'
  )
