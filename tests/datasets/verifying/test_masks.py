"""The report on masks: what they hold, and why nothing is learnt from them."""

import io
import pathlib

import numpy as np
import pytest
from PIL import Image

from datasets.text import columns
from datasets.verifying import report, table, verify
from tests import builders

NAMES = ('background', 'cat', 'dog')


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))


def masks(*values, each=3, start=0):
  """Records of noisy masks of 10 x 12 pixels; the values as often."""
  ids = np.resize(np.array(values, np.uint8), (10, 12))
  return [builders.mask_record(start + i, np.roll(ids, i)) for i in range(each)]


def filled(*shares, each=2, start=0):
  """Records of masks of 20 x 50 pixels, of which values fill so many."""
  ids = np.concatenate(
    [np.full(count, value, np.uint8) for value, count in shares]
  ).reshape(20, 50)
  return [builders.mask_record(start + i, ids) for i in range(each)]


def check(folder, name='tfrecord', **options):
  return verify.verify(name, str(folder), **options)


def only(texts, *words):
  """Asserts that one of the texts has the words, and returns it."""
  found = [text for text in texts if all(word in text for word in words)]
  assert len(found) == 1, texts
  return found[0]


@pytest.fixture
def sound(tmp_path):
  return builders.write_masks(
    tmp_path / 'data',
    NAMES,
    train=masks(0, 1, 2, each=4),
    val=masks(0, 1, 2, 255, start=90),
  )


def test_values_of_sound_masks(sound):
  found = check(sound)
  assert found.problems == found.notes == ()
  assert (found.task, found.ignore_label) == ('segmentation', 255)
  train, val = found.splits.values()
  assert (train.records, train.examples, val.examples) == (4, 4, 3)
  assert train.examples_per_class == (4, 4, 4)
  assert val.values.pixels == (90, 90, 90, *[0] * 252, 90)
  assert val.values.masks == (3, 3, 3, *[0] * 252, 3)
  assert train.values.examples == 4
  assert (train.heights, train.widths) == ((10,) * 3, (12,) * 3)
  assert found.leaked == {} and found.conflicts == 0


def test_threads_do_not_change_the_report(tmp_path):
  folder = builders.write_masks(
    tmp_path,
    NAMES,
    described=False,
    train=[
      *masks(0, 1, 9),
      *masks(255),
      *masks(0, 2, start=50),
      builders.mask_record(7, np.zeros((3, 3), np.uint8), seg=b''),
    ],
  )
  found = [check(folder, threads=threads) for threads in (1, 2, 7)]
  assert found[0].problems and found == [found[0]] * 3


def test_the_table(tmp_path):
  folder = builders.write_masks(
    tmp_path,
    NAMES,
    train=filled((0, 600), (1, 300), (2, 90), (255, 10)),
    val=filled((0, 500), (1, 499), (77, 1), each=1, start=9),
  )
  lines = table.describe(check(folder))
  assert lines[0] == f'tfrecord in {folder}: 3 classes, 255 is ignored'
  cells = [line.split() for line in lines]
  first = cells.index(['class', 'train', 'val', 'share', 'masks'])
  assert cells[first + 2 : first + 7] == [
    ['0', 'background', '60.00%', '50.00%', '56.67%', '3'],
    ['1', 'cat', '30.00%', '49.90%', '36.63%', '3'],
    ['2', 'dog', '9.00%', '0.00%', '6.00%', '2'],
    ['77', 'no', 'class', '0.00%', '0.10%', '0.03%', '1'],
    ['255', 'ignored', '1.00%', '0.00%', '0.67%', '2'],
  ]
  assert ['examples', '2', '1'] in cells
  rows = lines[first : first + 7]
  assert len({len(line) for line in rows}) == 1  # aligned


def test_a_class_that_is_ignored_in_the_table(tmp_path):
  folder = builders.write_masks(
    tmp_path, NAMES, 0, train=filled((0, 500), (1, 250), (2, 250))
  )
  found = check(folder)
  cells = [line.split() for line in table.describe(found)]
  assert ['0', 'background,', 'ignored', '50.00%', '50.00%', '2'] in cells
  assert found.problems == found.notes == ()
  assert found.splits['train'].examples_per_class == (0, 2, 2)


@pytest.mark.parametrize('values', [3, 41, 256])
@pytest.mark.parametrize('splits', [1, 9])
def test_every_line_has_at_most_100_columns(values, splits):
  pixels = tuple((i * 7) % 256 + 1 for i in range(256))
  one = report.SplitReport(
    ('x',),
    9,
    9,
    (),
    pixels[:values],
    (1, 2, 3),
    (1, 2, 3),
    5,
    0,
    report.Values(9, pixels, pixels),
  )
  found = report.Report(
    'tfrecord',
    '/data',
    ('n' * 200,) * values,
    {f'a_split_of_number_{i}': one for i in range(splits)},
    {},
    0,
    (),
    (),
    'segmentation',
    255,
  )
  lines = table.describe(found)
  assert max(map(columns, lines)) <= 100
  rows = [line for line in lines if '%' in line]
  assert len(rows) == min(values, 40) + min(256 - values, 40)
  assert len({*map(len, rows)}) == 1


@pytest.mark.parametrize(
  'split, problem', [('train', True), ('train_aug', True), ('val', False)]
)
def test_a_class_that_never_occurs(tmp_path, split, problem):
  folder = builders.write_masks(tmp_path, NAMES, **{split: masks(0, 2)})
  found = check(folder)
  text = (f'The split {split} has no example of 1 of the 3 classes: cat.',)
  assert (found.problems, found.notes) == (
    (text, ()) if problem else ((), text)
  )


def test_the_background_may_lack(tmp_path):
  assert (
    check(builders.write_masks(tmp_path, NAMES, train=masks(1, 2))).problems
    == ()
  )


@pytest.mark.parametrize('split', ['train', 'val'])
def test_values_that_are_no_class(tmp_path, split):
  folder = builders.write_masks(
    tmp_path,
    NAMES,
    described=False,
    **{
      split: [
        *masks(0, 1, 2, each=5),
        *filled(
          (0, 300), (1, 300), (2, 390), (3, 4), (99, 6), each=1, start=50
        ),
      ]
    },
  )
  found = check(folder)
  assert found.splits[split].bad == ()
  assert only(found.problems, 'no class') == (
    f'Masks of {split} hold values that are no class: 3, 99, 0.62% of the '
    'pixels. The classes are 0 to 2, and 255 is ignored. They are in 1 of 6 '
    f'masks, record 5 of {split}-00000-of-00001.tfrecord (Bild 50). Name '
    'every class in --labels_file, or convert the data again: --mask_values '
    'gives values classes in their order, --ignore_label=99 leaves one out.'
  )


def test_values_where_none_is_ignored(tmp_path):
  folder = builders.write_masks(
    tmp_path, NAMES, None, train=masks(0, 1, 2, 255)
  )
  assert 'The classes are 0 to 2, and no value is ignored.' in only(
    check(folder).problems, 'no class'
  )


def test_values_of_smoothed_masks(tmp_path):
  ids = np.kron(
    np.array([[0, 2], [1, 0]], np.uint8) * 100, np.ones((10, 10), np.uint8)
  )
  smooth = (
    np.asarray(Image.fromarray(ids).resize((50, 50), Image.Resampling.BILINEAR))
    // 2
  )
  folder = builders.write_masks(
    tmp_path,
    NAMES,
    described=False,
    train=[*masks(0, 1, 2), builders.mask_record(9, smooth)],
  )
  text = only(check(folder).problems, 'no class')
  assert text.endswith(
    'So many come from masks that were made smaller or larger with '
    'smoothing, or saved as JPEG: write them again, by nearest neighbour and '
    'as PNG.'
  )


def test_black_and_white_masks(tmp_path):
  """What ends at a mIOU of 0 most often: 255 was meant to be a class."""
  folder = builders.write_masks(
    tmp_path, ('background', 'cat'), train=masks(0, 255)
  )
  assert check(folder).problems == (
    'The masks of train hold one class only, 0 background; the rest is 255, '
    'which is ignored. If 255 stands for a class, as in masks of black and '
    'white, convert them by --dataset_name=mask_folder --mask_values=0,255.',
  )


def paletted(ids, *colours):
  """A PNG of ids in a palette."""
  image = Image.fromarray(ids, 'P')
  image.putpalette(sum(colours, ()))
  data = io.BytesIO()
  image.save(data, 'png')
  return data.getvalue()


@pytest.mark.parametrize('good', [0, 2])
def test_palettes_that_contradict_each_other(tmp_path, good):
  """In records made elsewhere; each is bad by itself as well."""
  ids = np.resize(np.array([0, 1], np.uint8), (10, 12))
  black, red, green = (0, 0, 0), (128, 0, 0), (0, 128, 0)
  folder = builders.write_masks(
    tmp_path,
    NAMES,
    described=False,
    train=[
      *masks(0, 1, each=good),
      *(
        builders.mask_record(seed, ids, seg=paletted(ids, *colours))
        for seed, colours in enumerate(
          [(black, red), (black, red, green), (black, green)], 50
        )
      ),
      builders.mask_record(60, ids, seg=paletted(ids, green, black)[:70]),
    ],
  )
  where = 'record {} of train-00000-of-00001.tfrecord'
  assert only(check(folder).problems, 'palettes') == (
    'The palettes of the masks of train contradict each other: 1 is the '
    f'colour 128,0,0 in {where.format(good)} and 0,128,0 in '
    f'{where.format(good + 2)}. If colours tell the classes, convert the masks '
    'with --color_table, a CSV file with the lines name,r,g,b; if numbers do, '
    'save the masks as grey PNGs, without palettes.'
  )


def test_one_class_only(tmp_path):
  text = (
    'The masks of {} hold one class only, 1 cat: there is nothing to be told '
    'apart. Were they saved with the colours of classes, or with numbers of '
    'objects? See --color_table and --mask_values of '
    '--dataset_name=mask_folder.'
  )
  found = check(
    builders.write_masks(tmp_path, NAMES, train=masks(1), val=masks(1, start=9))
  )
  assert found.problems == (text.format('train'),)
  assert found.notes == (text.format('val'),)


def test_masks_without_a_class(tmp_path):
  found = check(builders.write_masks(tmp_path, NAMES, train=masks(255)))
  assert only(found.problems, 'hold no class').startswith(
    'The masks of train hold no class; the rest is 255, which is ignored.'
  )
  assert 'pixel is ignored: 3 of 3' in only(found.notes, 'every pixel')


def test_masks_that_are_ignored_altogether(tmp_path):
  folder = builders.write_masks(
    tmp_path,
    NAMES,
    train=[*masks(0, 1, 2, each=9), *masks(255, each=1, start=50)],
  )
  found = check(folder)
  assert found.problems == ()
  assert found.notes == (
    'Masks of train of which every pixel is ignored: 1 of 10. Nothing is '
    'learnt from them, record 9 of train-00000-of-00001.tfrecord (Bild 50).',
  )


@pytest.mark.parametrize('ignored, noted', [(500, False), (502, True)])
def test_much_that_is_ignored(tmp_path, ignored, noted):
  folder = builders.write_masks(
    tmp_path,
    NAMES,
    train=filled((0, 300), (1, 100), (2, 600 - ignored), (255, ignored)),
  )
  found = check(folder)
  assert found.problems == ()
  assert found.notes == (
    (
      '50.2% of the pixels of train are ignored, having the value 255: they '
      'are neither learnt nor evaluated. If it stands for a class, convert the '
      'data again with another --ignore_label.',
    )
    if noted
    else ()
  )


@pytest.mark.parametrize('most, noted', [(950, False), (952, True)])
def test_a_class_that_has_nearly_all(tmp_path, most, noted):
  folder = builders.write_masks(
    tmp_path, NAMES, train=filled((0, most), (1, 20), (2, 980 - most))
  )
  found = check(folder)
  assert found.problems == ()
  assert found.notes == (
    (
      '95.2% of the pixels of train that count are 0 background. A network '
      'that says nothing else has that pixel accuracy, and a mIOU of 31.7%. If '
      'yours ends there, train with --class_weights=auto.',
    )
    if noted
    else ()
  )


def test_shares_are_of_the_pixels_that_count(tmp_path):
  folder = builders.write_masks(
    tmp_path, NAMES, train=filled((0, 480), (1, 10), (2, 10), (255, 500))
  )
  assert '96.0% of the pixels of train that count are 0 background' in only(
    check(folder).notes, 'that count'
  )


def test_rare_classes(tmp_path):
  ids = np.zeros((100, 50), np.uint8)
  ids[:40] = 1
  ids[0, :4] = 2
  folder = builders.write_masks(
    tmp_path,
    NAMES,
    train=[builders.mask_record(0, ids)],
    val=[builders.mask_record(9, ids)],
  )
  assert check(folder).notes == (
    'Classes with less than 0.1% of the pixels of train: 2 dog. '
    '--class_weights=auto makes them count more.',
  )


def test_bad_records_are_problems(sound):
  ids = np.resize(np.array([0, 1, 2], np.uint8), (10, 12))
  folder = builders.write_masks(
    pathlib.Path(sound),
    NAMES,
    described=False,
    train=[
      *masks(0, 1, 2),
      builders.mask_record(50, ids, seg=builders.png(ids[:5])),
      builders.mask_record(51, ids, seg=builders.png(ids, 'P')),
      builders.mask_record(52, ids, seg=None),
    ],
  )
  (pathlib.Path(folder) / 'dataset.json').unlink()
  found = check(folder)
  where = 'record {} of train-00000-of-00001.tfrecord '
  assert found.problems[0] == where.format(3) + (
    'has a mask of 12x5 pixels for an image of 12x10: convert the data again.'
  )
  assert 'has a mask with a palette' in found.problems[1]
  assert found.problems[2] == where.format(5) + (
    'has no single value of image/segmentation/class/encoded.'
  )
  assert len(found.problems) == 3
  train = found.splits['train']
  assert (train.records, train.examples, len(train.bad)) == (6, 3, 3)


def test_no_good_record(tmp_path):
  folder = builders.write_masks(
    tmp_path,
    NAMES,
    train=[
      builders.mask_record(i, np.zeros((4, 4), np.uint8), data=b'')
      for i in range(2)
    ],
  )
  found = check(folder)
  assert len(found.problems) == len(found.splits['train'].bad) == 2
  assert found.splits['train'].examples == 0
  assert table.describe(found)[-1] == '2 problems.'


def test_metrics_that_dataset_json_does_not_say(sound):
  path = pathlib.Path(sound, 'dataset.json')
  text = path.read_text()
  assert text.count('160') == 3  # 4 masks of 40 pixels of each class
  path.write_text(text.replace('160', '161', 1))
  assert check(sound).problems == (
    'The split train is not what dataset.json says: background has 160 '
    'pixels instead of 161. Convert the data again.',
  )


def test_a_flipped_bit(sound):
  path = next(pathlib.Path(sound).glob('train-*'))
  data = bytearray(path.read_bytes())
  data[len(data) // 2] ^= 1
  path.write_bytes(data)
  only(check(sound).problems, 'the checksum')


def test_images_in_two_splits(tmp_path):
  records = masks(0, 1, 2)
  found = check(
    builders.write_masks(
      tmp_path, NAMES, train=records, val=[records[1], *masks(0, 1, 2, start=9)]
    )
  )
  assert found.problems == () and found.leaked == {('train', 'val'): 1}
  assert found.notes == (
    'Images of val that are in train too: 1 of 4. Results on val are too '
    'good by them: record 1 of train-00000-of-00001.tfrecord (Bild 1) = '
    'record 0 of val-00000-of-00001.tfrecord (Bild 1).',
    'Records that are another one byte for byte: 1. Was a file copied twice? '
    'record 1 of train-00000-of-00001.tfrecord (Bild 1) = '
    'record 0 of val-00000-of-00001.tfrecord (Bild 1).',
  )


def test_images_that_repeat(tmp_path):
  records = masks(0, 1, 2)
  found = check(
    builders.write_masks(tmp_path, NAMES, train=[*records, records[0]])
  )
  assert found.notes == (
    'Images of train that repeat another one with its mask: 1 of 4.',
    'Records that are another one byte for byte: 1. Was a file copied twice? '
    'record 0 of train-00000-of-00001.tfrecord (Bild 0) = '
    'record 3 of train-00000-of-00001.tfrecord (Bild 0).',
  )
  assert found.splits['train'].repeated == 1 and found.conflicts == 0


@pytest.mark.parametrize('name', ['tfrecord', 'pascal_voc_seg'])
def test_images_with_two_masks(tmp_path, name):
  ids = np.resize(np.array([0, 1, 2], np.uint8), (10, 12))
  found = check(
    builders.write_masks(
      tmp_path,
      NAMES,
      data_name=name,
      train=[
        builders.mask_record(0, ids),
        builders.mask_record(0, ids[:, ::-1]),
      ],
    ),
    name,
  )
  assert found.conflicts == 1 and found.splits['train'].repeated == 0
  # Nobody can repair published data.
  only(
    found.problems if name == 'tfrecord' else found.notes,
    'Images with more than one mask: 1. Keep the right one of record 0 of '
    'train-00000-of-00001.tfrecord (Bild 0) = record 1',
  )


def test_many_classes_are_named_in_short(tmp_path):
  names = ['background', *(f'class {i}' for i in range(1, 30))]
  found = check(builders.write_masks(tmp_path, names, train=masks(0, 1)))
  assert found.problems == (
    'The split train has no example of 28 of the 30 classes: class 2, class '
    '3, class 4, class 5, class 6 and 23 more.',
  )
