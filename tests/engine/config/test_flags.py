"""Command lines of TF-Slim and of this project."""

import dataclasses
import os
import pathlib
import re
import subprocess
import sys

import pytest

import classify_image
import download_and_convert_data
import eval_image_classifier
import inspect_checkpoint
import train_image_classifier
from engine.config import aliases, flags
from engine.config.fields import Group
from engine.config.scripts import (
  ClassifyConfig,
  ConvertConfig,
  EvalConfig,
  InspectConfig,
  TrainConfig,
)

ROOT = pathlib.Path(__file__).parents[3]

# The flags of TF-Slim's scripts, as they were.
TRAIN = """master train_dir num_clones clone_on_cpu worker_replicas num_ps_tasks
num_readers num_preprocessing_threads log_every_n_steps save_summaries_secs
save_interval_secs task weight_decay optimizer adadelta_rho
adagrad_initial_accumulator_value adam_beta1 adam_beta2 opt_epsilon
ftrl_learning_rate_power ftrl_initial_accumulator_value ftrl_l1 ftrl_l2
momentum rmsprop_momentum rmsprop_decay quantize_delay learning_rate_decay_type
learning_rate end_learning_rate label_smoothing learning_rate_decay_factor
num_epochs_per_decay sync_replicas replicas_to_aggregate moving_average_decay
dataset_name dataset_split_name dataset_dir labels_offset model_name
preprocessing_name batch_size train_image_size max_number_of_steps
use_grayscale checkpoint_path checkpoint_exclude_scopes trainable_scopes
ignore_missing_vars""".split()
EVAL = """batch_size max_num_batches master checkpoint_path eval_dir
num_preprocessing_threads dataset_name dataset_split_name dataset_dir
labels_offset model_name preprocessing_name moving_average_decay
eval_image_size quantize use_grayscale""".split()

UPSTREAM = [(TrainConfig, name) for name in TRAIN] + [
  (EvalConfig, name) for name in EVAL
]

# A valid value other than the default, by the kind of the flag.
VALUES = {
  int: ('3', 3),
  float: ('0.25', 0.25),
  str: ('some', 'some'),
  bool: ('true', True),
}
SPECIAL = {
  'optimizer': ('ftrl', 'ftrl'),
  'master': ('host:1', 'host:1'),
  'learning_rate_decay_type': ('fixed', 'fixed'),
  'ftrl_learning_rate_power': ('-0.25', -0.25),
}


def _parse(config_class, *arguments):
  return flags.parse(config_class, ['script.py', *arguments])


# TF-Slim's flag -> the field: --task is also the task, by name.
FIELDS = {'task': 'task_index'}


@pytest.mark.parametrize('config_class, name', UPSTREAM)
def test_flags_of_slim(config_class, name):
  field = FIELDS.get(name, name)
  kind = {
    field.name: config_class.kind(field)
    for field in dataclasses.fields(config_class)
  }[field]
  text, value = SPECIAL.get(name, VALUES[kind])
  for arguments in ([f'--{name}={text}'], [f'-{name}={text}']):
    config, others = _parse(config_class, *arguments)
    assert config == config_class(**{field: value}) and others == []
    assert type(config.text(field)) is kind
  if kind is bool:
    assert getattr(_parse(config_class, f'--{name}')[0], name) is True
    assert getattr(_parse(config_class, f'--no{name}')[0], name) is False
  else:
    assert _parse(config_class, f'--{name}', text)[0] == config


@pytest.mark.parametrize('config_class', [TrainConfig, EvalConfig])
def test_a_task_by_name_is_no_index(config_class):
  for arguments in (['--task=segmentation'], ['--task', 'segmentation']):
    config, others = _parse(config_class, *arguments)
    assert config == config_class(task='segmentation') and others == []
  config, _ = _parse(config_class, '--task=2', '--task=classification')
  assert config == config_class(task='classification', task_index=2)
  with pytest.raises(ValueError, match='--task_index=-1 must be at least 0'):
    _parse(config_class, '--task=-1')


@pytest.mark.parametrize(
  'config_class', [TrainConfig, EvalConfig, ClassifyConfig]
)
def test_defaults(config_class):
  assert _parse(config_class) == (config_class(), [])


def test_twice_in_one_process():
  assert _parse(TrainConfig, '--batch_size=3')[0].batch_size == 3
  assert _parse(TrainConfig)[0].batch_size is None
  assert _parse(EvalConfig, '--batch_size=4')[0].batch_size == 4
  assert _parse(TrainConfig, '--batch_size=5')[0].batch_size == 5


def test_last_value_counts():
  assert _parse(TrainConfig, '--seed=1', '--seed=2')[0].seed == 2


@pytest.mark.parametrize(
  'arguments, text',
  [
    (
      ['--modle_name=x'],
      'There is no flag --modle_name. Did you mean --model_name? --help lists',
    ),
    (['--zzzzzz'], 'There is no flag --zzzzzz. --help lists the flags.'),
    (['--lr=0.1'], 'no flag --lr. Did you mean --learning_rate?'),
    (['-bs', '8'], 'no flag --bs. Did you mean --batch_size?'),
    (['--data=x'], 'no flag --data. Did you mean --dataset_dir?'),
    (['--batch-size=8'], 'no flag --batch-size. Did you mean --batch_size?'),
    (['--batch_size=many'], 'flag --batch_size=many'),
    (['--batch_size=1.5'], 'flag --batch_size=1.5'),
    (['--learning_rate=fast'], 'flag --learning_rate=fast'),
    (['--use_grayscale=maybe'], 'flag --use_grayscale=maybe'),
    (['--batch_size'], 'batch_size'),
    (
      ['--learning_rate=nan'],
      '--learning_rate=nan must be above 0 and a finite number',
    ),
    (['--optimizer=sdg'], '--optimizer=sdg is unknown. Did you mean sgd?'),
    (['--flagfile=/no/where'], '/no/where'),
  ],
)
def test_mistakes(capfd, arguments, text):
  with pytest.raises(ValueError) as error:
    _parse(TrainConfig, *arguments)
  assert text in str(error.value)
  assert train_image_classifier.main(['x', *arguments]) == 1
  found = capfd.readouterr()
  assert found.err.startswith('error: ') and text in found.err
  assert len(found.err.splitlines()) <= 2 and found.out == ''


def test_flagfile(tmp_path):
  file = tmp_path / 'flags'
  file.write_text('# a run\n--batch_size=3\n\n--optimizer=adam\n')
  config, others = _parse(TrainConfig, f'--flagfile={file}', '--batch_size=4')
  assert config == TrainConfig(batch_size=4, optimizer='adam')
  assert others == []


def test_arguments_around_flags():
  config, others = _parse(ClassifyConfig, 'a.png', '--top=3', 'b.png')
  assert config.top == 3 and others == ['a.png', 'b.png']


def test_arguments_after_a_double_dash():
  config, others = _parse(ClassifyConfig, '--top=3', '--', '--top=4')
  assert config.top == 3 and others == ['--top=4']


@pytest.mark.parametrize(
  'arguments', [['resnet_v1_50', '--seed=3'], ['--seed=3', 'resnet_v1_50']]
)
def test_positional_argument_is_refused(capsys, arguments):
  assert train_image_classifier.main(['x', *arguments]) == 1
  assert capsys.readouterr().err == (
    "error: The argument 'resnet_v1_50' is no flag: flags begin with --.\n"
  )


SCRIPTS = {
  train_image_classifier: TrainConfig,
  eval_image_classifier: EvalConfig,
  classify_image: ClassifyConfig,
  download_and_convert_data: ConvertConfig,
  inspect_checkpoint: InspectConfig,
}


@pytest.mark.parametrize('name', aliases.ALIASES)
def test_aliases_name_flags(name):
  """None is a flag itself, and each is of some script."""
  known = {
    field.name
    for config_class in SCRIPTS.values()
    for field in dataclasses.fields(config_class)
  }
  assert name not in known
  assert aliases.ALIASES[name] and set(aliases.ALIASES[name]) <= known


def help_of(capsys, module, flag='--help'):
  with pytest.raises(SystemExit) as end:
    module.main(['x.py', flag])
  assert end.value.code == 0
  found = capsys.readouterr()
  assert found.err == ''
  return found.out


@pytest.mark.parametrize('module', SCRIPTS)
def test_help(capsys, module):
  """All flags, in groups, TF-Slim's dead ones last; examples that parse."""
  text = help_of(capsys, module)
  lines = text.splitlines()
  config_class = SCRIPTS[module]
  assert lines[0].startswith('usage: x.py [flags]')
  assert max(map(len, lines)) <= 80
  assert sorted(re.findall(r'^  --(?:\[no\])?(\w+)', text, re.M)) == sorted(
    ['flagfile', *(field.name for field in dataclasses.fields(config_class))]
  )
  headings = [group.value for group in Group if f'\n\n{group.value}:\n' in text]
  assert headings[0] == 'Data' or len(headings) < 4
  assert Group.SCRIPT.value not in headings
  places = [text.index(f'\n{heading}:') for heading in headings]
  assert places == sorted(places)
  assert len(config_class.examples) >= 2
  for example in config_class.examples:
    assert f'python x.py {example}' in text.replace(' \\\n     ', '')
    config, arguments = _parse(config_class, *example.split())
    assert config != config_class() or arguments


def test_help_names_positional_arguments(capsys):
  assert help_of(capsys, classify_image, '-h').startswith(
    'usage: x.py [flags] --checkpoint_path=RUN IMAGE_OR_FOLDER ...\n'
  )


def test_help_tells_choices_and_defaults(capsys):
  text = ' '.join(help_of(capsys, train_image_classifier).split())
  for part in (
    '--momentum=X momentum, lars: the momentum. Default: 0.9. --',
    '--batch_size=N Examples in a step of one replica; of all, as long as',
    '--[no]use_grayscale Train on images of one channel. Default: false.',
    'One of memory, file. Classification only.',
    '--num_clones=N Replicas in this process, one a device. Default: one for',
    '--[no]sync_replicas Replicas are always synchronous; the flag is ignored.',
    '--optimizer=NAME The optimizer. One of adadelta, adagrad,',
  ):
    assert part in text


# Targets of `run`, below.
def ask(config, arguments):
  return arguments.append(config.seed)


def fail(config):
  raise ValueError('It does not fit: change it.')


def crash(config):
  raise RuntimeError('a mistake in the code')


def interrupt(config):
  raise KeyboardInterrupt


def missing_file(config):
  open('/no/where')


@pytest.fixture
def run(monkeypatch):
  """run(function, arguments, **options): the exit status."""
  monkeypatch.setitem(sys.modules, 'targets', sys.modules[__name__])

  def run(function, *arguments, **options):
    return flags.run(
      TrainConfig, f'targets:{function.__name__}', ['x', *arguments], **options
    )

  return run


def test_run_calls_the_target(run, capsys):
  assert run(ask, '--seed=3', 'a', takes_arguments=True) == 0
  assert capsys.readouterr().err == ''


@pytest.mark.parametrize(
  'function, status, text',
  [
    (fail, 1, 'error: It does not fit: change it.\n'),
    (missing_file, 1, 'error: /no/where: No such file or directory.\n'),
    (interrupt, 130, 'error: interrupted.\n'),
  ],
)
def test_run_explains(run, capsys, function, status, text):
  assert run(function) == status
  assert capsys.readouterr().err == text


def test_run_with_a_stack_trace(run, capsys):
  assert run(fail, '--verbosity=1') == 1
  text = capsys.readouterr().err
  assert text.startswith('Traceback') and text.endswith(
    'error: It does not fit: change it.\n'
  )


def test_run_hides_no_mistake_in_the_code(run):
  with pytest.raises(RuntimeError, match='a mistake in the code'):
    run(crash)


def test_run_says_notes(run, capsys):
  run(fail, '--sync_replicas')
  assert capsys.readouterr().out.startswith(
    'note: --sync_replicas: replicas are always synchronous; the flag is '
  )


def test_mistakes_are_answered_without_tensorflow():
  code = (
    'import sys, train_image_classifier as t; '
    'status = t.main(["x", "--optimizer=sdg"]); '
    'sys.exit(status + 10 * ("tensorflow" in sys.modules))'
  )
  found = subprocess.run(
    [sys.executable, '-c', code], capture_output=True, text=True, cwd=ROOT
  )
  assert found.returncode == 1 and found.stdout == ''


def python(code, **options):
  return subprocess.run(
    [sys.executable, '-c', code],
    stderr=subprocess.PIPE,
    text=True,
    cwd=ROOT,
    check=False,
    **options,
  )


MISSING = (
  'error: The module {} is not installed. This installs all that the scripts '
  "need, in the folder of the project: pip install '.[scripts]'\n"
)


@pytest.mark.parametrize(
  'module, name',
  [*((module, 'absl') for module in SCRIPTS), (train_image_classifier, 'tqdm')],
  ids=lambda each: getattr(each, '__name__', each),
)
def test_a_module_is_missing_from_the_start(module, name):
  found = python(
    f'import sys; sys.modules["{name}"] = None; '
    f'import {module.__name__} as script; '
    'sys.exit(script.main(["x", "--num_readers=2"]))'
  )
  assert found.returncode == 1 and found.stderr == MISSING.format(name)


def draw(config):
  import matplotlib.figure  # noqa: F401


def mistaken_import(config):
  import engine.nowhere  # noqa: F401


def test_a_module_is_missing(run, monkeypatch, capsys):
  monkeypatch.setitem(sys.modules, 'matplotlib', None)
  monkeypatch.delitem(sys.modules, 'matplotlib.figure', raising=False)
  assert run(draw) == 1
  assert capsys.readouterr().err == MISSING.format('matplotlib')
  assert run(mistaken_import) == 1
  assert 'pip' not in capsys.readouterr().err


@pytest.mark.parametrize(
  'module',
  [train_image_classifier, classify_image],
  ids=lambda each: each.__name__,
)
def test_nobody_reads_the_help(module):
  """As with `| head -1`: it ends quietly, at Python's last flush too."""
  reader, writer = os.pipe()
  os.close(reader)
  found = python(
    f'import sys, {module.__name__} as script; '
    'print("more", end=""); '  # stays in the buffer
    'sys.exit(script.main(["x", "--help"]))',
    stdout=writer,
    env={**os.environ, 'PYTHONUNBUFFERED': ''},
  )
  os.close(writer)
  assert (found.returncode, found.stderr) == (141, '')


def break_pipe(config):
  raise BrokenPipeError(32, 'Broken pipe')


def test_run_of_a_broken_pipe(run, capsys):
  assert run(break_pipe) == 141
  assert capsys.readouterr().err == ''
