"""eval_image_classifier.py: every example once, and no flag said twice."""
import csv
import json
import pathlib
import shutil

import numpy as np
import pytest

import eval_image_classifier
from tasks import classification
from tests import fakes

pytest_plugins = ['tests.fakes']
pytestmark = pytest.mark.usefixtures('workplace')


def evaluate(run, **flags):
  """Evaluates a run into the folder 'out'; returns the figures too."""
  printed = fakes.call(eval_image_classifier, checkpoint_path=run.folder,
                       eval_dir='out', **flags)
  path = pathlib.Path('out/eval.json')
  printed.figures = json.loads(path.read_text()) if path.exists() else None
  return printed


@pytest.mark.parametrize('batch_size', [1, 7, 100, 1000])
def test_each_example_counts_once(batch_size, digits_run):
  printed = evaluate(digits_run, batch_size=batch_size,
                     compare_batch_statistics=0)
  assert printed.status == 0, printed.err
  expected = json.loads((digits_run.folder / 'eval/eval.json').read_text())
  assert printed.figures['examples'] == 360
  assert printed.figures['accuracy'] == expected['accuracy']
  assert printed.figures['loss'] == pytest.approx(expected['loss'], rel=1e-5)
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
  monkeypatch.setattr(classification, 'draw_confusion_matrix', draw)
  figures = evaluate(colours_run, batch_size=5).figures
  confusion = seen['confusion']
  assert confusion.shape == (5, 5) and confusion.sum() == 23
  # fakes.write_colours: the colours of the seeds 1000 to 1022.
  assert confusion.sum(1).tolist() == [6, 5, 4, 4, 4]
  assert figures['accuracy'] == np.trace(confusion) / 23
  assert seen['names'] == list(fakes.COLOURS)
  with open('out/per_class.csv', newline='') as file:
    for i, row in enumerate(csv.DictReader(file)):
      assert float(row['recall']) == pytest.approx(
          confusion[i, i] / confusion[i].sum(), abs=1e-6)


def test_top_5_of_five_classes(colours_run):
  assert evaluate(colours_run).figures['top_5_accuracy'] == 1


def test_max_num_batches(digits_run):
  printed = evaluate(digits_run, batch_size=7, max_num_batches=2,
                     compare_batch_statistics=0)
  assert printed.figures['examples'] == 14
  assert '(14 examples)' in printed.out
  assert 'batch_statistics' not in printed.figures


def test_another_split(digits_run):
  printed = evaluate(digits_run, dataset_split_name='train', batch_size=400,
                     compare_batch_statistics=0)
  assert printed.status == 0, printed.err
  assert printed.figures['examples'] == 1437
  assert printed.figures['split'] == 'train'
  fakes.refused(evaluate(digits_run, dataset_split_name='validation'),
                "'validation'", 'train and test')


@pytest.mark.parametrize('flag,trained,given', [
    ('model_name', 'resnet_v2_tiny', 'resnet_v1_tiny'),
    ('preprocessing_name', 'digits', 'cifar'),
    ('use_grayscale', False, True)])
def test_a_flag_that_contradicts_the_run(flag, trained, given, digits_run):
  fakes.refused(evaluate(digits_run, **{flag: given}),
                f'--{flag}={given}', f'{flag}={trained}', 'leave')
  assert not pathlib.Path('out').exists()


def test_a_flag_that_agrees_with_the_run(digits_run):
  printed = evaluate(digits_run, model_name='resnet_v2_tiny',
                     max_num_batches=1, compare_batch_statistics=0)
  assert printed.status == 0, printed.err


def test_there_is_no_checkpoint(workplace):
  def evaluate(**flags):
    return fakes.call(eval_image_classifier, **flags)
  fakes.refused(evaluate(), '--checkpoint_path')
  fakes.refused(evaluate(checkpoint_path='runs/none'), 'runs/none',
                '--checkpoint_path')
  (workplace / 'empty').mkdir()
  fakes.refused(evaluate(checkpoint_path='empty'), 'empty', 'train first')
  (workplace / 'notes.txt').write_text('no checkpoint')
  fakes.refused(evaluate(checkpoint_path='notes.txt'), 'notes.txt',
                'another kind of file')
  fakes.refused(evaluate(model_name='resnet_v1_tiny'),
                'runs/resnet_v1_tiny-digits')


def test_a_checkpoint_without_its_config(digits_run):
  shutil.copytree(digits_run.folder, 'bare')
  pathlib.Path('bare/config.json').unlink()
  flags = {'checkpoint_path': 'bare', 'compare_batch_statistics': 0}
  fakes.refused(fakes.call(eval_image_classifier, **flags),
                'bare/model.ckpt-6', '--model_name')
  printed = fakes.call(eval_image_classifier, **flags,
                       model_name='resnet_v2_tiny')
  assert printed.status == 0, printed.err
  expected = json.loads((digits_run.folder / 'eval/eval.json').read_text())
  found = json.loads(pathlib.Path('bare/eval/eval.json').read_text())
  assert found['loss'] == pytest.approx(expected['loss'], rel=1e-5)
  fakes.refused(
      fakes.call(eval_image_classifier, **flags, model_name='resnet_v1_tiny'),
      'bare/model.ckpt-6', 'lacks', 'resnet_v1_tiny/', '--model_name')


def test_a_data_set_of_another_number_of_classes(digits_run, colours):
  fakes.refused(
      evaluate(digits_run, dataset_name='flowers', dataset_dir=colours),
      'logits/weights', '[1, 1, 64, 5]', '[1, 1, 64, 10]',
      '--dataset_name')


def test_a_config_that_is_cut_short(digits_run):
  shutil.copytree(digits_run.folder, 'copy')
  path = pathlib.Path('copy/config.json')
  path.write_text(path.read_text()[:100])
  fakes.refused(fakes.call(eval_image_classifier, checkpoint_path='copy'),
                'copy/config.json')
