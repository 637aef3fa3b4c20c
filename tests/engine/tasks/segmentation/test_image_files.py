"""Masks of files: those of an evaluation, whatever is read with them."""

import pathlib
import shutil

import numpy as np
import pytest
from PIL import Image

from engine.config.scripts import ClassifyConfig, EvalConfig
from engine.input.image_files import stems as stems_of
from engine.resolve import files
from engine.resolve.evaluation import evaluation
from engine.tasks.segmentation import dense_model, predictor
from tests import builders

pytestmark = pytest.mark.usefixtures('workplace')


@pytest.fixture
def segment(shapes_run):
  """segment(paths, **flags): {file: mask}, in the order they were written."""

  def run(paths, **flags):
    task, config, checkpoint, run = files.files(
      ClassifyConfig(
        checkpoint_path=str(shapes_run.folder), output_dir='out', **flags
      ),
      'segmented',
    )
    paths = task.unfinished(config, [str(path) for path in paths])
    found = task.predict_files(
      config, checkpoint, run, builders.SHAPE_NAMES, paths
    )
    stems = stems_of(paths)
    return {
      path: np.asarray(Image.open(f'out/{stems[path]}_mask.png'))
      for path in found
    }

  return run


def _write(folder, seeds, size=None):
  pathlib.Path(folder).mkdir(exist_ok=True)
  paths = [f'{folder}/{seed}.png' for seed in seeds]
  for seed, path in zip(seeds, paths, strict=True):
    Image.fromarray(builders.shape(seed, size)[0]).save(path)
  return paths


@pytest.mark.parametrize(
  'flags',
  [
    {},
    {'flip': True, 'scales': '0.75,1.5', 'output_stride': 4},
    {'flip': True, 'eval_crop_size': '17,25', 'batch_size': 3},
  ],
  ids=['plain', 'views', 'windows'],
)
def test_the_masks_are_those_of_an_evaluation(
  segment, shapes_run, monkeypatch, flags
):
  measured, measure = {}, predictor.measure

  def spy(labels, classes, loss, confidences, record, *others):
    measured[record] = classes
    return measure(labels, classes, loss, confidences, record, *others)

  monkeypatch.setattr(predictor, 'measure', spy)
  given = evaluation(
    EvalConfig(checkpoint_path=str(shapes_run.folder), **flags)
  )
  with predictor.DensePredictor(given.config, given.dataset, 3) as opened:
    opened.restore(given.checkpoint)
    opened.predict()
  paths = _write('images', builders.SHAPE_VAL)
  found = segment(paths, **flags)
  assert [*found] == paths
  for record, mask in enumerate(found.values()):
    np.testing.assert_array_equal(mask, measured[record])


def test_images_of_one_size_go_together(segment, monkeypatch):
  """In their order, the same as one by one; what is broken is passed over."""
  seen, predict = [], dense_model.DenseModel.predict

  def spy(model, session, images):
    seen.append(len(images))
    return predict(model, session, images)

  monkeypatch.setattr(dense_model.DenseModel, 'predict', spy)
  paths = [
    *_write('images', range(5), (33, 41)),
    *_write('images', range(5, 7), (41, 33)),
    *_write('images', range(7, 8), (33, 41)),
  ]
  pathlib.Path(paths[1]).write_bytes(b'none')
  wanted = segment(paths, batch_size=1)
  assert seen == [1] * 7
  assert [*wanted] == [path for path in paths if path != paths[1]]
  seen.clear()
  found = segment(paths, batch_size=3)
  assert seen == [3, 1, 2, 1] and [*found] == [*wanted]
  for path, mask in found.items():
    np.testing.assert_array_equal(mask, wanted[path])


def test_how_many_go_together():
  """At the most 16 images, or 16 million probabilities, or as flags say."""

  def together(*size, batch_size=None):
    model = object.__new__(dense_model.DenseModel)
    model._config, model._num_classes = (
      ClassifyConfig(batch_size=batch_size),
      21,
    )
    return model.together(*size)

  assert together(33, 33) == 16 and together(513, 513) == 3
  assert together(5000, 5000) == 1 == together(33, 33, batch_size=1)


def test_names_do_not_collide():
  paths = ['a/1.png', 'b/1.png', 'b/1.jpg', 'b/1-2.png', 'b/2.png', 'a/1.png']
  assert stems_of(paths) == {
    'a/1.png': '1',
    'b/1.png': '1-2',
    'b/1.jpg': '1-3',
    'b/1-2.png': '1-2-2',
    'b/2.png': '2',
  }


def test_existing_masks_are_skipped(segment, capsys):
  paths = _write('images', range(3))
  assert [*segment(paths[:2])] == paths[:2]
  pathlib.Path('out/1_overlay.png').unlink()  # it ended between the two
  before = pathlib.Path('out/0_mask.png').stat().st_mtime_ns
  capsys.readouterr()
  assert [*segment(paths, skip_existing=True)] == paths[1:]
  assert pathlib.Path('out/0_mask.png').stat().st_mtime_ns == before
  assert capsys.readouterr().err == (
    'note: 1 of 3 files are left out, as their masks and overlays are in out '
    'already.\n'
  )
  assert [*segment(paths)] == paths


def test_skipping_needs_names_that_differ(segment):
  shutil.copytree(pathlib.Path(_write('a', [1])[0]).parent, 'b')
  with pytest.raises(ValueError, match=r'and b/1\.png has that of another'):
    segment(['a/1.png', 'b/1.png'], skip_existing=True)
