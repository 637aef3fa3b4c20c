"""The conversion script on images with masks: values, and bad sources."""

import io
import os
import pathlib
import shutil

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from PIL import Image

import download_and_convert_data
from datasets import class_names, dataset_utils
from datasets.convert import registry
from datasets.convert.masks import voc_masks
from datasets.images import overlays
from datasets.records import description
from datasets.records.tfrecord import Reader
from tests import builders

NAMES = ['sky', 'tree', 'house']
TABLE = 'name,r,g,b\nsky,0,0,255\ntree,0,128,0\nVoid,0,0,0\nhouse,200,40,9\n'
COLOURS = {0: (0, 0, 255), 1: (0, 128, 0), 2: (200, 40, 9), 255: (0, 0, 0)}


@pytest.fixture(autouse=True)
def place(workplace, monkeypatch):
  """An empty current folder, and a cache of its own."""
  monkeypatch.setenv('XDG_CACHE_HOME', str(workplace / 'cache'))
  return workplace


def convert(*arguments, dataset_name='mask_folder', source='s', **flags):
  """Runs the script."""
  return builders.call(
    download_and_convert_data,
    *arguments,
    dataset_dir='new',
    dataset_name=dataset_name,
    source=source,
    **flags,
  )


def refused(printed, *words):
  """Asserts a failure of one line, which leaves nothing behind."""
  builders.refused(printed, *words)
  assert not os.path.exists('new') and not [
    path for path in os.listdir() if path.startswith('.')
  ]


def converted(**flags):
  """Runs the script, which succeeds; returns (printed, description)."""
  printed = convert(**flags)
  assert (printed.status, printed.err) == (0, '')
  return printed, description.read('new')


def records(split):
  """Returns {filename: features} of a split's records."""
  found = {}
  for name in description.read('new').splits[split].files:
    reader = Reader([f'new/{name}'])
    for i in range(len(reader)):
      feature = tf.train.Example.FromString(reader.read(i)).features.feature
      values = {
        key: (value.bytes_list.value or value.int64_list.value)
        for key, value in feature.items()
      }
      assert {len(value) for value in values.values()} == {1}
      values = {key: value[0] for key, value in values.items()}
      found[values['image/filename'].decode()] = values
  return found


def masks(split):
  """Returns {filename: mask} as TensorFlow and Pillow decode it."""
  found = {}
  for name, values in records(split).items():
    data = values['image/segmentation/class/encoded']
    with tf.Graph().as_default(), tf.Session() as session:
      found[name] = session.run(tf.io.decode_png(data, channels=1))[..., 0]
    image = Image.open(io.BytesIO(data))
    assert image.mode == 'L'
    np.testing.assert_array_equal(found[name], np.asarray(image))
  return found


# Sources.


def ids(seed, classes=3, ignored=255, height=9, width=11):
  """A mask in which every class, and the ignore label, occurs."""
  mask = np.random.RandomState(seed).randint(0, classes, (height, width))
  mask[seed % height, :classes] = range(classes)
  if ignored is not None:
    mask[seed % height, classes] = ignored
  return mask.astype(np.uint8)


def save(path, image):
  path = pathlib.Path(path)
  path.parent.mkdir(parents=True, exist_ok=True)
  image.save(path)


def noise(seed, height=9, width=11):
  return Image.fromarray(
    np.random.RandomState(seed)
    .randint(0, 256, (height, width, 3))
    .astype(np.uint8)
  )


def grey(mask):
  return Image.fromarray(mask)


def palette(mask):
  image = Image.fromarray(mask, 'L').convert('P')
  image.putdata(mask.ravel().tolist())
  colours = np.random.RandomState(0).randint(0, 256, 768).tolist()
  image.putpalette(colours)
  return image


def voc_palette(mask):
  image = palette(mask)
  image.putpalette(overlays.palette(256).tobytes())
  return image


def rgb(mask):
  pixels = np.zeros((*mask.shape, 3), np.uint8)
  for label, colour in COLOURS.items():
    pixels[mask == label] = colour
  return Image.fromarray(pixels)


def three_greys(mask):
  return Image.fromarray(np.repeat(mask[..., None], 3, 2))


def opaque(mask):
  image = three_greys(mask).convert('RGBA')
  image.putalpha(255)
  return image


def wide(mask):
  return Image.fromarray(mask.astype(np.uint16))


def write(
  form=grey,
  count=4,
  images='s/images',
  folder='s/masks',
  classes=3,
  start=0,
  **options,
):
  """Writes images and masks; returns the masks by the images' names."""
  found = {}
  for seed in range(start, start + count):
    suffix = ('png', 'jpg', 'bmp', 'webp')[seed % 4]
    mask = ids(seed, classes, **options)
    save(f'{images}/p{seed}.{suffix}', noise(seed))
    save(f'{folder}/p{seed}.png', form(mask))
    found[f'{images.removeprefix("s/")}/p{seed}.{suffix}'] = mask
  return found


def table(text=TABLE):
  pathlib.Path('table.csv').write_text(text)
  return 'table.csv'


def labels(names=NAMES):
  dataset_utils.write_label_file(dict(enumerate(names)), '.', 'names.txt')
  return 'names.txt'


def same(expected, split):
  found = masks(split)
  assert found.keys() == expected.keys()
  for name, mask in expected.items():
    np.testing.assert_array_equal(found[name], mask)


def counted(split, expected, classes, ignore_label=255):
  """Compares what dataset.json says with the masks themselves."""
  every = [mask[mask != ignore_label] for mask in expected.values()]
  assert split.examples == len(every)
  for label in range(classes):
    assert split.examples_per_class[label] == sum(
      bool((mask == label).any()) for mask in every
    )
    assert split.pixels_per_class[label] == sum(
      int((mask == label).sum()) for mask in every
    )
  assert split.ignored_pixels == sum(
    int((mask == ignore_label).sum()) for mask in expected.values()
  )


@pytest.mark.parametrize(
  'form',
  [grey, palette, rgb, three_greys, opaque, wide],
  ids=lambda form: form.__name__,
)
def test_every_form(form):
  train = write(form, 5, 's/images/train', 's/masks/train')
  val = write(form, 2, 's/images/val', 's/masks/val', start=7)
  printed, found = converted(
    **({'color_table': table()} if form is rgb else {'labels_file': labels()})
  )
  assert 'Found 7 images with masks of 3 classes: train 5, validation 2.' in (
    printed.out
  )
  assert (found.task, found.ignore_label, found.name) == (
    'segmentation',
    255,
    'tfrecord',
  )
  assert list(found.class_names) == NAMES
  assert (found.smallest, found.largest, found.channels) == (
    (9, 11),
    (9, 11),
    3,
  )
  for split, expected in (('train', train), ('validation', val)):
    same(expected, split)
    counted(found.splits[split], expected, 3)


def test_schema():
  """DeepLab's features, and no other; the image is as it was."""
  expected = write()
  converted(labels_file=labels(), validation_fraction=0.25)
  found = {**records('train'), **records('validation')}
  assert found.keys() == expected.keys()
  for name, values in found.items():
    assert values.keys() == {
      'image/encoded',
      'image/filename',
      'image/format',
      'image/height',
      'image/width',
      'image/channels',
      'image/segmentation/class/encoded',
      'image/segmentation/class/format',
    }
    assert (
      values['image/height'],
      values['image/width'],
      values['image/channels'],
    ) == (9, 11, 3)
    assert values['image/segmentation/class/format'] == b'png'
    data = pathlib.Path('s', name).read_bytes()
    kept = name.endswith(('png', 'jpg'))
    assert (values['image/encoded'] == data) == kept
    assert values['image/format'] == (
      b'jpeg' if name.endswith('jpg') else b'png'
    )
  assert (len(records('train')), len(records('validation'))) == (3, 1)


@pytest.mark.parametrize(
  'images,folder',
  [
    ('s/images', 's/masks'),
    ('s/archive/imgs', 's/archive/annotations'),
    ('s/train/images', 's/train/masks'),
    ('s/images/training/berlin', 's/masks/training/berlin'),
  ],
)
def test_layouts(images, folder):
  expected = write(images=images, folder=folder)
  printed, found = converted()
  assert (
    'note: Nothing names the 3 classes, which are called class 0 to class 2: '
    'give --labels_file, with lines such as 0:background.\n'
  ) in printed.out
  assert list(found.splits) == ['train', 'validation']
  both = {**masks('train'), **masks('validation')}
  assert both.keys() == expected.keys()
  for name, mask in expected.items():
    np.testing.assert_array_equal(both[name], mask)
  assert list(found.class_names) == ['class 0', 'class 1', 'class 2']


def test_endings_of_names():
  """CamVid's masks have _L behind the names of the images."""
  expected = write()
  for path in pathlib.Path('s/masks').iterdir():
    path.rename(path.with_name(f'{path.stem}_L.png'))
  pathlib.Path('s/images/readme.txt').write_text('no image')
  converted()
  assert records('train').keys() | records('validation').keys() == (
    expected.keys()
  )


def test_the_same_part_is_set_aside():
  write(count=12)
  flags = {'labels_file': labels(), 'validation_fraction': 0.3}
  names = []
  for seed in (1, 1, 2):
    converted(seed=seed, **flags)
    names.append(sorted(records('validation')))
    shutil.rmtree('new')
  assert len(names[0]) == 4
  assert names[0] == names[1] != names[2]


def test_mask_values():
  """0 and 255 stand for classes; 100 is ignored."""
  expected = {}
  for name, mask in write(classes=2, ignored=100).items():
    expected[name] = np.where(mask == 100, 100, mask)
    path = pathlib.Path('s/masks', pathlib.Path(name).stem + '.png')
    save(path, grey(np.where(mask == 1, 255, mask).astype(np.uint8)))
  _, found = converted(mask_values='0,255', ignore_label=100)
  assert list(found.class_names) == ['class 0', 'class 1']
  assert found.ignore_label == 100
  both = {**masks('train'), **masks('validation')}
  for name, mask in expected.items():
    np.testing.assert_array_equal(both[name], mask)


def test_an_ignore_label_that_is_a_class():
  """As ADE20K has it: 0 is a class in name, and no pixel of it counts."""
  expected = write(classes=4, ignored=None)
  _, found = converted(ignore_label=0)
  assert found.ignore_label == 0 and len(found.class_names) == 4
  pixels = np.bincount(
    np.concatenate([mask.ravel() for mask in expected.values()])
  )
  splits = found.splits.values()
  assert sum(split.ignored_pixels for split in splits) == pixels[0]
  assert np.array_equal(
    sum(np.array(split.pixels_per_class) for split in splits), [0, *pixels[1:]]
  )


def test_no_pixel_is_ignored():
  """With --ignore_label=-1 even Void is a class, in the table's order."""
  expected = write(rgb)
  _, found = converted(color_table=table(), ignore_label=-1)
  assert found.ignore_label is None
  assert list(found.class_names) == ['sky', 'tree', 'Void', 'house']
  both = {**masks('train'), **masks('validation')}
  for name, mask in expected.items():
    np.testing.assert_array_equal(
      both[name], np.array([0, 1, 3, *[2] * 253])[mask]
    )


def test_a_labelmap_of_cvat():
  write(rgb)
  pathlib.Path('labelmap.txt').write_text(
    '# label:color_rgb:parts:actions\nsky:0,0,255::\ntree:0,128,0::\n'
    'house:200,40,9::\nignored:0,0,0::\n'
  )
  printed, found = converted(color_table='labelmap.txt')
  assert 'note: ignored is no class: its pixels are ignored (255).' in (
    printed.out
  )
  assert list(found.class_names) == NAMES


def test_one_bit():
  expected = write(
    lambda mask: grey(mask * 255).convert('1'), classes=2, ignored=None
  )
  _, found = converted()
  assert len(found.class_names) == 2
  both = {**masks('train'), **masks('validation')}
  for name, mask in expected.items():
    np.testing.assert_array_equal(both[name], mask)


def turn(mask=None):
  """An image of 9x11 in its file, 11x9 upright: its orientation is 6."""
  image = Image.fromarray(np.zeros((11, 9, 3), np.uint8))
  exif = image.getexif()
  exif[0x0112] = 6
  data = io.BytesIO()
  image.save(data, 'jpeg', exif=exif)
  pathlib.Path('s/images/p1.jpg').write_bytes(data.getvalue())
  if mask is not None:
    save('s/masks/p1.png', grey(mask))


def test_an_image_with_an_orientation():
  """Its mask is that of the image as people see it."""
  expected = write()
  turn()
  converted()
  both = {**masks('train'), **masks('validation')}
  np.testing.assert_array_equal(
    both['images/p1.jpg'], expected['images/p1.jpg']
  )
  shutil.rmtree('new')
  turn(ids(1, height=11, width=9))
  refused(
    convert(),
    'images/p1.jpg of s has a mask of 9x11 pixels for an '
    'image of 11x9 (the image stands on its side in its file, by '
    'EXIF',
    '--skip_bad_examples=1',
  )


# Errors.


def another_size():
  write()
  save('s/masks/p2.png', grey(ids(0, height=10, width=12)))


def all_ignored():
  write(lambda mask: grey(np.full_like(mask, 255)))


def zero_and_255():
  write(lambda mask: grey(np.where(mask == 1, 255, 0).astype(np.uint8)))


def zero_128_254():
  write(lambda mask: grey(np.minimum(mask, 2) * 127), ignored=None)


def colours():
  write(rgb)


def unknown_colour():
  write(rgb)
  table()
  image = rgb(ids(2))
  image.putpixel((3, 4), (0, 0, 250))
  image.putpixel((5, 4), (0, 0, 250))
  image.putpixel((1, 8), (9, 9, 9))
  save('s/masks/p2.png', image)


def one_class():
  write(lambda mask: grey(np.ones_like(mask)))


def lonely_images():
  write(count=8)
  for i in (1, 2):
    os.remove(f's/masks/p{i}.png')


def lonely_mask():
  write()
  save('s/masks/q.png', grey(ids(1)))


def lossy(form):
  def make():
    write()
    os.remove('s/masks/p2.png')
    grey(ids(2)).save(f's/masks/p2.{form}')

  return make


def tiff():
  write()
  os.remove('s/masks/p2.png')
  grey(ids(2, height=16, width=16)).save('s/masks/p2.tif', compression='jpeg')


def empty():
  write()
  shutil.rmtree('s/masks')
  os.makedirs('s/masks')


def no_masks():
  write()
  shutil.rmtree('s/masks')


def no_train():
  write(images='s/images/val', folder='s/masks/val')


def half_split():
  write(images='s/images/train', folder='s/masks/train')
  write(images='s/images/val', folder='s/masks/train')


def twice():
  write()
  save('s/images/p1.png', noise(1))


def transparent():
  write()
  image = opaque(ids(2))
  image.putpixel((0, 0), (0, 0, 0, 9))
  save('s/masks/p2.png', image)


def large_value():
  write(wide)
  save('s/masks/p2.png', Image.fromarray(np.full((9, 11), 4660, np.uint16)))


def damaged():
  write()
  path = pathlib.Path('s/masks/p2.png')
  path.write_bytes(path.read_bytes()[:60])


def beyond():
  write()
  save('s/masks/p2.png', grey(ids(1, classes=6)))
  labels()


def listed(text):
  def make():
    write(rgb)
    table(text)

  return make


CASES = [
  (
    another_size,
    {},
    'images/p2.bmp of s has a mask of 12x10 pixels for an '
    'image of 11x9: export both in one size',
  ),
  (
    all_ignored,
    {'labels_file': 'names.txt'},
    'The masks of train of s have no class at all, and pixels of 255, which '
    'is ignored',
    '--mask_values=0,255',
  ),
  (
    zero_and_255,
    {},
    'The masks of train of s have one class only, 0 '
    "'class 0', and pixels of 255, which is ignored, so that there is nothing "
    'to tell apart, and nothing to learn. Add masks with another class; or, if '
    '255 stands for one, give the values in the order of the classes: '
    '--mask_values=0,255',
  ),
  (
    zero_128_254,
    {},
    'have the values 0, 127, 254, which leave most of the '
    'classes 0 to 254 empty',
    '--mask_values=0,127,254',
    '--labels_file',
  ),
  (
    colours,
    {},
    'No mask can be taken: images/p0.png has a mask, '
    'masks/p0.png, that has colours (',
    '0,128,0',
    '200,40,9',
    'give --color_table',
  ),
  (
    colours,
    {'labels_file': 'names.txt'},
    'of s has a mask, masks/p',
    'give --color_table',
  ),
  (
    unknown_colour,
    {'color_table': 'table.csv'},
    'images/p2.bmp of s has a mask, masks/p2.png, that has the colour 0,0,250 '
    'in 2 pixels (the first at column 3, row 4), and 1 other such colours, '
    'which --color_table does not name; the nearest it names is 0,0,255, '
    'sky: add the colour',
  ),
  (
    one_class,
    {},
    "have one class only, 1 'class 1', so that there is nothing to tell apart",
  ),
  (
    lonely_images,
    {},
    '2 of 8 files of s/images have no partner of the '
    'same name in s/masks: images/p1.jpg, images/p2.bmp. Add the partners',
  ),
  (
    lonely_mask,
    {},
    '1 of 5 files of s/masks have no partner',
    'in s/images: masks/q.png',
  ),
  (
    lossy('jpg'),
    {},
    'masks/p2.jpg, that is a JPEG, whose compression '
    'changes ids and colours: export the masks again as PNG',
  ),
  (lossy('webp'), {}, 'masks/p2.webp, that is a WebP, whose compression'),
  (tiff, {}, 'that is a TIFF compressed as JPEG'),
  (empty, {}, 'No images in s/masks. Add some'),
  (no_masks, {}, 's has no folder masks; there should be images and masks'),
  (lambda: os.makedirs('s/a'), {}, 's/a has no folder images'),
  (no_train, {}, 's has validation but no train. Add the folder train'),
  (half_split, {}, 'Only one of s/images and s/masks has validation'),
  (twice, {}, 's has both images/p1.jpg and images/p1.png. Keep one'),
  (transparent, {}, 'that has transparent parts, whose class is unknown'),
  (large_value, {}, 'that has the value 4,660, and ids are below 256'),
  (
    damaged,
    {},
    'images/p2.bmp of s has a mask, masks/p2.png, that is '
    'damaged. Repair or remove it',
  ),
  (
    beyond,
    {'labels_file': 'names.txt'},
    'images/p2.bmp of s has 3, 4, 5 in '
    'its mask; the classes are 0 to 2, and 255 is ignored',
    '--mask_values',
  ),
  (
    write,
    {'mask_values': '0,1', 'ignore_label': -1},
    'that has the values 2, 255, which --mask_values=0,1 does not name',
  ),
  (
    write,
    {'mask_values': '0,0'},
    '--mask_values=0,0 must be two or more different values',
  ),
  (write, {'mask_values': '0,x'}, 'must be numbers from 0 to 255'),
  (
    write,
    {'mask_values': '0,1', 'labels_file': 'names.txt'},
    '--mask_values has 2 values, and names.txt names 3 classes',
  ),
  (
    colours,
    {'mask_values': '0,1', 'color_table': 'x'},
    '--color_table tells the names and the order of the classes: leave out',
  ),
  (colours, {'color_table': 'x'}, 'The table of colours x does not exist.'),
  (
    listed('a,b\n'),
    {'color_table': 'table.csv'},
    'table.csv has no column '
    'name and r and g in its first line; that should be: name,r,g,b.',
  ),
  (
    listed('name,r,g,b\na,1,2,256\n'),
    {'color_table': 'table.csv'},
    "table.csv, line 2: the colour '1,2,256' should be three numbers",
  ),
  (
    listed('name,r,g,b\na,1,2,3\nb,1,2,3\n'),
    {'color_table': 'table.csv'},
    'table.csv, line 3: the colour 1,2,3 is that of line 2 too. Keep one.',
  ),
  (
    listed('name,r,g,b\na,1,2,3\na,1,2,4\n'),
    {'color_table': 'table.csv'},
    'table.csv, line 3: the name a is that of line 2 too.',
  ),
  (
    listed('name,r,g,b\na,1,2,3\nvoid,0,0,0\n'),
    {'color_table': 'table.csv'},
    'table.csv names less than two classes; it should name two or more.',
  ),
  (
    listed(TABLE),
    {'color_table': 'table.csv', 'ignore_label': 1},
    'table.csv names Void, which is ignored, and --ignore_label=1 is the '
    'class tree as well: set it to 255, or to -1 for none.',
  ),
]


@pytest.mark.parametrize(
  'source,flags,words',
  [(source, flags, words) for source, flags, *words in CASES],
)
def test_bad_sources(source, flags, words):
  labels()
  pathlib.Path('one.txt').write_text('0:cat\n')
  source()
  refused(convert(**flags), *words)


def test_flags_of_masks_without_masks():
  for name in ('red', 'blue'):
    for i in range(2):
      save(f's/{name}/{i}.png', noise(i))
  refused(
    convert(dataset_name='image_folder', ignore_label=0),
    '--ignore_label is for images with masks, and image_folder has '
    'none: leave the flag out.',
  )


def test_bad_examples_are_left_out():
  """A mask of another size, and one of colours, count as bad images."""
  expected = write(count=8)
  save('s/masks/p2.png', grey(ids(0, height=10, width=12)))
  save('s/masks/p5.png', rgb(ids(5)))
  refused(convert(skip_bad_examples=1), '--skip_bad_examples=2')
  printed, _ = converted(skip_bad_examples=2)
  assert printed.out.count('left out: images/p') == 2
  assert records('train').keys() | records('validation').keys() == {
    name for name in expected if 'p2' not in name and 'p5' not in name
  }


def test_masks_that_are_too_large():
  """Each is named, decoded neither to tell the classes nor to be written."""
  write()
  for flags in {}, {'labels_file': labels()}:
    refused(
      convert(max_image_pixels=98, **flags), '11x9 = 99 pixels, more than'
    )
  save('s/masks/p0.png', grey(np.zeros((90, 110), np.uint8)))
  refused(
    convert(max_image_pixels=99),
    'images/p0.png of s has a mask, masks/p0.png, that has 110x90 = 9,900',
    '--max_image_pixels=99',
  )


def test_masks_that_are_ignored_are_noted():
  write(images='s/train/images', folder='s/train/masks')
  write(images='s/val/images', folder='s/val/masks')
  save('s/train/masks/p1.png', grey(np.full((9, 11), 255, np.uint8)))
  printed, found = converted()
  assert (
    'note: All pixels of 1 masks are ignored, so nothing is learnt from '
    'them: train/images/p1.jpg.'
  ) in printed.out
  assert found.splits['train'].examples == 4
  assert found.splits['train'].examples_per_class == (3, 3, 3)


# Palettes.


def numbered(mask, colours):
  """A mask in a palette of these colours, the numbers of others left black."""
  image = Image.fromarray(mask, 'P')
  image.putpalette(
    [value for i in range(256) for value in colours.get(i, (0, 0, 0))]
  )
  return image


def quantized(mask):
  """A mask in colours, reduced on its own to those that it has."""
  return rgb(mask).quantize(256)


def write_palettes(*forms):
  for seed, form in enumerate(forms):
    save(f's/images/p{seed}.png', noise(seed))
    save(f's/masks/p{seed}.png', form(ids(seed, classes=3 - seed % 2)))


@pytest.mark.parametrize(
  'name, flags',
  [('mask_folder', {}), ('mask_folder', {'labels_file': 'names.txt'})]
  + [('mask_folder', {'mask_values': '0,1,2'}), ('voc_masks', {})],
)
def test_palettes_that_contradict_each_other(name, flags):
  """Each mask was reduced to a palette on its own."""
  labels()
  if name == 'voc_masks':
    write_voc('s')
    folder = 's/SegmentationClass'
  else:
    write_palettes(*[grey] * 4)
    folder = 's/masks'
  for seed, colour in ((1, (0, 128, 0)), (3, (200, 40, 9))):
    mask = ids(seed, ignored=None)
    save(f'{folder}/p{seed}.png', numbered(mask, {1: colour, 2: (9, seed, 9)}))
  inside = folder.removeprefix('s/')
  first, other = (
    ('128,0,0 in {}/p0.png and 0,128,0', 1)
    if name == 'voc_masks'
    else ('0,128,0 in {}/p1.png and 200,40,9', 3)
  )
  refused(
    convert(dataset_name=name, **flags),
    'The palettes of the masks of s contradict each other: 1 is the colour '
    f'{first.format(inside)} in {inside}/p{other}.png. If colours tell the '
    'classes, convert the masks with --color_table, a CSV file with the lines '
    'name,r,g,b; if numbers do, save the masks as grey PNGs, without palettes.',
  )


def test_masks_that_were_reduced_are_read_by_their_colours():
  """The cure of the error: then the numbers do not count."""
  write_palettes(*[quantized] * 6)
  refused(convert(), 'The palettes of the masks of s contradict each other: ')
  _, found = converted(color_table=table())
  both = {**masks('train'), **masks('validation')}
  for seed in range(6):
    np.testing.assert_array_equal(
      both[f'images/p{seed}.png'], ids(seed, classes=3 - seed % 2)
    )


@pytest.mark.parametrize('ignored', [255, None])
def test_palettes_whose_unused_colours_differ(ignored):
  """Only numbers that two masks use must agree; ignored ones need not."""
  colours = {0: (1, 1, 1), 1: (2, 2, 2)}

  def alone(mask):
    return numbered(np.minimum(mask, 1), {**colours, 7: (5, 5, 5)})

  def with_two(mask):
    found = ids(0, ignored=ignored)
    return numbered(found, {**colours, 2: (3, 3, 3), 255: (4, 4, 4)})

  def with_border(mask):
    found = np.where(mask == 2, 0, mask).astype(np.uint8)
    return numbered(found, {**colours, 2: (8, 8, 8), 255: (6, 6, 6)})

  write_palettes(alone, with_two, with_border, grey)
  converted(labels_file=labels())


# PASCAL VOC.


def write_voc(
  root='s/VOCdevkit/VOC2012', form=voc_palette, aug=False, classes=3
):
  """Writes eight images: 0 to 3 are train, 4 and 5 val, 6 and 7 more."""
  for seed in range(8):
    save(f'{root}/JPEGImages/p{seed}.jpg', noise(seed))
    if seed < 6:
      save(f'{root}/SegmentationClass/p{seed}.png', form(ids(seed, classes)))
    elif aug:
      save(f'{root}/SegmentationClassAug/p{seed}.png', grey(ids(seed)))
  lists = {'train': range(4), 'val': (4, 5), 'trainval': range(6)}
  if aug:
    lists['train_aug'] = (6, 7)
  folder = pathlib.Path(root, 'ImageSets/Segmentation')
  folder.mkdir(parents=True)
  for name, seeds in lists.items():
    (folder / f'{name}.txt').write_text(''.join(f'p{i}\n' for i in seeds))
  return folder


@pytest.mark.parametrize('aug', [False, True])
def test_voc(aug):
  write_voc(aug=aug)
  printed, found = converted(dataset_name='voc_masks')
  assert found.name == 'pascal_voc_seg' and found.ignore_label == 255
  assert found.class_names == class_names.PASCAL_VOC
  assert "note: The masks have PASCAL VOC's palette" in printed.out
  seeds = {'train': range(4), 'val': (4, 5)} | (
    {'train_aug': (6, 7)} if aug else {}
  )
  assert list(found.splits) == list(seeds)
  for split, numbers in seeds.items():
    expected = {f'JPEGImages/p{i}.jpg': ids(i) for i in numbers}
    same(expected, split)
    counted(found.splits[split], expected, 21)
    assert list(found.splits[split].files) == [f'{split}-00000-of-00001']


@pytest.mark.parametrize('name', ['train', 'trainval'])
def test_a_list_of_voc_that_is_empty(name):
  folder = write_voc()
  if name == 'trainval':
    (folder / 'train.txt').unlink()
    (folder / 'val.txt').unlink()
  (folder / f'{name}.txt').write_text('\n')
  refused(
    convert(dataset_name='voc_masks'), 'The list of train in ', 'no image'
  )


def test_voc_archive():
  write_voc('VOCdevkit/VOC2012')
  shutil.make_archive('VOCtrainval', 'tar', '.', 'VOCdevkit')
  _, found = converted(dataset_name='voc_masks', source='VOCtrainval.tar')
  assert [split.examples for split in found.splits.values()] == [4, 2]


def test_voc_with_a_labelmap():
  """As CVAT exports it, with one list and masks in colours."""
  folder = write_voc('s', rgb)
  pathlib.Path('s/labelmap.txt').write_text(
    'sky:0,0,255::\ntree:0,128,0::\nhouse:200,40,9::\nvoid:0,0,0::\n'
  )
  for name in ('train', 'val'):
    os.remove(folder / f'{name}.txt')
  (folder / 'trainval.txt').rename(folder / 'default.txt')
  _, found = converted(dataset_name='voc_masks', validation_fraction=0.3)
  assert found.name == 'tfrecord' and list(found.class_names) == NAMES
  assert [*found.splits] == ['train', 'validation']
  both = {**masks('train'), **masks('validation')}
  assert len(both) == 6
  for i in range(6):
    np.testing.assert_array_equal(both[f'JPEGImages/p{i}.jpg'], ids(i))


def voc_without_a_mask():
  write_voc()
  os.remove('s/VOCdevkit/VOC2012/SegmentationClass/p3.png')


def voc_without_train():
  os.remove(write_voc() / 'train.txt')


def voc_twice():
  write_voc()
  write_voc('s/VOCdevkit/VOC2007')


@pytest.mark.parametrize(
  'source,words',
  [
    (
      lambda: os.makedirs('s/a'),
      's has no SegmentationClass beside '
      'ImageSets/Segmentation, in no folder below it either',
    ),
    (
      voc_without_a_mask,
      'train.txt names 1 images that s/VOCdevkit/VOC2012/'
      'SegmentationClass does not have: p3. Add them',
    ),
    (voc_without_train, 'ImageSets/Segmentation has no train.txt. Add'),
    (
      voc_twice,
      's holds several sets: s/VOCdevkit/VOC2007, s/VOCdevkit/'
      'VOC2012. Give one of them as --source',
    ),
  ],
)
def test_bad_voc(source, words):
  source()
  refused(convert(dataset_name='voc_masks'), words)


@pytest.mark.parametrize(
  'form, classes', [(palette, 3), (grey, 3), (voc_palette, 9)]
)
def test_a_set_in_the_form_of_voc(form, classes, monkeypatch):
  """Its names are VOC's where nothing contradicts that; or they are given."""
  monkeypatch.setattr(voc_masks, 'NAMES', class_names.PASCAL_VOC[:8])
  write_voc('s', form, classes=classes)
  printed, found = converted(dataset_name='voc_masks')
  assert found.name == 'tfrecord' and found.ignore_label == 255
  assert list(found.class_names) == [f'class {i}' for i in range(classes)]
  assert "do not have PASCAL VOC's palette, or have classes" in printed.out
  assert f'note: Nothing names the {classes} classes' in printed.out
  shutil.rmtree('new')
  names = labels([f'my {i}' for i in range(classes)])
  printed, found = converted(dataset_name='voc_masks', labels_file=names)
  assert list(found.class_names) == [f'my {i}' for i in range(classes)]
  assert found.name == 'tfrecord' and 'note:' not in printed.out


def test_a_set_in_the_form_of_voc_with_colours():
  """Masks in colours, and classes of one's own by a table."""
  write_voc('s', rgb)
  _, found = converted(dataset_name='voc_masks', color_table=table())
  assert found.name == 'tfrecord' and list(found.class_names) == NAMES
  same({f'JPEGImages/p{i}.jpg': ids(i) for i in (4, 5)}, 'val')
  shutil.rmtree('new')
  refused(
    convert(dataset_name='voc_masks', labels_file=labels()),
    'JPEGImages/p',
    'that has colours (',
    'give --color_table, a CSV file with the lines name,r,g,b',
  )


def test_voc_tells_its_classes():
  write_voc('s')
  pathlib.Path('s/labelmap.txt').write_text('sky:0,0,255::\ntree:0,128,0::\n')
  refused(
    convert(dataset_name='voc_masks', mask_values='0,1'),
    's/labelmap.txt tells the classes: leave out',
  )


def test_voc_has_an_address():
  converter = registry.get_converter('voc_masks')
  assert converter.archive and not converter.source
  assert [
    (each.url.rpartition('/')[2], each.checksum) for each in converter.downloads
  ] == [('VOCtrainval_11-May-2012.tar', 'md5:6cd6e144f989b92b3379bac3b3de84fd')]


def test_verify_draws_masks():
  """Over their images, with a legend in PASCAL VOC's colours."""
  write()
  converted(labels_file=labels())
  printed = builders.call(
    download_and_convert_data, '--verify', dataset_dir='new'
  )
  assert 'Some of the images are in new/contact_sheet.png.' in printed.out
  sheet = np.asarray(Image.open('new/contact_sheet.png').convert('RGB'))
  for colour in ((128, 0, 0), (0, 128, 0)):
    assert (sheet == colour).all(-1).sum() > 20
