"""Masks of files in the values of the source of the data."""

import re

import numpy as np
import pytest
from PIL import Image

from engine.config.scripts import ClassifyConfig
from engine.tasks.segmentation import image_files

MASK = np.array([[0, 1, 2], [2, 2, 0]])
RUN = {'source_values': [7, 26, 33]}


def segment(monkeypatch, folder, run, **flags):
  """Writes the masks of two files of one name, as if they were predicted."""
  image = np.zeros((*MASK.shape, 3), np.uint8)
  monkeypatch.setattr(
    image_files,
    '_predicted',
    lambda config, checkpoint, run, names, paths: (
      (path, image, MASK) for path in paths
    ),
  )
  image_files.segment_files(
    ClassifyConfig(output_dir=str(folder), **flags),
    'runs/a/model.ckpt-9',
    run,
    ['road', 'car', 'bicycle'],
    ['a/x.png', 'b/x.jpg'],
  )


def test_source_values(monkeypatch, tmp_path):
  """A folder of nothing else, so that it may be handed in as it is."""
  segment(monkeypatch, tmp_path, RUN, write_source_values=True)
  folder = tmp_path / 'source_values'
  assert sorted(path.name for path in folder.iterdir()) == ['x-2.png', 'x.png']
  for path in folder.iterdir():
    image = Image.open(path)
    assert image.mode == 'L'
    np.testing.assert_array_equal(image, np.array([7, 26, 33])[MASK])
  np.testing.assert_array_equal(Image.open(tmp_path / 'x_mask.png'), MASK)


def test_they_are_not_written_unasked(monkeypatch, tmp_path):
  segment(monkeypatch, tmp_path, RUN)
  assert not (tmp_path / 'source_values').exists()


@pytest.mark.parametrize('run', [{}, {'source_values': [1, 2]}])
def test_a_run_that_does_not_say_them(monkeypatch, tmp_path, run):
  words = (
    '--write_source_values: nothing with runs/a/model.ckpt-9 says which values '
    'its classes have in the masks of the source. '
  )
  with pytest.raises(ValueError, match=f'^{re.escape(words)}'):
    segment(monkeypatch, tmp_path / 'new', run, write_source_values=True)
  assert not (tmp_path / 'new').exists()


def test_exported_models_do_not_know_them():
  with pytest.raises(
    ValueError, match='--write_source_values needs what a run says of the mask'
  ):
    ClassifyConfig(exported='a', write_source_values=True)
