"""Training: data, model, loss, optimizer, restore, loop."""

import contextlib
import functools
import os
import shlex
from typing import Any

import tensorflow.compat.v1 as tf
from tf_slim.data.dataset import Dataset

from engine.checkpoints import best, locate, warm_start
from engine.common import console, files, loading, runtime, tensorboard
from engine.common.variables import matching
from engine.config import runs
from engine.config.scripts import TrainConfig
from engine.config.tasks import get_task
from engine.evaluate import evaluate
from engine.evaluation.validator import eval_config
from engine.input.pipeline import training_stream
from engine.model import frozen_batch_norm, precision, sync_batch_norm
from engine.model.batch_norm import Recalibration
from engine.replicas import agreement
from engine.replicas.replicas import Replicas
from engine.resolve import data
from engine.resolve.training import training, untouched_split
from engine.training import (
  curves,
  hooks,
  optimizers,
  resume,
  same_data,
  schedules,
  step,
)
from engine.training.diagnosis import Diagnosis
from engine.training.early_stopping import Evaluations
from engine.training.state import TrainingState
from engine.training.validation import Validation
from nets import nets_factory, resnet_utils


@runtime.graph_building()
def train(
  given: TrainConfig, watch: step.Watch | None = None
) -> dict[str, Any] | None:
  """Trains a network, and evaluates it at the end.

  Writes checkpoints, config.json, metrics.csv, curves.png and TensorBoard
  summaries to `train_dir`, and with --evaluate_every evaluations.csv, best.json
  and the best checkpoints; started again, resumes from there.

  Args:
    given: what to do; fields that are None are completed.
    watch: see `step.build`.

  Returns:
    The metrics of the evaluation; None if there are no data for one.

  Raises:
    ValueError: the configuration, the data or a checkpoint does not fit, or
      the loss is not finite; the sentence says what to do.
    SystemExit: stopped by a signal, after saving.
  """
  if given.resume:
    given = runs.resumed(**given.given())
  gpu = runtime.uses_gpu(not given.clone_on_cpu)
  precision.check(given.precision, gpu)
  replicas = Replicas.of(given)
  config, dataset = training(given, replicas.count)
  _check_outputs(config)
  with (
    _held(config.train_dir, replicas.workers),
    runtime.arithmetic(config.tf32, gpu and config.deterministic),
    tf.Graph().as_default(),
  ):
    with loading.nothing_collected():
      run = TrainingRun(config, dataset, replicas)
      run.open_data()
      run.build_model()
      run.build_step(watch)
      run.introduce()
      run.prepare_start()
      run.prepare_hooks()
    if run.finished:
      run.record()
    else:
      run.loop()
    return run.conclude()


@contextlib.contextmanager
def _held(train_dir, workers):
  """Holds the folder for this training; the chief holds it for all workers."""
  with contextlib.ExitStack() as stack:
    if workers.is_chief:
      stack.enter_context(resume.alone(train_dir))
    workers.wait()
    agreement.check_shared(train_dir, 'train_dir')
    yield


class TrainingRun:
  """One training, in the order of its phases; see `train`.

  Attributes:
    finished: whether the run has been trained to the end before.
  """

  def __init__(self, config: TrainConfig, dataset: Dataset, replicas: Replicas):
    """Finds the checkpoint to resume; the folder is held by the caller.

    Args:
      config: the complete configuration.
      dataset: the split to train on.
      replicas: that share the steps.

    Raises:
      ValueError: the run in the folder was begun with other flags or data.
    """
    resume.check(config)
    self._splits = data.splits_of(config, dataset)
    same_data.check(config, dataset, self._splits)
    agreement.check(
      {f'the split {name}': facts for name, facts in self._splits.items()},
      'give all workers the same data.',
    )
    self._config, self._dataset, self._replicas = config, dataset, replicas
    self._is_chief = replicas.workers.is_chief
    self._task = get_task(config.task)
    tf.set_random_seed(config.seed)
    self._global_step = tf.train.get_or_create_global_step()
    self._latest, self._start = resume.latest(config.train_dir)
    self._opening = replicas.opening(config.precision)

  def open_data(self) -> None:
    """Opens the examples, and begins their batches where the run stands."""
    config = self._config
    self._source = self._task.open_training(
      config, self._dataset, self._latest is not None
    )
    self._every = _evaluate_every(config, self._source.num_examples)
    self._evaluations = Evaluations(config, self._start, self._every)
    self._stream = self._open_stream(0)
    self._stream.position = self._start * config.num_micro_batches

  def _open_stream(self, clone):
    """Returns the batches of a clone, and tells how long one is waited for."""
    begin = runtime.timestamp()
    with tf.control_dependencies([begin]):
      stream = training_stream(
        self._config,
        self._source,
        self._global_step * self._config.num_micro_batches,
        self._replicas.numbers[clone],
        self._replicas.count,
      )
    with tf.control_dependencies(list(stream.batch)):
      stream.waiting = runtime.timestamp() - begin
    return stream

  def build_model(self) -> None:
    """Builds the network on the batch's images, for each clone."""
    self._without_draws: dict[tf.Tensor, float] = {}
    members = self._replicas.members()
    self._towers = [self._build_tower(0, self._stream, members[0])]
    for i in range(1, self._replicas.clones):
      stream = self._open_stream(i)
      self._stream.add(stream)
      self._towers.append(self._build_tower(i, stream, members[i]))
    if not self._latest:
      self._opening.initialize()

  def _build_tower(self, clone, stream, member):
    """Returns the network of a clone."""
    config, classes = self._config, self._source.examples.classes
    half = precision.half(config.precision, not config.clone_on_cpu)
    draws, without = self._draws(stream, self._replicas.numbers[clone])
    self._without_draws.update(without)
    options = {
      'is_training': not config.freeze_batch_norm,
      # Of kernels that are read in half precision, the step sees to it.
      'weight_decay': 0.0 if half else optimizers.regularizer_weight(config),
      'batch_norm_decay': config.batch_norm_decay,
      'zero_init_last_gamma': config.zero_init_last_gamma,
      'draws': draws,
    }
    together = member if config.sync_batch_norm else None
    with (
      self._replicas.clone(clone),
      sync_batch_norm.over(together, self._replicas.count),
      frozen_batch_norm.deterministic(),
      precision.variables_read_as(half),
    ):
      images = precision.cast(stream.batch.images, half)
      logits, end_points = self._task.build(config, images, classes, **options)
      self._task.add_auxiliary(config, end_points, classes, **options)
    return step.Tower(
      stream.batch.images,
      tf.cast(logits, tf.float32),
      precision.in_float32(end_points),
      stream.batch.labels,
    )

  def _draws(self, stream, replica):
    """Returns what dropout draws by, None without, and what feeds it away."""
    config, count = self._config, self._replicas.count
    if not config.dropout_rate:
      return None, {}
    rate = tf.placeholder_with_default(config.dropout_rate, [])
    number = stream.number
    if count > 1:
      number = number * count + replica
    return resnet_utils.Draws(rate, config.seed, number), {rate: 0.0}

  def build_step(self, watch: step.Watch | None = None) -> None:
    """Builds loss, learning rate and optimizer, and what explains NaN."""
    config = self._config
    self._factor = tf.get_local_variable('plateau_factor', initializer=1.0)
    self._learning_rate = schedules.build(
      config, self._source.num_examples, self._global_step, self._factor
    )
    if config.learning_rate_scale != 1:
      self._learning_rate *= config.learning_rate_scale
    self._step = step.build(
      self._task,
      config,
      self._replicas,
      self._towers,
      self._stream.longest_wait(),
      self._learning_rate,
      self._global_step,
      watch,
    )
    self._recalibration = Recalibration.of(
      config,
      self._source,
      self._stream,
      self._step.shadows,
      self._without_draws,
    )
    if not self._latest:
      self._opening.initialize()
    self._diagnosis = Diagnosis(
      self._source,
      self._stream,
      config.num_micro_batches,
      [tower.end_points for tower in self._towers],
      config.train_dir,
    )

  def introduce(self) -> None:
    """Prints what is trained, on what, and where it is written."""
    config, examples = self._config, self._source.num_examples
    dataset = self._dataset
    steps, epochs = 'Endless', ''
    if config.max_number_of_steps:
      steps = f'{config.max_number_of_steps:,}'
      seen = config.max_number_of_steps * config.examples_per_step
      epochs = f' ({seen / examples:.3g} epochs)'
    console.say(
      f'Training {config.model_name} ({_parameters(config)}) on the '
      f'{examples:,} examples of {dataset.name}, split '
      f'{dataset.split_name}, in '
      f'{dataset.num_classes - config.labels_offset} classes.\n'
      f'{steps} steps of {config.examples_per_step} '
      f'{self._task.describe_training(config)}{epochs}, '
      f'{self._shares()}preprocessing {config.preprocessing_name}, optimizer '
      f'{config.optimizer}.\nWriting to {config.train_dir}.'
    )
    split = config.eval_split_name
    if self._every is not None and split.startswith('test'):
      console.note(
        f'the best checkpoint is chosen by the split {split}, so its metrics '
        'there are optimistic. If the data have a validation split, the best '
        f'is chosen by that, and {split} is evaluated once, at the end.'
      )

  def _shares(self):
    """Returns how the replicas share a step, '' where there is one."""
    config, replicas = self._config, self._replicas
    if replicas.count == 1:
      return ''
    processes, where = replicas.workers.count, ''
    if processes > 1:
      where = f' of {processes} workers'
    return (
      f'{config.examples_per_step // replicas.count} in each of '
      f'{replicas.count} replicas{where}, learning rate times '
      f'{config.learning_rate_scale:g} '
      f'(--scale_learning_rate={config.scale_learning_rate}), '
    )

  def prepare_start(self) -> None:
    """Says where training begins, and prepares to restore what is there."""
    config = self._config
    self.finished = self._is_last(self._start) and (
      not self._evaluations.over or best.is_finished(config.train_dir)
    )
    self._warm = _warm_start(config, self._latest, self._start, self.finished)
    self._saver = saver = tf.train.Saver(
      max_to_keep=config.keep_checkpoints, save_relative_paths=True
    )
    # Those of before stay listed, and are deleted in their turn.
    saver.recover_last_checkpoints(locate.listed(config.train_dir))
    if self._latest:
      self._opening.restore = functools.partial(
        saver.restore, save_path=self._latest
      )
    if self._warm:
      self._opening.replace = self._warm.restore

  def record(self) -> None:
    """Writes config.json and warm_start.json; not before all is restored."""
    config = self._config
    if not self._is_chief:
      return
    if self._warm:
      self._warm.write(config.train_dir)
    runs.write(
      config,
      config.train_dir,
      **data.facts(config, self._dataset, self._splits),
      **self._start_facts(),
      replicas=self._replicas.count,
    )

  def _start_facts(self):
    """Returns which published weights the run has begun with, if any."""
    if self._warm:
      found = dict(self._warm.origin)
    else:
      found = locate.begun(self._config.train_dir).get('start', {})
    return {'start': found} if found else {}

  def _is_last(self, number):
    """Whether a step is the last."""
    total = self._config.max_number_of_steps
    return total is not None and number >= total or self._evaluations.over

  def prepare_hooks(self) -> None:
    """Prepares what happens around the steps."""
    config = self._config
    several = self._replicas.workers.count > 1
    self._report = report = self._prepare_report()
    self._stop = (
      hooks.StopOnSignal(
        self._step.asked,
        self._step.stop,
        lambda: report is not None and report.unread,
      )
      if several
      else hooks.StopOnSignal()
    )
    save = hooks.Save(
      self._saver,
      locate.prefix(config.train_dir),
      config.save_interval_secs,
      self._step.step,
      self._is_last,
      self._recalibration.apply,
      self._diagnosis.explain,
      self._start,
    )
    self._validation = None
    if self._every is not None:
      state = TrainingState(
        self._step.step,
        save,
        report,
        self._recalibration,
        self._step.shadows,
        self._factor,
      )
      self._validation = Validation(
        config, self._every, self._evaluations, state
      )
    validation = [self._validation] if self._validation else []
    profile = _profile(config, self._start) if self._is_chief else []
    reports = [report] if report else []
    # In this order they look at a step; a checkpoint is saved before it is
    # evaluated, and saved again at the end.
    self._hooks = [
      hooks.Restored(self.record),
      *reports,
      *validation,
      save,
      *self._summaries(),
      *profile,
      self._stop,
    ]
    self._closed = [self._stop, *reports, *validation, *profile]

  def _prepare_report(self):
    """Returns the report of the steps, None where the chief makes it."""
    config = self._config
    if not self._is_chief:
      return None
    return hooks.Report(
      {
        **self._step.metrics,
        'step': self._step.step,
        'learning_rate': self._learning_rate,
      },
      config.train_dir,
      self._start,
      config.max_number_of_steps,
      config.log_every_n_steps,
      config.examples_per_step,
      _advice(config, self._task) if not self._start else '',
    )

  def _summaries(self):
    """Returns the hook with images and histograms, for TensorBoard."""
    if not self._is_chief:
      return []
    return [
      tensorboard.Summaries(
        functools.partial(self._task.summarize, self._config),
        self._stream.batch,
        self._towers[0].logits,
        self._step.step,
        self._config.train_dir,
        self._config.save_summaries_secs,
      )
    ]

  def loop(self) -> None:
    """Takes the steps, until the last one or a signal.

    Raises:
      SystemExit: after a signal.
      BrokenPipeError: nobody reads what is printed; all is saved.
    """
    config, opening = self._config, self._opening
    try:
      with (
        tf.train.MonitoredSession(opening, self._hooks) as session,
        self._diagnosis.explaining(session),
      ):
        while not session.should_stop() and not self._evaluations.over:
          self._step.take(session, self._stream, config.num_micro_batches)
    finally:
      for each in self._closed:
        each.close()
    self._replicas.workers.wait()  # for what the chief has saved
    if self._report and self._report.unread:
      raise BrokenPipeError
    if self._stop.received:
      if self._is_chief:
        curves.draw(config.train_dir)
      console.say(
        'Stopped and saved; python train_image_classifier.py --resume='
        f'{shlex.quote(config.train_dir)} resumes from here.'
      )
      raise SystemExit(128 + self._stop.received)

  def conclude(self) -> dict[str, Any] | None:
    """Evaluates the finished run, and draws its curves."""
    metrics = _evaluate(self._config)
    if self._is_chief:
      if metrics and self._validation:
        self._validation.conclude(metrics)
      path = curves.draw(self._config.train_dir, metrics)
      if path:
        console.say(f'The curves are in {path}.')
    self._replicas.workers.wait()
    if metrics:
      _test(self._config, self._validation is not None)
    return metrics


def _parameters(config):
  """Returns how many parameters the network has, and how many are trained."""

  def count(variables):
    return f'{sum(v.shape.num_elements() for v in variables):,}'

  variables = tf.trainable_variables()
  found = f'{count(variables)} parameters'
  if config.trainable_scopes:
    trained = matching(variables, config.trainable_scopes, 'trainable_scopes')
    found += f', {count(trained)} of them trained'
  return found


def _warm_start(config, latest, start, finished):
  """Says where training begins; returns the start from other weights."""
  if latest:
    console.say(
      f'{latest} has been trained to the end.'
      if finished
      else f'Resuming from {latest}, step {start}.'
    )
    return None
  if not config.checkpoint_path:
    if config.freeze_batch_norm:
      console.note(
        '--freeze_batch_norm without --checkpoint_path normalizes '
        'by a mean of 0 and a variance of 1.'
      )
    return None
  warm = warm_start.prepare(config)
  for line in warm.lines:
    console.say(line)
  return warm


def _advice(config, task):
  """Returns what makes a training shorter on a CPU, '' where there is a GPU."""
  if tf.config.list_physical_devices('GPU') or config.checkpoint_path:
    return ''
  smaller = f'{config.model_name.rpartition("_")[0]}_18'
  is_known = smaller in nets_factory.NETWORKS and smaller != config.model_name
  network = f'={smaller}' if is_known else ''
  size = task.own_flags.get('train_image_size', 'train_image_size')
  return (
    'on a CPU, these make it shorter: a smaller network, by --model_name'
    f'{network}; smaller images, by --{size}; and fine-tuning, by '
    '--checkpoint_path, which takes fewer steps.'
  )


def _profile(config, start):
  """Returns the hook that profiles, [] if none is asked for."""
  if config.profile_steps is None:
    return []
  first, last = config.profile_steps
  return [hooks.Profile(config.train_dir, first, last, start)]


def _evaluate_every(config, num_examples):
  """Returns the steps between two evaluations, None for none."""
  if config.evaluate_every is None:
    return None
  missing = data.missing(config, config.eval_split_name)
  if missing:
    raise ValueError(f'--evaluate_every needs data to evaluate on: {missing}')
  return config.evaluate_every.steps(num_examples / config.examples_per_step)


def _evaluate(config):
  """Returns the metrics of the finished run, None if there are no data."""
  missing = data.missing(config, config.eval_split_name)
  if not missing:
    return evaluate(eval_config(config))
  console.note(f'no evaluation: {missing}')
  return None


def _test_dir(config, split):
  """Returns the folder of the results on the test split."""
  return os.path.join(config.train_dir, f'eval-{split}')


def _check_outputs(config):
  """Makes sure, before the first step, that the results can be written."""
  files.check_folder(config.train_dir, 'train_dir')
  files.check_folder(os.path.join(config.train_dir, 'eval'), 'train_dir')
  split = untouched_split(config)
  if split:
    files.check_folder(_test_dir(config, split), 'train_dir')


def _test(config, by_best):
  """Evaluates once on the test split, by which nothing was chosen."""
  split = untouched_split(config)
  if split is None:
    return
  console.say(f'The split {split}, by which nothing was chosen:')
  try:
    given = eval_config(config).replace(
      dataset_dir=config.dataset_dir,  # that of the best may have moved since
      dataset_split_name=split,
      eval_dir=_test_dir(config, split),
    )
    if by_best:
      given = given.replace(checkpoint_path=(best.find(config.train_dir),))
    evaluate(given)
  except ValueError as error:  # masks of a test split are often kept secret
    console.note(f'no evaluation on the split {split}: {error}')
