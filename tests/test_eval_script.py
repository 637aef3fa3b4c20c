"""eval_image_classifier.py: every example once, and no flag said twice.

One checkpoint; several are in test_eval_several.py.
"""

import csv
import json
import pathlib
import shutil

import numpy as np
import pytest

import classify_image
import eval_image_classifier
from metrics import reports
from tests import builders

pytestmark = pytest.mark.usefixtures('workplace')


def evaluate(run, **flags):
  """Evaluates a run into the folder 'out'; returns the metrics too."""
  printed = builders.call(
    eval_image_classifier, checkpoint_path=run.folder, eval_dir='out', **flags
  )
  path = pathlib.Path('out/eval.json')
  printed.metrics = json.loads(path.read_text()) if path.exists() else None
  return printed


@pytest.mark.parametrize('batch_size', [7, 1000])
def test_each_example_counts_once(batch_size, digits_run):
  printed = evaluate(
    digits_run, batch_size=batch_size, compare_batch_statistics=0
  )
  assert printed.status == 0, printed.err
  expected = json.loads((digits_run.folder / 'eval/eval.json').read_text())
  assert printed.metrics['examples'] == 360
  assert printed.metrics['accuracy'] == expected['accuracy']
  assert printed.metrics['loss'] == pytest.approx(expected['loss'], rel=1e-5)
  assert printed.err == '' and '360 examples' in printed.out
  with open('out/per_class.csv', newline='') as file:
    rows = list(csv.DictReader(file))
  # The test digits are stratified: 35 to 37 of each.
  assert sum(int(row['examples']) for row in rows) == 360
  assert {int(row['examples']) for row in rows} <= {35, 36, 37}


def test_accuracy_is_that_of_the_confusion_matrix(colours_run, monkeypatch):
  seen = {}

  def draw(path, confusion, names):
    seen.update(confusion=confusion, names=names)

  monkeypatch.setattr(reports, 'draw_confusion_matrix', draw)
  metrics = evaluate(colours_run, batch_size=5).metrics
  confusion = seen['confusion']
  assert confusion.shape == (5, 5) and confusion.sum() == 23
  # builders.write_colours: the colours of the seeds 1000 to 1022.
  assert confusion.sum(1).tolist() == [6, 5, 4, 4, 4]
  assert metrics['accuracy'] == np.trace(confusion) / 23
  assert metrics['top_5_accuracy'] == 1  # of five classes
  assert seen['names'] == list(builders.COLOURS)
  with open('out/per_class.csv', newline='') as file:
    for i, row in enumerate(csv.DictReader(file)):
      assert float(row['recall']) == pytest.approx(
        confusion[i, i] / confusion[i].sum(), abs=1e-6
      )


def test_max_num_batches(digits_run):
  printed = evaluate(
    digits_run, batch_size=7, max_num_batches=2, compare_batch_statistics=0
  )
  assert printed.metrics['examples'] == 14
  assert '(14 examples)' in printed.out
  assert 'batch_statistics' not in printed.metrics


@pytest.mark.slow
def test_another_split(digits_run):
  printed = evaluate(
    digits_run,
    dataset_split_name='train',
    batch_size=400,
    compare_batch_statistics=0,
  )
  assert printed.status == 0, printed.err
  assert printed.metrics['examples'] == 1437
  assert printed.metrics['split'] == 'train'
  builders.refused(
    evaluate(digits_run, dataset_split_name='validation'),
    "'validation'",
    'train and test',
  )


@pytest.mark.parametrize(
  'flag,trained,given',
  [
    ('model_name', 'resnet_v2_tiny', 'resnet_v1_tiny'),
    ('preprocessing_name', 'digits', 'cifar'),
    ('use_grayscale', False, True),
  ],
)
def test_a_flag_that_contradicts_the_run(flag, trained, given, digits_run):
  builders.refused(
    evaluate(digits_run, **{flag: given}),
    f'--{flag}={given}',
    f'{flag}={trained}',
    'leave',
  )
  assert not pathlib.Path('out').exists()


def test_a_flag_that_agrees_with_the_run(digits_run):
  printed = evaluate(
    digits_run,
    model_name='resnet_v2_tiny',
    max_num_batches=1,
    compare_batch_statistics=0,
  )
  assert printed.status == 0, printed.err


def test_there_is_no_checkpoint(workplace):
  def evaluate(**flags):
    return builders.call(eval_image_classifier, **flags)

  builders.refused(evaluate(), '--checkpoint_path')
  builders.refused(
    evaluate(checkpoint_path='runs/none'), 'runs/none', '--checkpoint_path'
  )
  (workplace / 'empty').mkdir()
  builders.refused(evaluate(checkpoint_path='empty'), 'empty', 'train first')
  (workplace / 'notes.txt').write_text('no checkpoint')
  builders.refused(
    evaluate(checkpoint_path='notes.txt'), 'notes.txt', 'another kind of file'
  )
  builders.refused(
    evaluate(model_name='resnet_v1_tiny'), 'runs/resnet_v1_tiny-digits'
  )


def test_a_checkpoint_without_its_config(digits_run):
  shutil.copytree(digits_run.folder, 'bare')
  pathlib.Path('bare/config.json').unlink()
  flags = {'checkpoint_path': 'bare', 'compare_batch_statistics': 0}
  builders.refused(
    builders.call(eval_image_classifier, **flags),
    'bare/model.ckpt-6',
    '--model_name',
  )
  printed = builders.call(
    eval_image_classifier, **flags, model_name='resnet_v2_tiny'
  )
  assert printed.status == 0, printed.err
  expected = json.loads((digits_run.folder / 'eval/eval.json').read_text())
  found = json.loads(pathlib.Path('bare/eval/eval.json').read_text())
  assert found['loss'] == pytest.approx(expected['loss'], rel=1e-5)
  builders.refused(
    builders.call(eval_image_classifier, **flags, model_name='resnet_v1_tiny'),
    'bare/model.ckpt-6 is of resnet_v2_tiny',
    'pass --model_name=resnet_v2_tiny',
  )


def test_a_data_set_of_another_number_of_classes(digits_run, colours):
  builders.refused(
    evaluate(digits_run, dataset_name='flowers', dataset_dir=colours),
    'was trained on other classes',
    '10 classes, not 5',
    '--dataset_name',
  )


def test_a_folder_that_cannot_be_written(digits_run):
  """Is named before the work, not after it."""
  pathlib.Path('file').touch()
  printed = builders.call(
    eval_image_classifier, checkpoint_path='nowhere', eval_dir='file/out'
  )
  builders.refused(printed, 'to file/out', 'file is no folder', '--eval_dir')
  shutil.copytree(digits_run.folder, 'copy')
  shutil.rmtree('copy/eval')
  pathlib.Path('copy/eval').touch()
  printed = builders.call(eval_image_classifier, checkpoint_path='copy')
  builders.refused(printed, '--eval_dir=copy/eval is a file')
  assert printed.out == ''


def test_a_config_that_is_cut_short(digits_run):
  shutil.copytree(digits_run.folder, 'copy')
  path = pathlib.Path('copy/config.json')
  path.write_text(path.read_text()[:100])
  builders.refused(
    builders.call(eval_image_classifier, checkpoint_path='copy'),
    'copy/config.json',
  )


# What is written.


def rows_of(path):
  with open(path, newline='', encoding='utf-8') as file:
    return list(csv.DictReader(file))


def test_every_prediction_with_its_file(digits_run):
  """From which the metrics follow."""
  printed = evaluate(digits_run, batch_size=50, compare_batch_statistics=0)
  rows, metrics = rows_of('out/predictions.csv'), printed.metrics
  assert len(rows) == 360 and rows[0]['file'].startswith('digit ')
  assert len({row['file'] for row in rows}) == 360
  for i, row in enumerate(rows):
    assert row['record'].startswith(f'record {i} of /')
    assert row['record'].endswith('digits_test.tfrecord')
  names = 'zero one two three four five six seven eight nine'.split()
  assert [row['name'] for row in rows] == [
    names[int(row['label'])] for row in rows
  ]
  correct = np.array([int(row['correct']) for row in rows])
  assert correct.tolist() == [
    int(row['label'] == row['predicted']) for row in rows
  ]
  assert metrics['accuracy'] == correct.mean()
  losses = np.array([float(row['loss']) for row in rows])
  assert metrics['loss'] == pytest.approx(losses.mean(), abs=1e-6)
  confidence = np.array([float(row['probability']) for row in rows])
  number = np.ceil(confidence * 15)
  assert metrics['expected_calibration_error'] == pytest.approx(
    sum(abs((correct - confidence)[number == n].sum()) for n in range(1, 16))
    / 360,
    abs=1e-5,
  )
  per_class = rows_of('out/per_class.csv')
  for metric, column in ('mean_recall', 'recall'), ('mean_f1', 'f1'):
    assert metrics[metric] == pytest.approx(
      np.mean([float(row[column]) for row in per_class]), abs=1e-6
    )
  assert f'{metrics["mean_f1"]:.2%}' in printed.out
  assert f'{metrics["expected_calibration_error"]:.2%}' in printed.out


def test_the_worst_mistakes(digits_run, monkeypatch):
  """The wrong ones of the highest loss, and what was thought of each."""
  drawn = []
  monkeypatch.setattr(
    'datasets.images.contact_sheet.draw',
    lambda path, shown: drawn.append((path, shown)),
  )
  printed = evaluate(digits_run, compare_batch_statistics=0)
  wrong = sorted(
    (row for row in rows_of('out/predictions.csv') if row['correct'] == '0'),
    key=lambda row: -float(row['loss']),
  )
  assert len(wrong) > 48
  [(path, shown)] = drawn
  assert path == 'out/worst_mistakes.png' and path[4:] in printed.out
  assert [(each.title, each.detail) for each in shown] == [
    (
      f'is {row["label"]} {row["name"]}',
      f'{float(row["probability"]) * 100:.0f} % sure: '
      f'{row["predicted"]} {row["predicted_name"]}',
    )
    for row in wrong[:48]
  ]
  assert {each.image.shape for each in shown} == {(8, 8, 3)}


@pytest.mark.slow
def test_the_sheet_of_mistakes_is_drawn_and_removed(digits_run, colours_run):
  evaluate(digits_run, compare_batch_statistics=0)
  path = pathlib.Path('out/worst_mistakes.png')
  assert path.read_bytes()[:4] == b'\x89PNG'
  printed = evaluate(colours_run)
  assert printed.metrics['accuracy'] == 1
  assert not path.exists()
  assert 'no worst_mistakes.png, as there are no mistakes' in printed.out
  assert not list(pathlib.Path('out').glob('*.tmp'))


@pytest.mark.slow
def test_labels_offset_in_what_is_written(colours_run, colours, monkeypatch):
  """Labels are those of the data again."""
  values = builders.tensors(str(colours_run.folder))
  values = {
    name: value[..., 1:] if '/logits/' in name else value
    for name, value in values.items()
    if 'Momentum' not in name
  }
  pathlib.Path('run').mkdir()
  data = builders.write_colours(
    pathlib.Path('four').absolute(), labels=(1, 2, 3, 4)
  )
  builders.add_checkpoint('run', 30, values)
  run = json.loads((colours_run.folder / 'config.json').read_text())
  pathlib.Path('run/config.json').write_text(
    json.dumps(
      {
        **run,
        'labels_offset': 1,
        'class_names': run['class_names'][1:],
        'dataset_dir': data,
      }
    )
  )
  printed = builders.call(eval_image_classifier, checkpoint_path='run')
  assert printed.status == 0, printed.err
  assert (
    json.loads(pathlib.Path('run/eval/eval.json').read_text())['accuracy'] == 1
  )
  rows = rows_of('run/eval/predictions.csv')
  assert {(row['label'], row['name']) for row in rows} == {
    ('1', 'green'),
    ('2', 'blue'),
    ('3', 'grey'),
    ('4', 'white'),
  }
  assert [row['label'] for row in rows_of('run/eval/per_class.csv')] == list(
    '1234'
  )


# Moving averages of the weights.


@pytest.fixture
def averaged(colours_run):
  """A copy of the run whose averages are right and whose weights are not."""
  values = {
    name: value
    for name, value in builders.tensors(str(colours_run.folder)).items()
    if name.startswith('resnet_v1_tiny/') and 'Momentum' not in name
  }
  pathlib.Path('averaged').mkdir()
  builders.add_checkpoint(
    'averaged',
    30,
    {
      **values,
      **{
        f'{name}/ExponentialMovingAverage': value
        for name, value in values.items()
      },
    },
    logits_biases=np.float32([0, 50, 0, 0, 0]),
  )
  run = json.loads((colours_run.folder / 'config.json').read_text())
  pathlib.Path('averaged/config.json').write_text(
    json.dumps({**run, 'moving_average_decay': 0.9})
  )
  return pathlib.Path('averaged')


def metrics_of(path='averaged/eval/eval.json'):
  return json.loads(pathlib.Path(path).read_text())


@pytest.mark.slow
def test_moving_averages_and_the_weights_beside(averaged):
  printed = builders.call(eval_image_classifier, checkpoint_path=averaged)
  assert printed.status == 0, printed.err
  found = metrics_of()
  assert found['accuracy'] == 1 and found['moving_averages'] is True
  raw = found['raw_weights']
  assert raw.keys() == {'accuracy', 'loss'}
  assert raw['accuracy'] == 5 / 23 and raw['loss'] > 10
  assert 'with the moving averages of its weights' in printed.out
  assert (
    f'without moving averages: accuracy 21.74%, loss {raw["loss"]:.4f}'
    in printed.out
  )
  builders.call(
    eval_image_classifier,
    checkpoint_path=averaged,
    eval_dir='raw',
    raw_weights=True,
  )
  found = metrics_of('raw/eval.json')
  assert found['accuracy'] == raw['accuracy']
  assert found['loss'] == pytest.approx(raw['loss'], rel=1e-6)
  assert found['moving_averages'] is False and 'raw_weights' not in found


@pytest.mark.slow
def test_averages_that_a_checkpoint_has_not(colours_run):
  """Asked for, it is an error; a run's, as in its best, they are left out."""
  builders.refused(
    evaluate(colours_run, moving_average_decay=0.9),
    'model.ckpt-30 lacks moving averages of the weights',
    'trained with --moving_average_decay',
    '--raw_weights',
  )
  builders.refused(
    evaluate(colours_run, moving_average_decay=0.9, raw_weights=True),
    '--raw_weights',
    '--moving_average_decay=0.9',
    'leave one',
  )
  shutil.copytree(colours_run.folder, 'plain')
  path = pathlib.Path('plain/config.json')
  path.write_text(
    json.dumps({**json.loads(path.read_text()), 'moving_average_decay': 0.9})
  )
  printed = builders.call(eval_image_classifier, checkpoint_path='plain')
  assert printed.status == 0, printed.err
  assert metrics_of('plain/eval/eval.json')['moving_averages'] is False


# Several views.


def test_views_through_the_script(colours_run):
  for flags, count in (
    ({'ten_crop': True}, 10),
    ({'scales': '0.75,1', 'flip': True}, 4),
  ):
    printed = evaluate(colours_run, **flags)
    assert printed.status == 0, printed.err
    assert f'at 32x32, averaging {count} views of each' in printed.out
    assert printed.metrics['views'] == count
    assert printed.metrics['accuracy'] > 0.9
    assert 'batch_statistics' not in printed.metrics
  builders.refused(
    evaluate(colours_run, scales='1,0'), '--scales=1,0', 'above 0'
  )


def test_the_best_by_its_folder(colours_run):
  """TRAIN_DIR/best is a run's folder for the other scripts, too."""
  shutil.copytree(colours_run.folder, 'run/best')
  builders.colour_image(2, 5).save('blue.png')
  printed = builders.call(eval_image_classifier, checkpoint_path='run/best')
  assert printed.status == 0, printed.err
  printed = builders.call(
    classify_image, 'blue.png', checkpoint_path='run/best', top=1
  )
  assert printed.status == 0 and 'blue\n' in printed.out.replace('  ', '')
