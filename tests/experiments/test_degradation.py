"""The experiment that compares depths, and what all comparisons share."""

import csv
import pathlib
import shutil
import statistics

import pytest
from PIL import Image

from engine.training import early_stopping, metrics_log
from experiments import comparing, degradation
from tests import builders
from tests.experiments import short

pytestmark = pytest.mark.usefixtures('workplace')
NETWORKS = 'cifar_plain_8,cifar_residual_8'


def call(**flags):
  return short.call(degradation, **{'model_name': NETWORKS, **flags})


@pytest.fixture(scope='module')
def whole(tmp_path_factory, cache_home):
  """A finished experiment: folder and what it printed. For reading."""
  folder = tmp_path_factory.mktemp('whole')
  with pytest.MonkeyPatch.context() as patch:
    patch.chdir(folder)
    patch.setenv('XDG_CACHE_HOME', str(cache_home))
    printed = call()
  assert printed.status == 0, printed.err
  printed.folder = folder / 'out'
  return printed


@pytest.fixture
def copied(whole):
  """The same, in the current folder, to go on with."""
  shutil.copytree(whole.folder, 'out')
  return whole


def table(folder):
  with open(folder / 'curves.csv', newline='') as file:
    return list(csv.DictReader(file))


@pytest.mark.slow
def test_the_metrics_are_those_of_the_runs(whole):
  rows = table(whole.folder)
  assert [(row['model_name'], row['seed'], row['step']) for row in rows] == [
    (name, '0', step)
    for name in ('cifar_plain_8', 'cifar_residual_8')
    for step in '12'
  ]
  for name in ('cifar_plain_8', 'cifar_residual_8'):
    folder = whole.folder / f'{name}-seed0'
    found = [row for row in rows if row['model_name'] == name]
    assert [float(row['test_error']) for row in found] == [
      1 - row['accuracy'] for row in early_stopping.read(folder)
    ]
    assert [float(row['train_loss']) for row in found] == [
      row['loss'] for row in metrics_log.read_metrics(folder)
    ]
    assert 'Training ' + name in (folder / 'log.txt').read_text()
    last = 100 * float(found[-1]['test_error'])
    assert f'{name} ' in whole.out and f'{last:.2f} %' in whole.out
  assert Image.open(whole.folder / 'curves.png').size[0] == 1000


@pytest.mark.slow
def test_only_a_few_lines_are_printed(whole):
  assert '0 of 2 runs are finished, in out.' in whole.out
  assert whole.out.count('\n') == 7 and not whole.err
  assert 'cifar_plain_8, seed 0: training error ' in whole.out
  assert '75,290' in whole.out


@pytest.mark.slow
def test_a_mean_over_the_steps_since_the_last_evaluation(copied):
  run = comparing.Run(
    'x',
    3,
    degradation.DegradationConfig().training(
      'cifar_plain_8', 'out/cifar_plain_8-seed0'
    ),
  )
  metrics = metrics_log.read_metrics(run.config.train_dir)
  path = pathlib.Path(run.config.train_dir, early_stopping.EVALUATIONS_FILENAME)
  header, _, last = path.read_text().splitlines()
  path.write_text(f'{header}\n{last}\n')
  (row,) = comparing.read(run)
  assert row['seed'] == 3 and row['step'] == 2
  assert row['train_error'] == 1 - statistics.fmean(
    each['accuracy'] for each in metrics
  )


@pytest.mark.slow
def test_a_finished_experiment_trains_nothing(copied, monkeypatch):
  def fail(config, watch):
    raise AssertionError('trained again')

  monkeypatch.setattr(comparing, 'train', fail)
  before = pathlib.Path('out/curves.csv').read_bytes()
  pathlib.Path('out/curves.csv').unlink()
  again = call()
  assert again.status == 0, again.err
  assert '2 of 2 runs are finished' in again.out
  assert pathlib.Path('out/curves.csv').read_bytes() == before
  assert again.out.splitlines()[1:] == copied.out.splitlines()[3:]


@pytest.mark.slow
def test_resumes_after_a_stop(copied, monkeypatch):
  """One run stopped half way: the figures are as if it never was."""
  stopped, train = 'out/cifar_residual_8-seed0', comparing.train
  shutil.rmtree(stopped)

  def stop(config, watch):
    train(config.replace(max_number_of_steps=1), watch)
    raise SystemExit(143)

  with monkeypatch.context() as patch, pytest.raises(SystemExit):
    patch.setattr(comparing, 'train', stop)
    call()
  pathlib.Path('out/curves.csv').unlink()
  rest = call()
  assert rest.status == 0, rest.err
  assert '1 of 2 runs are finished' in rest.out
  assert 'step 1.' in pathlib.Path(stopped, 'log.txt').read_text()
  assert (
    pathlib.Path('out/curves.csv').read_bytes()
    == (copied.folder / 'curves.csv').read_bytes()
  )


@pytest.mark.slow
def test_other_flags_than_it_was_begun_with(copied):
  builders.refused(
    call(learning_rate=0.2), 'learning_rate=0.01, not 0.2', '--output_dir'
  )
  builders.refused(
    call(max_number_of_steps=1), 'trained to step 2', '--max_number_of_steps=1'
  )


@pytest.mark.slow
def test_a_file_that_is_lost(copied):
  pathlib.Path('out/cifar_plain_8-seed0/metrics.csv').unlink()
  builders.refused(
    call(), 'out/cifar_plain_8-seed0', 'metrics.csv', 'restore it'
  )


@pytest.mark.parametrize(
  'flags, words',
  [
    (
      {'model_name': 'cifar_plain_8,cifar_plian_20'},
      ['cifar_plian_20', 'cifar_plain_20'],
    ),
    ({'model_name': 'cifar_plain_21'}, ['cifar_plain_20']),
    ({'model_name': 'cifar_plain_8,,'}, ['--model_name=cifar_plain_8,,']),
    ({'model_name': 'cifar_plain_8,cifar_plain_8'}, ['each of them once']),
    ({'train_dir': 'x'}, ['--train_dir', '--output_dir']),
    ({'seeds': 0}, ['--seeds=0']),
    ({'sedes': 1}, ['seeds']),
    ({'dataset_name': 'digit_scenes'}, ['--task=classification']),
    ({'dataset_dir': 'nowhere'}, ['nowhere']),
  ],
)
def test_mistakes(flags, words):
  builders.refused(call(**flags), *words)
  assert not pathlib.Path('out').exists()


def test_a_file_in_the_way():
  pathlib.Path('out').write_text('')
  builders.refused(call(), '--output_dir=out')


def claims(**errors):
  return degradation.DegradationConfig().claims(
    {
      name: comparing.Result(1, {'train_error': error, 'test_error': [0]})
      for name, error in errors.items()
    }
  )


def test_claims():
  """Of both outcomes, and only of families with several depths."""
  plain, residual = claims(
    cifar_plain_20=[0.1, 0.2],
    cifar_residual_20=[0.1, 0.12],
    cifar_plain_56=[0.3, 0.4],
    cifar_residual_56=[0.11, 0.13],
    resnet_v1_50=[0],
  )
  assert plain == (
    'cifar_plain: the training error of 56 layers ends 20.00 points above '
    'that of 20, worse in every seed; He et al. found it worse on CIFAR-10.'
  )
  assert '1.00 points above' in residual
  assert residual.endswith(
    'within the range of the seeds; He et al. found it better on CIFAR-10.'
  )
  plain, residual = claims(
    plain_18=[0.2, 0.2],
    plain_34=[0.1, 0.1],
    cifar_residual_8=[0.2, 0.1],
    cifar_residual_14=[0.3, 0.21],
  )
  assert plain.endswith('better in every seed.')
  assert 'worse in every seed; He et al. found it better' in residual
  (line,) = claims(plain_18=[0.1], plain_34=[0.2])
  assert '10.00 points above that of 18, with one seed' in line
