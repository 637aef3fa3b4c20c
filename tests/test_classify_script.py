"""classify_image.py: images in, names and percentages out."""

import json
import pathlib
import shutil

import pytest

import classify_image
from tests import builders

pytestmark = pytest.mark.usefixtures('workplace')


def classify(run, *arguments, **flags):
  return builders.call(
    classify_image, *map(str, arguments), checkpoint_path=run.folder, **flags
  )


def objects(printed):
  """The JSON objects that were printed, one a line."""
  assert printed.status == 0, printed.err
  return [json.loads(line) for line in printed.out.splitlines()]


@pytest.fixture
def images(workplace):
  """A folder with an image of each colour, one of them deeper inside."""
  folder = workplace / 'pictures'
  (folder / 'deeper').mkdir(parents=True)
  for label, name in enumerate(builders.COLOURS):
    inside = folder / 'deeper' if name == 'white' else folder
    builders.colour_image(label, 5000 + label).save(inside / f'{name}.png')
  (folder / 'notes.txt').write_text('no image')
  return folder


def test_a_file(colours_run, images):
  printed = classify(colours_run, images / 'blue.png')
  assert printed.status == 0 and printed.err == ''
  lines = printed.out.splitlines()
  assert lines[0] == str(images / 'blue.png')
  assert len(lines) == 6
  assert lines[1].split()[1] == 'blue'
  shares = [float(line.split()[0].rstrip('%')) for line in lines[1:]]
  assert shares == sorted(shares, reverse=True)
  assert sum(shares) == pytest.approx(100, abs=0.05)


def test_a_folder(colours_run, images):
  found = objects(classify(colours_run, images, json=True, batch_size=2))
  files = [pathlib.Path(one['file']) for one in found]
  assert files == [
    images / name
    for name in (
      'blue.png',
      'deeper/white.png',
      'green.png',
      'grey.png',
      'red.png',
    )
  ]
  for path, one in zip(files, found, strict=True):
    assert one['predictions'][0]['name'] == path.stem
    assert sum(p['probability'] for p in one['predictions']) == pytest.approx(
      1, abs=1e-5
    )


def test_statistics_that_lag_are_told(colours_run, images):
  """Before the end of a run, on stderr; those in best/ are measured."""
  folder = pathlib.Path(shutil.copytree(colours_run.folder, 'unfinished'))
  path = folder / 'config.json'
  config = json.loads(path.read_text())
  total = config['max_number_of_steps']
  path.write_text(json.dumps({**config, 'max_number_of_steps': total + 1}))
  shutil.copytree(folder, 'unfinished/best')
  behind = f'note: {folder}/model.ckpt-{total} is of before the end of its run'
  for run, told in (folder, True), (folder / 'best', False):
    printed = builders.call(
      classify_image, str(images / 'blue.png'), checkpoint_path=run, json=True
    )
    assert objects(printed)[0]['predictions'][0]['name'] == 'blue'
    assert (behind in printed.err) == told and bool(printed.err) == told


def test_several_arguments(colours_run, images):
  found = objects(
    classify(
      colours_run, images / 'red.png', images / 'deeper', json=True, top=1
    )
  )
  assert [one['predictions'][0]['name'] for one in found] == ['red', 'white']


@pytest.mark.parametrize('top,shown', [(1, 1), (3, 3), (100, 5)])
def test_top(top, shown, colours_run, images):
  (one,) = objects(
    classify(colours_run, images / 'red.png', top=top, json=True)
  )
  assert len(one['predictions']) == shown


@pytest.mark.parametrize(
  'filename,text',
  [
    ('names.txt', '0:rot\n1:grün\n2:blau\n3:grau\n4:weiß\n'),
    (
      'names.json',
      '{"0": "rot", "1": "grün", "2": "blau", "3": "grau", "4": "weiß"}',
    ),
  ],
)
def test_names_from_a_file(filename, text, colours_run, images, workplace):
  (workplace / filename).write_text(text, 'utf-8')
  (one,) = objects(
    classify(colours_run, images / 'green.png', labels_file=filename, json=True)
  )
  assert one['predictions'][0]['name'] == 'grün'


@pytest.mark.parametrize(
  'filename,text,words',
  [
    ('few.txt', '0:a\n1:b\n', ('few.txt', '2 classes', 'label 2')),
    ('odd.txt', 'a\nb\n', ('odd.txt, line 1', "'0:daisy'")),
    ('odd.json', '["a", "b"]', ('odd.json', 'JSON object')),
    ('cut.json', '{"0": "a', ('cut.json', 'JSON object')),
  ],
)
def test_a_wrong_file_of_names(filename, text, words, colours_run, images):
  pathlib.Path(filename).write_text(text)
  builders.refused(classify(colours_run, images, labels_file=filename), *words)


def test_no_file_of_names(colours_run, images):
  builders.refused(
    classify(colours_run, images, labels_file='none.txt'), 'none.txt'
  )


def test_nothing_to_classify(colours_run, workplace):
  (workplace / 'empty').mkdir()
  builders.refused(classify(colours_run), 'Name images', 'classify_image.py')
  builders.refused(classify(colours_run, 'empty'), 'empty', 'no images')
  builders.refused(classify(colours_run, 'missing.png'), 'missing.png')


@pytest.mark.parametrize(
  'data, reason',
  [
    (b'', 'is empty'),
    (b'just text', 'is no image, or is damaged'),
    (b'\x89PNG\r\n\x1a\n and no more', 'is no image, or is damaged'),
    (builders.encode(builders.colour_image(0, 0), 'png')[:500], 'is damaged'),
  ],
)
def test_not_an_image(data, reason, colours_run, workplace):
  (workplace / 'broken.png').write_bytes(data)
  (workplace / 'sound.png').write_bytes(
    builders.encode(builders.colour_image(0, 0), 'png')
  )
  printed = classify(colours_run, 'broken.png', 'sound.png')
  assert printed.status == 1
  assert printed.out.startswith('sound.png\n')
  assert printed.err.splitlines() == [
    f'error: broken.png {reason}.',
    'error: 1 of 2 files could not be classified: see above.',
  ]


def test_a_name_with_control_characters(colours_run):
  names = 'a\nerror: all.png', 'b\x1b[2J.png'
  builders.colour_image(0, 0).save(names[0])
  pathlib.Path(names[1]).write_bytes(b'')
  printed = classify(colours_run, *names, top=1)
  assert printed.out.startswith('a\\nerror: all.png\n  ')
  assert printed.err.startswith('error: b\\x1b[2J.png is empty.\n')


def test_kinds_of_images(colours_run):
  kinds = [
    ('RGB', 'jpeg'),
    ('RGB', 'png'),
    ('RGB', 'gif'),
    ('RGB', 'bmp'),
    ('RGBA', 'png'),
    ('P', 'png'),
    ('P', 'gif'),
    ('CMYK', 'jpeg'),
  ]
  paths = [f'{mode}.{form}' for mode, form in kinds]
  for (mode, _), path in zip(kinds, paths, strict=True):
    builders.colour_image(0, 9).convert(mode).save(path)
  found = objects(classify(colours_run, *paths, json=True, top=1))
  assert {one['file']: one['predictions'][0]['name'] for one in found} == (
    dict.fromkeys(paths, 'red')
  )


def test_images_without_colours(colours_run):
  paths = []
  for mode in '1', 'L', 'LA', 'I;16':
    image = builders.colour_image(4, 9).convert('L' if mode == 'I;16' else mode)
    if mode == 'I;16':
      image = image.convert('I').point(lambda value: value * 257).convert(mode)
    paths.append(f'{mode}.png')
    image.save(paths[-1])
  found = objects(classify(colours_run, *paths, json=True, top=1))
  assert {one['file']: one['predictions'][0]['name'] for one in found} == (
    dict.fromkeys(paths, 'white')
  )


def test_the_first_of_several_images(colours_run):
  """Of an animation, or of the pages of a TIFF; which is said."""
  first, *others = (builders.colour_image(label, 1) for label in (1, 0, 0))
  for name in ('moving.gif', 'pages.tif'):
    first.save(name, save_all=True, append_images=others)
  others[0].save('still.tif')
  printed = classify(
    colours_run, 'moving.gif', 'still.tif', 'pages.tif', json=True, top=1
  )
  assert [one['predictions'][0]['name'] for one in objects(printed)] == [
    'green',
    'red',
    'green',
  ]
  assert printed.err == (
    'note: of files with several images, the first is taken: moving.gif (2), '
    'pages.tif (3).\n'
  )


def test_one_missing_path(colours_run, images, workplace):
  """All others are classified; what is missing is named at the end."""
  (workplace / 'empty').mkdir()
  red = str(images / 'red.png')
  long = 'x' * 300
  printed = classify(colours_run, 'gone.png', red, 'empty', long, top=1)
  assert printed.status == 1
  assert printed.out.startswith(f'{red}\n')
  first, second, third, last = printed.err.splitlines()
  assert first == 'error: There is no file or folder gone.png.'
  assert second.startswith('error: The folder empty has no images (')
  assert third == f'error: {long}: File name too long.'
  assert last == ('error: 3 of 4 files could not be classified: see above.')


def test_a_run_that_was_moved(digits_run, colours_run, workplace):
  """Where it was is another run, which TF-Slim's absolute paths lead to."""
  original = workplace / 'run'
  shutil.copytree(colours_run.folder, original)
  (original / 'checkpoint').write_text(
    ''.join(
      f'{key}: "{original}/model.ckpt-30"\n'
      for key in ('model_checkpoint_path', 'all_model_checkpoint_paths')
    )
  )
  shutil.move(original, workplace / 'moved')
  shutil.copytree(digits_run.folder, original)
  builders.colour_image(0, 9).save('red.png')
  (one,) = objects(
    builders.call(
      classify_image, 'red.png', checkpoint_path='moved', json=True, top=1
    )
  )
  assert one['predictions'][0]['name'] == 'red'


def test_wrong_checkpoints(digits_run, workplace, images):
  builders.refused(
    builders.call(classify_image, str(images)), '--checkpoint_path'
  )
  released = builders.write_released(
    workplace / 'resnet.ckpt', 'resnet_v1_tiny', 1000
  )
  builders.refused(
    builders.call(classify_image, str(images), checkpoint_path=released),
    'resnet.ckpt',
    '--model_name',
  )
  builders.refused(
    classify(digits_run, images, model_name='resnet_v1_tiny'),
    '--model_name=resnet_v1_tiny',
    'model_name=resnet_v2_tiny',
  )


def test_a_released_checkpoint(workplace, images):
  """Without a run beside it: the numbers of the classes are their names."""
  released = builders.write_released(
    workplace / 'resnet.ckpt', 'resnet_v1_tiny', 1000, version=1
  )
  (one,) = objects(
    builders.call(
      classify_image,
      str(images / 'red.png'),
      checkpoint_path=released,
      model_name='resnet_v1_tiny',
      json=True,
      eval_image_size=32,
    )
  )
  names = [int(prediction['name']) for prediction in one['predictions']]
  assert len(set(names)) == 5 and 0 <= min(names) <= max(names) < 1000
