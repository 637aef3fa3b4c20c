"""What members of an ensemble must share, and how they are matched."""

import types

import numpy as np
import pytest

from engine.config import scripts
from engine.config.tasks import get_task
from engine.evaluation import ensembles
from engine.resolve.evaluation import Evaluation
from tests import builders


@pytest.fixture
def member(tmp_path):
  """member(name, classes, class_names, sources): a member of an ensemble."""

  def build(name, classes=3, class_names=None, sources=('a',), split='test'):
    path = str(tmp_path / name)
    builders.write_checkpoint(
      path, {'net/logits/weights': np.zeros((1, 1, 4, classes), np.float32)}
    )
    dataset = types.SimpleNamespace(
      name='data', split_name=split, data_sources=sources, num_classes=3
    )
    return Evaluation(
      get_task('classification'),
      scripts.EvalConfig(labels_offset=0),
      dataset,
      path,
      {'class_names': class_names} if class_names else {},
    )

  return build


def _refusal(*members):
  with pytest.raises(ValueError) as failure:
    ensembles.check(members)
  return (
    str(failure.value)
    .replace(members[0].checkpoint, 'A')
    .replace(members[-1].checkpoint, 'B')
  )


def test_members_that_fit(member):
  names = ['x', 'y', 'z']
  ensembles.check(
    [
      member('a', class_names=names),
      member('b', class_names=names),
      member('c'),
    ]
  )


def test_members_that_do_not_fit(member):
  first = member('a', class_names=['x', 'y', 'z'])
  assert _refusal(
    first, member('b', class_names=['x', 'y', 'z']), member('c', classes=4)
  ) == (
    'A and B have 3 and 4 classes: an ensemble needs the same ones. Leave '
    'one out of --checkpoint_path.'
  )
  assert _refusal(first, member('b', class_names=['x', 'z', 'y'])) == (
    "A and B name class 1 'y' and 'z': an ensemble needs the same classes. "
    'Leave one out of --checkpoint_path.'
  )
  assert _refusal(first, member('b', sources='b', split='train')) == (
    'A and B would be evaluated on different data (data, split test; data, '
    'split train): name the same for all with --dataset_name, '
    '--dataset_dir and --dataset_split_name.'
  )


def test_features_have_no_number_of_classes(tmp_path):
  """Then the data tell it; the checkpoint is refused when it is loaded."""
  path = str(tmp_path / 'a')
  builders.write_checkpoint(path, {'net/conv1/weights': np.float32([1])})
  given = types.SimpleNamespace(labels_offset=1)
  dataset = types.SimpleNamespace(num_classes=11)
  assert ensembles._classes(Evaluation(None, given, dataset, path, {})) == (
    10,
    None,
  )
