"""A third task, from records to files: a class, and an entry of each registry.

Images have a score, the share of white in them. Their kind of label is the toy
of tests/datasets/test_label_kinds.py.
"""

import json
import pathlib

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import classify_image
import eval_image_classifier
import inspect_checkpoint
import train_image_classifier
from datasets import label_kinds
from datasets.writing import writer
from datasets.writing.plan import Item, Plan
from engine.checkpoints.inference import InferenceSession
from engine.config import tasks
from engine.input import image_files
from engine.input.pipeline import open_source
from engine.model.build import build_network
from engine.tasks.predictor import SplitPredictor
from preprocessing import preprocessing_factory
from tests import builders
from tests.datasets import test_label_kinds as toy

pytest_plugins = ['tests.datasets.test_label_kinds']
pytestmark = pytest.mark.usefixtures('workplace', 'scoring_task')
SIZE = 32


class ScoreLabels:
  """One score an image: float32 scalars."""

  features = {toy.SCORE: tf.FixedLenFeature([], tf.float32)}

  def decode(self, features):
    return features[toy.SCORE]

  def prepare(self, image, label, seed):
    prepare = preprocessing_factory.get_preprocessing('digits', False)
    return prepare(image, SIZE, SIZE, seed=seed), label


class Scores:
  """The predicted and the true scores of a split."""

  def __init__(self, found, wanted):
    self.found, self.wanted = found, wanted

  def metrics(self):
    errors = np.abs(self.found - self.wanted)
    return {
      'examples': len(errors),
      'mean_error': float(errors.mean()),
      'loss': float((errors**2).mean()),
    }


class ScorePredictor(SplitPredictor):
  def __init__(self, config, dataset):
    graph = tf.Graph()
    with graph.as_default():
      self.source = open_source(config, dataset, ScoreLabels())
      self._stream = self.source.evaluation(config.batch_size)
      logits, _ = build_network(config, self._stream.batch.images, 1)
      self._scores = tf.sigmoid(logits[:, 0])
    super().__init__(config, graph)

  def predict(self, max_batches=None, title='evaluating'):
    batches = -(-self.source.num_examples // self._config.batch_size)
    fetches = [self._scores, *self._stream.batch[1:]]
    found = self._passes(
      self._stream,
      lambda: self._stream.run(self.session, fetches),
      batches,
      title,
    )
    scores, labels, _ = map(np.concatenate, zip(*found, strict=True))
    return Scores(scores, labels)

  def compare(self, examples):
    return None


class Scoring:
  name = 'scoring'
  own_flags = {}
  default_dataset = 'digits'
  follows_released = False

  def recognizes(self, shapes):
    return False

  def preprocessing(self, network):
    return 'digits'

  def training_defaults(self, given, specification):
    return {'batch_size': 4}

  def check_training(self, config):
    pass

  def complete_training(self, given, config, dataset):
    return config

  def evaluation_defaults(self, specification):
    return {'batch_size': 3}

  def evaluated_split(self, splits):
    return splits[-1]

  def complete_inference(self, given, config, checkpoint, run):
    return config

  def prepare_dataset(self, config, dataset):
    pass

  def open_training(self, config, dataset, resumes):
    return open_source(config, dataset, ScoreLabels())

  def describe_training(self, config):
    return 'images with scores'

  def build(
    self, config, images, num_classes, is_training=False, reuse=None, **options
  ):
    return build_network(config, images, 1, is_training, reuse, **options)

  def add_auxiliary(self, config, end_points, num_classes, is_training, **_):
    pass

  def loss(self, config, logits, end_points, labels, step):
    errors = tf.sigmoid(logits[:, 0]) - labels
    return (tf.reduce_mean(errors**2), 1 - tf.reduce_mean(tf.abs(errors)))

  def summarize(self, config, batch, logits):
    tf.summary.histogram('scores', batch.labels)

  def open_split(self, config, dataset, num_classes):
    return ScorePredictor(config, dataset)

  def describe_evaluation(self, config):
    return 'by their scores'

  def sizes(self, config):
    return {}

  def combiner(self, checkpoint):
    raise ValueError('Scores are not averaged: name one checkpoint.')

  def brief(self, metrics):
    return f'error {metrics["mean_error"]:.4f}'

  def lines(self, metrics, num_classes):
    return [self.brief(metrics)]

  def more_metrics(self, split, found):
    return {'worst': float(np.abs(found.found - found.wanted).max())}

  def write_report(self, split, found, path):
    pathlib.Path(path('scores.csv')).write_text(
      '\n'.join(f'{score:.4f}' for score in found.found)
    )
    return ['scores.csv']

  def network_input(self, config, pixels):
    raise NotImplementedError

  def unfinished(self, config, paths):
    return paths

  def predict_files(self, config, checkpoint, run, names, paths):
    graph, results = tf.Graph(), {}
    with graph.as_default():
      data = tf.placeholder(tf.string, [])
      image, _ = ScoreLabels().prepare(image_files.decoded(data), 0, None)
      logits, _ = build_network(config, image[None], 1)
      score = tf.sigmoid(logits[0, 0])
    with InferenceSession(graph) as network:
      network.restore(checkpoint)
      for path, found in image_files.read(paths):
        value = float(network.session.run(score, {data: found}))
        results[path] = [('score', value)]
        image_files.show(path, results[path], config.json, 'scores', 'score')
    return results


@pytest.fixture
def scoring_task(monkeypatch, scoring):
  """All that a third task adds to the registries."""
  assert 'scoring' in label_kinds.KINDS
  monkeypatch.setitem(
    tasks.TASKS,
    'scoring',
    tasks.TaskEntry(
      f'{__name__}:Scoring',
      {'mean_error': False, 'loss': False},
      {'mean_error': ', error'},
    ),
  )


@pytest.fixture
def data(tmp_path):
  """A folder of records: grey images, whose score is their shade."""

  def item(number):
    shade = 5 + 10 * number
    return Item(
      f'{number}.png',
      None,
      lambda: toy.png(shade),
      features={toy.SCORE: shade / 255},
    )

  plan = Plan(
    'SOURCE',
    [],
    {
      'train': [item(number) for number in range(0, 25, 1)],
      'test': [item(number) for number in (2, 9, 14, 21)],
    },
    task='scoring',
  )
  writer.write(plan, tmp_path / 'data', '%s-*.tfrecord')
  return str(tmp_path / 'data')


def flags(data, **more):
  return {
    'model_name': 'resnet_v1_tiny',
    'dataset_dir': data,
    'train_dir': 'run',
    'batch_size': 8,
    'max_number_of_steps': 40,
    'learning_rate': 0.2,
    'log_every_n_steps': 20,
    'evaluate_every': 20,
    **more,
  }


@pytest.mark.slow
def test_from_records_to_files(data):
  """It trains, keeps the best, resumes, evaluates, and predicts files."""
  first = builders.train(**flags(data, max_number_of_steps=30))
  assert first.status == 0, first.err
  assert '30 steps of 8 images with scores' in first.out
  assert 'evaluation at step 20: error ' in first.out
  printed = builders.train(**flags(data))
  assert printed.status == 0, printed.err
  assert 'Resuming from run/model.ckpt-30, step 30.' in printed.out
  config = json.loads(pathlib.Path('run/config.json').read_text())
  assert (config['task'], config['best_metric']) == ('scoring', 'mean_error')
  rows = pathlib.Path('run/evaluations.csv').read_text().splitlines()
  # The end that was moved keeps its row; see `Evaluations`.
  assert rows[0] == 'step,loss,mean_error' and len(rows) == 4
  assert json.loads(pathlib.Path('run/best.json').read_text())['finished']

  printed = builders.call(eval_image_classifier, checkpoint_path='run')
  assert printed.status == 0, printed.err
  assert '4 examples of tfrecord, split test, by their scores.' in printed.out
  assert printed.out.endswith('eval.json and scores.csv are in run/eval.\n')
  found = json.loads(pathlib.Path('run/eval/eval.json').read_text())
  assert found['examples'] == 4 and found['mean_error'] < found['worst'] < 0.5
  assert len(pathlib.Path('run/eval/scores.csv').read_text().split()) == 4

  for shade in (20, 230):
    pathlib.Path(f'{shade}.png').write_bytes(toy.png(shade))
  printed = builders.call(
    classify_image, '20.png', '230.png', checkpoint_path='run', json=True
  )
  assert printed.status == 0, printed.err
  dark, light = [
    json.loads(line)['scores'][0]['score'] for line in printed.out.splitlines()
  ]
  assert dark < light

  printed = builders.call(inspect_checkpoint, 'run')
  assert printed.status == 0 and 'resnet_v1_tiny' in printed.out


def test_what_does_not_fit(data):
  builders.refused(
    builders.train(**flags(data, task='classification')),
    '--task=classification contradicts the dataset tfrecord, which has a score '
    'for every image: leave the flag out.',
  )
  builders.refused(
    builders.train(**flags(data, mixup_alpha=0.2)),
    '--mixup_alpha is for classification, but the dataset tfrecord has a score '
    'for every image: leave the flag out.',
  )
  builders.refused(
    builders.train(**flags(data, best_metric='accuracy')),
    '--best_metric=accuracy is no metric of scoring: it can be mean_error, '
    'loss.',
  )
  builders.refused(
    builders.train(**flags(data, best_metric='mean_eror')),
    'Did you mean mean_error?',
  )


def test_the_help_knows_it(capsys):
  with pytest.raises(SystemExit):
    train_image_classifier.main(['x', '--help'])
  assert 'mean_error' in capsys.readouterr().out
