"""Exported models by the scripts: evaluated, run on files, and inspected."""

import csv
import dataclasses
import importlib.util
import json
import os
import pathlib
import shutil
import types

import numpy as np
import pytest
from PIL import Image

import classify_image
import eval_image_classifier
import export_inference_graph
import inspect_checkpoint
from datasets import dataset_utils
from engine.config.export import FORMATS
from engine.config.scripts import ClassifyConfig, EvalConfig
from engine.export import evaluating, parity, samples, standalone
from engine.resolve import data
from tests import builders
from tests.test_export_script import in_this_process

pytestmark = pytest.mark.usefixtures('workplace')
HAS_ONNX = all(map(importlib.util.find_spec, FORMATS['onnx'].modules))
HERE = [name for name in FORMATS if name != 'onnx' or HAS_ONNX]


def export(folder, run, *arguments, **flags):
  with pytest.MonkeyPatch.context() as patch:
    builders.register_tiny_networks(patch.setitem)
    patch.setattr(parity, 'run_alone', in_this_process)
    printed = builders.call(
      export_inference_graph,
      *arguments,
      checkpoint_path=run.folder,
      output_dir=folder,
      parity_examples=2,
      **flags,
    )
  assert printed.status == 0, printed.err


@pytest.fixture(scope='session')
def colour_models(tmp_path_factory, colours_run) -> pathlib.Path:
  """A folder of the colours' run in every format; in int8 for two at once."""
  with builders.shared(tmp_path_factory, 'colour_models') as folder:
    if not folder.exists():
      export(folder, colours_run, format=','.join(HERE))
      export(
        folder,
        colours_run,
        format='tflite',
        quantize='int8',
        calibration_examples=6,
        batch_size=2,
      )
  return folder


@pytest.fixture(scope='session')
def small(tmp_path_factory, cache_home, colours_run) -> pathlib.Path:
  """Colours of the network's size, and in 'eval' what the checkpoint says."""
  with builders.shared(tmp_path_factory, 'small') as folder:
    if not folder.exists():
      builders.write_colours(folder, train=1, validation=0)
      dataset_utils.write_tfrecord(
        folder / 'flowers_validation_00000-of-00001.tfrecord',
        [
          dataset_utils.image_to_tfexample(
            builders.encode(builders.colour_image(i % 5, i, 32), 'png'),
            b'png',
            32,
            32,
            (i + (i == 8)) % 5,  # one is wrong
          )
          for i in range(12)
        ],
      )
      with pytest.MonkeyPatch.context() as patch:
        builders.register_tiny_networks(patch.setitem)
        patch.setenv('XDG_CACHE_HOME', str(cache_home))
        printed = builders.call(
          eval_image_classifier,
          checkpoint_path=colours_run.folder,
          dataset_dir=folder,
          dataset_name='flowers',
          eval_dir=folder / 'eval',
          compare_batch_statistics=0,
        )
      assert printed.status == 0, printed.err
  return folder


@pytest.fixture(scope='session')
def shape_models(tmp_path_factory, shapes_run) -> pathlib.Path:
  """A folder of the shapes' run as a SavedModel, and as TFLite for 33x33."""
  with builders.shared(tmp_path_factory, 'shape_models') as folder:
    if not folder.exists():
      export(folder, shapes_run, '--logits', format='saved_model')
      export(folder, shapes_run, format='tflite')
  return folder


def evaluate(path, **flags):
  printed = builders.call(
    eval_image_classifier, exported=path, eval_dir='out', **flags
  )
  assert printed.status == 0, printed.err
  assert printed.err == ''
  printed.metrics = read('out/eval.json')
  return printed


def read(path):
  return json.loads(pathlib.Path(path).read_text())


def rows(path):
  with open(path, newline='') as file:
    return list(csv.DictReader(file))


def same(metrics, wanted, but=()):
  """Asserts the metrics that both have, to the digits that float32 keeps."""
  names = [
    name
    for name, value in wanted.items()
    if isinstance(value, float) and name in metrics and name not in but
  ]
  assert len(names) >= 5
  for name in names:
    assert metrics[name] == pytest.approx(wanted[name], abs=2e-5), name


@pytest.mark.parametrize('name', HERE)
def test_a_classifier(name, colour_models, small):
  """With the metrics, the files and the predictions of its checkpoint."""
  printed = evaluate(
    colour_models / name,
    dataset_dir=small,
    dataset_name='flowers',
    batch_size=7,
  )
  wanted = read(small / 'eval' / 'eval.json')
  same(printed.metrics, wanted)
  assert printed.metrics['examples'] == 12 and wanted['accuracy'] < 1
  assert (printed.metrics['step'], printed.metrics['format']) == (30, name)
  for here in ('image_size', 'dataset', 'split', 'model', 'checkpoint'):
    assert printed.metrics[here] == wanted[here]
  mine, theirs = (
    rows('out/predictions.csv'),
    rows(small / 'eval' / 'predictions.csv'),
  )
  assert [row['file'] for row in mine] == [row['file'] for row in theirs]
  for one, other in zip(mine, theirs, strict=True):
    texts = {k: v for k, v in one.items() if k not in ('loss', 'probability')}
    assert texts.items() <= other.items()
    for column in one.keys() - texts.keys():
      assert float(one[column]) == pytest.approx(float(other[column]), abs=1e-4)
  there = {path.name for path in (small / 'eval').iterdir()}
  made = {path.name for path in pathlib.Path('out').iterdir()}
  assert {each.partition('.out.')[0] for each in made} == {
    each.partition('.out.')[0] for each in there
  }


def test_int8_beside_its_checkpoint(colour_models):
  """Two images at once, of which the last lacks one; cut to their size."""
  printed = evaluate(colour_models / 'tflite_int8')
  assert printed.metrics['quantize'] == 'int8'
  assert printed.metrics['examples'] == 23
  lines = printed.out.splitlines()
  assert 'tflite in int8, on the 23 examples of flowers' in lines[0]
  assert lines[0].endswith(', each scaled and cut to 32x32 before.')
  assert printed.metrics['accuracy'] == 1
  assert any(
    line.startswith('accuracy ') and ': the checkpoint, of images as' in line
    for line in lines
  )


@pytest.mark.slow
def test_masks(shape_models, shapes_run):
  """Of images of several sizes; logits give the loss."""
  printed = evaluate(shape_models / 'saved_model', batch_size=3)
  wanted = read(shapes_run.folder / 'eval' / 'eval.json')
  same(printed.metrics, wanted)
  for name in 'iou', 'boundary_iou', 'calibration_error':
    assert printed.metrics[name] == pytest.approx(wanted[name], abs=2e-5)
  for name in ('output_stride', 'examples', 'absent_classes'):
    assert printed.metrics[name] == wanted[name]
  mine, theirs = (
    rows(folder / 'per_image.csv')
    for folder in (pathlib.Path('out'), shapes_run.folder / 'eval')
  )
  for one, other in zip(mine, theirs, strict=True):
    assert one['record'] == other['record']
    assert float(one['loss']) == pytest.approx(float(other['loss']), abs=1e-4)
  assert np.array_equal(
    np.asarray(Image.open('out/overlays.png')),
    np.asarray(Image.open(shapes_run.folder / 'eval' / 'overlays.png')),
  )


@pytest.mark.slow
def test_masks_of_one_size(shape_models):
  """Images and masks are brought to it; without logits there is no loss."""
  printed = evaluate(shape_models / 'tflite')
  assert not {'loss', 'expected_calibration_error'} & printed.metrics.keys()
  assert 0 < printed.metrics['mean_boundary_iou'] < 1
  first, _, _, _, beside, *_ = printed.out.splitlines()[1:]
  assert first.startswith('mIOU ') and 'loss' not in first
  assert ': the checkpoint, of images as they are, says ' in beside
  images = rows('out/per_image.csv')
  assert {(row['height'], row['width']) for row in images} == {('33', '33')}
  assert {row['loss'] for row in images} == {''}
  assert 0 < printed.metrics['pixel_accuracy'] < 1
  image, mask = builders.shape(0, (33, 66))
  fitted = samples.fitted(mask, (33, 33), Image.Resampling.NEAREST)
  np.testing.assert_array_equal(fitted, mask[:, 16:49])
  np.testing.assert_array_equal(
    samples.fitted(image, (33, 33)), image[:, 16:49]
  )


def classify(*arguments, **flags):
  printed = builders.call(classify_image, *map(str, arguments), **flags)
  assert printed.status == 0, printed.err
  return [json.loads(line) for line in printed.out.splitlines()]


def test_files(colour_models, colours_run):
  """As by the checkpoint, in the order of their names."""
  folder = pathlib.Path('images')
  folder.mkdir()
  for i, size in enumerate((40, 33, 40, 57)):
    builders.colour_image(i, i, size).save(folder / f'{i}.png')
  wanted = classify(folder, '--json', checkpoint_path=colours_run.folder)
  found = classify(folder, '--json', exported=colour_models / 'saved_model')
  assert [each['file'] for each in found] == [each['file'] for each in wanted]
  for one, other in zip(found, wanted, strict=True):
    for mine, theirs in zip(
      one['predictions'], other['predictions'], strict=True
    ):
      assert mine['name'] == theirs['name']
      assert mine['probability'] == pytest.approx(
        theirs['probability'], abs=1e-5
      )
  (found,) = classify(
    folder / '3.png', '--json', exported=colour_models / 'tflite_int8', top=1
  )
  assert [each['name'] for each in found['predictions']] == ['grey']


@pytest.mark.slow
def test_masks_of_files(shape_models, shapes_run):
  for name, size in ('a', (28, 32)), ('b', (40, 33)):
    image, _ = builders.shape(5, size)
    Image.fromarray(image).save(f'{name}.png')
  flags = {'json': 'true', 'output_dir': 'theirs'}
  wanted = classify(
    'a.png', 'b.png', checkpoint_path=shapes_run.folder, **flags
  )
  flags['output_dir'] = 'mine'
  found = classify(
    'a.png', 'b.png', exported=shape_models / 'saved_model', **flags
  )
  assert [each['classes'] for each in found] == [
    each['classes'] for each in wanted
  ]
  for name in 'a_mask.png', 'b_mask.png', 'b_overlay.png':
    mine, theirs = (
      np.asarray(Image.open(f'{folder}/{name}'))
      for folder in ('mine', 'theirs')
    )
    np.testing.assert_array_equal(mine, theirs)
  os.remove('mine/b_mask.png')
  (again,) = classify(
    'a.png',
    'b.png',
    exported=shape_models / 'saved_model',
    skip_existing=True,
    **flags,
  )
  assert again == found[1] and os.path.exists('mine/b_mask.png')
  flags['output_dir'] = 'cut'
  classify('b.png', exported=shape_models / 'tflite', **flags)
  assert Image.open('cut/b_mask.png').size == (33, 33)


def test_preprocessed(small, colours_run):
  """What the network is fed is prepared here, from images of any size."""
  export(pathlib.Path('made'), colours_run, input='preprocessed')
  printed = evaluate('made')  # which holds one model
  same(printed.metrics, read(colours_run.folder / 'eval' / 'eval.json'))
  assert printed.metrics['exported'] == 'made/saved_model'
  assert printed.metrics['input'] == 'preprocessed'


def test_inspect(colour_models, shape_models):
  for path in colour_models / 'tflite_int8', colour_models / 'tflite':
    printed = builders.call(inspect_checkpoint, str(path))
    assert printed.status == 0, printed.err
    lines = printed.out.splitlines()
    assert lines[0] == str(path)
    told = [(line[2:16].strip(), line[17:]) for line in lines[1:]]
    facts = dict(told)
  assert facts['format'] == 'tflite in float32'
  assert facts['classes'] == '5: red, green, blue, grey, white'
  assert facts['input'] == 'image, uint8 [any, 32, 32, 3]: RGB, 0 to 255'
  assert facts['checkpoint'].endswith('model.ckpt-30, of step 30')
  assert ('output', 'logits, float32 [any, 5]') in told
  (parity_of,) = [v for k, v in told if k == 'parity' and 'prob' in v]
  assert parity_of.startswith('probabilities, over 2 examples: error ')
  assert parity_of.endswith(', same first class 100.00%')
  assert 'tensorflow ' in facts['made with']
  model = colour_models / 'tflite' / 'model.tflite'
  found = json.loads(
    builders.call(inspect_checkpoint, '--json', str(model)).out
  )
  assert found['files']['model.tflite'] == model.stat().st_size
  assert found['parity'] == read(model.with_name('parity.json'))
  assert found['path'] == str(model.parent)
  printed = builders.call(inspect_checkpoint, str(shape_models / 'saved_model'))
  assert 'classes, int32 [any, any, any]' in printed.out
  builders.refused(
    builders.call(
      inspect_checkpoint, str(model.parent), model_name='resnet_v1_50'
    ),
    '--model_name compares a checkpoint',
  )


def refused(path, *words, script=eval_image_classifier, **flags):
  builders.refused(builders.call(script, exported=path, **flags), *words)


def test_paths_that_are_no_model(colour_models, colours_run, workplace):
  there = len(list(colour_models.iterdir()))  # ONNX only where it is installed
  refused(
    colour_models,
    f'holds {there} exported models',
    str(colour_models / 'tflite_int8'),
  )
  file = colour_models / 'tflite' / 'model.tflite'
  refused(
    file, 'a part of an exported model', f'name its folder, {file.parent}'
  )
  checkpoint = colours_run.folder / 'model.ckpt-30'
  for path in colours_run.folder, checkpoint, f'{checkpoint}.index':
    refused(path, 'is a checkpoint', '--checkpoint_path instead of --exported')
  refused(workplace, 'holds no exported model', 'RUN/export/tflite')
  refused(
    colour_models / 'tfilte', 'There is no folder', 'Did you mean', '/tflite'
  )
  run = workplace / 'run'
  shutil.copytree(colour_models / 'tflite', run / 'export' / 'tflite')
  refused(
    run, 'no exported model, but has some', str(run / 'export' / 'tflite')
  )


def test_models_that_are_damaged(colour_models, monkeypatch):
  folder = pathlib.Path(shutil.copytree(colour_models / 'tflite', 'model'))
  told = read(folder / 'model.json')
  (folder / 'model.tflite').write_bytes(b'no model')
  refused(
    folder, 'model does not load in its runtime', 'export the model again'
  )
  for change in (
    {'format': 'x'},
    {'class_names': 5},
    {'input': {**told['input'], 'kind': 'x'}},
    {'input': {**told['input'], 'shape': ['x']}},
  ):
    (folder / 'model.json').write_text(json.dumps({**told, **change}))
    refused(folder, 'does not describe an exported model')
  (folder / 'model.json').write_text(json.dumps({**told, 'end_point': 'a/b'}))
  refused(folder, 'the features a/b alone', 'without --end_point')
  (folder / 'model.tflite').unlink()
  refused(folder, 'has no model.tflite')
  frozen = shutil.copytree(colour_models / 'frozen_graph', 'frozen')
  pathlib.Path(frozen, 'graph.pb').write_bytes(b'\xff' * 9)
  refused(frozen, 'does not load in its runtime')

  def missing(folder):
    raise ModuleNotFoundError('No module', name='onnxruntime')

  monkeypatch.setattr(standalone, 'Model', missing)
  refused(frozen, 'needs onnxruntime', "pip install '.[export]'")


def test_data_that_do_not_fit(colour_models, colours, shapes, workplace):
  model = colour_models / 'frozen_graph'
  refused(
    model,
    'exported for classification',
    'is for segmentation',
    dataset_dir=shapes,
  )
  refused(model, 'other classes', '5 classes, not 10', dataset_name='digits')
  other = shutil.copytree(colours, workplace / 'other')
  names = pathlib.Path(other, 'labels.txt')
  names.write_text(names.read_text().replace('blue', 'azure'))
  refused(
    model,
    "class 2 'blue', not 'azure'",
    dataset_dir=other,
    dataset_name='flowers',
  )
  refused(colour_models / 'tflite_int8', 'takes 2 images at once', batch_size=3)
  refused(model, '--ignore_label is for segmentation', ignore_label=0)
  builders.colour_image(0, 0).save('a.png')
  printed = builders.call(
    classify_image, 'a.png', exported=model, output_dir='x'
  )
  builders.refused(printed, '--output_dir is for segmentation')


def test_names_that_several_classes_share():
  """And classes that nobody has named, behind an offset."""
  dataset = types.SimpleNamespace(
    labels_to_names={0: 'none', 1: 'crane', 2: 'crane'}, num_classes=3
  )
  for told in ['crane (1)', 'crane (2)'], ['0', '1']:
    model = types.SimpleNamespace(
      told={'class_names': told, 'labels_offset': 1}
    )
    run = evaluating._as_run(model, {}, dataset)
    assert data.other_classes(run, dataset) == ''
    assert run['num_classes'] == 3


@pytest.mark.parametrize('config', [EvalConfig, ClassifyConfig])
def test_flags_of_a_checkpoint(config):
  """A flag goes with --exported, or is refused by its name."""
  values = {'model_name': 'resnet_v1_50', 'preprocessing_name': 'vgg'}
  values |= {'raw_weights': True, 'flip': True, 'scales': '0.5,1'}
  values |= {'output_stride': 8, 'checkpoints': 'all', 'labels_offset': 1}
  values |= {'checkpoint_path': 'x', 'ten_crop': True, 'labels_file': 'x'}
  fields = {field.name for field in dataclasses.fields(config)}
  assert len(fields & values.keys()) >= 5
  for name in fields & values.keys():
    with pytest.raises(ValueError, match=f'^--{name} .*: leave'):
      config(exported='x', **{name: values[name]})
  config(exported='x', batch_size=3, task='0', verbosity=0)
  assert set(config.with_exported) < fields


def test_bad_examples_are_left_out(colour_models, colours, workplace):
  folder = shutil.copytree(colours, workplace / 'damaged')
  bad = builders.damage_colours(folder, 'validation_00000-of-00001')
  flags = {'dataset_dir': folder, 'dataset_name': 'flowers'}
  refused(colour_models / 'frozen_graph', bad, '--skip_bad_examples=1', **flags)
  printed = evaluate(
    colour_models / 'frozen_graph', skip_bad_examples=1, **flags
  )
  assert f'left out: {bad}' in printed.out
  assert (printed.metrics['examples'], printed.metrics['left_out']) == (22, 1)


def test_a_run_that_was_moved(colour_models, colours_run):
  """With its exports: what model.json names as checkpoint is gone."""
  run = pathlib.Path('moved')
  (run / 'eval').mkdir(parents=True)
  for name in 'config.json', 'eval/eval.json':
    shutil.copy(colours_run.folder / name, run / name)
  model = run / 'export' / 'x'
  shutil.copytree(colour_models / 'frozen_graph', model)
  told = read(model / 'model.json')
  told['checkpoint'] = 'gone/model.ckpt-30'
  (model / 'model.json').write_text(json.dumps(told))
  printed = evaluate(run / 'export')
  assert printed.metrics['dataset'] == 'flowers'
  assert 'says moved/eval/eval.json' in printed.out


def test_where_results_go(colour_models, colours):
  """Beside the model; without the run the data must be named."""
  model = pathlib.Path(
    shutil.copytree(colour_models / 'frozen_graph', 'there/x')
  )
  told = read(model / 'model.json')
  told['checkpoint'] = 'gone/model.ckpt-30'
  (model / 'model.json').write_text(json.dumps(told))
  refused(model, 'other classes than those of', '5 classes, not 10')
  printed = builders.call(
    eval_image_classifier,
    exported=model,
    dataset_dir=colours,
    dataset_name='flowers',
    max_num_batches=1,
    batch_size=4,
  )
  assert printed.status == 0, printed.err
  assert read('there/eval-x/eval.json')['examples'] == 4
  assert sorted(os.listdir('there')) == ['eval-x', 'x']
