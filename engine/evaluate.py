"""Evaluation: every example once, and which class was taken for which."""

from collections.abc import Iterable

import tensorflow.compat.v1 as tf

from engine import (
  candidates,
  console,
  ensemble,
  opening,
  resolve,
  results,
  selection,
)
from engine import config as configs
from engine.segmentation import SEGMENTATION
from engine.subject import Subject

# A gap between the two statistics that is worth a word, in accuracy or mIOU.
NOTABLE_GAP = 0.02


class _Run:
  """A network that is opened once for all checkpoints of a run."""

  def __init__(self, evaluation: resolve.Evaluation):
    self.config, dataset = evaluation.config, evaluation.dataset
    self._trained = evaluation.run
    names = resolve.class_names(dataset, self.config.labels_offset)
    self._predictor = opening.open_split(self.config, dataset, len(names))
    self.subject = Subject(
      self.config,
      dataset,
      self._predictor.source.examples,
      names,
      getattr(self._predictor, 'mask', None),
    )
    self._metric = selection.main_metric(self.config.task)

  def introduce(self, what):
    """Prints what is evaluated, and how."""
    config, dataset = self.config, self.subject.dataset
    views, weights = '', ''
    if self._predictor.views > 1:
      views = f', averaging {self._predictor.views} views of each'
    if config.moving_average_decay:
      weights = ', with the moving averages of its weights'
    console.say(
      f'Evaluating {what} on the {self._predictor.source.num_examples:,} '
      f'examples of {dataset.name}, split {dataset.split_name}, '
      f'{_at(config)}{views}{weights}.'
    )

  def introduce_many(self, what):
    """The same, of checkpoints from within a training."""
    self.introduce(what)
    if self._trained.get('recalibrate_batch_norm_batches', 0) != 0:
      console.note(
        "batch norm's moving averages are replaced at the end of the "
        'training, and lag behind the weights in checkpoints before it. '
        'Training with --evaluate_every measures them at every evaluation, '
        'and evaluations.csv has what is found.'
      )

  def evaluate(self, checkpoint):
    """Returns the figures of a checkpoint, and the predictions."""
    step = candidates.step_of(checkpoint)  # before it may be removed
    self._predictor.restore(checkpoint, self.config.moving_average_decay)
    found = self._predictor.predict()
    return results.figures_of(
      self.subject,
      found,
      checkpoint=checkpoint,
      step=step,
      model=self.config.model_name,
      views=self._predictor.views,
      moving_averages=bool(self.config.moving_average_decay),
    ), found

  def _statistics(self):
    """Returns metrics by batch norm's moving and batch statistics, or ()."""
    wanted = self.config.compare_batch_statistics
    compared = self._predictor.compare(wanted) if wanted else None
    return [each.metrics() for each in compared or ()]

  def _brief(self, figures):
    return results.brief(self.config.task, figures)

  def say_one_of_many(self, figures):
    """Prints a line for the checkpoint last evaluated."""
    line, found = f'step {figures["step"]}: {self._brief(figures)}', ''
    statistics = self._statistics()
    if statistics:
      by_moving, by_batch = [each[self._metric] for each in statistics]
      if by_batch - by_moving > NOTABLE_GAP:
        found = (
          f' ({results.short(self._metric)} '
          f'{results.shown(self._metric, by_batch)} with the statistics '
          "of each batch instead of batch norm's moving ones)"
        )
    console.say(line + found)

  def look_closer(self, checkpoint):
    """Returns more figures, of what the weights last evaluated are like."""
    figures, statistics = {}, self._statistics()
    if statistics:
      figures['batch_statistics'] = _compare(
        self._metric, self._predictor.compared_on, *statistics
      )
    if self.config.moving_average_decay:
      self._predictor.restore(checkpoint)
      found = self._predictor.predict(title='without averages')
      raw = found.metrics()
      console.say(
        f'the weights themselves, without moving averages: {self._brief(raw)}'
      )
      figures['raw_weights'] = {
        name: raw[name] for name in (self._metric, 'loss')
      }
    return figures

  def finish(self, checkpoint, figures, found):
    """Adds what a closer look shows to the figures, and writes all files."""
    written = results.draw(self.subject, found)
    figures.update(self.look_closer(checkpoint))
    results.write(self.subject, figures, written)

  def close(self):
    self._predictor.close()


def _at(config):
  """Returns at what size images are evaluated."""
  if config.task != SEGMENTATION:
    return f'at {config.eval_image_size}x{config.eval_image_size}'
  seen = (
    'each at its own size'
    if not config.eval_crop_size
    else f'through windows of {config.eval_crop_size}'
  )
  return f'{seen}, output stride {config.output_stride}'


def _compare(metric, where, by_moving, by_batch):
  """Prints, and returns, how the two statistics of batch norm compare."""
  gap = by_batch[metric] - by_moving[metric]
  name = results.short(metric)
  console.say(
    f'batch norm{where}: {name} {results.shown(metric, by_moving[metric])} '
    f'with its moving statistics, '
    f'{results.shown(metric, by_batch[metric])} with those of each batch '
    f'({by_batch["examples"]:,} examples)'
  )
  if gap > NOTABLE_GAP:
    console.note(
      f"batch norm's moving statistics cost {results.shown(metric, gap)} of "
      f'{name}: they have not caught up with the weights. Train with '
      '--recalibrate_batch_norm_batches=100, or a lower '
      '--batch_norm_decay such as 0.9.'
    )
  return {
    'examples': by_batch['examples'],
    **{key: by_batch[key] for key in (metric, 'loss') if key in by_batch},
    f'{metric}_with_moving_statistics': by_moving[metric],
  }


# --checkpoints: the one checkpoint that it means in a folder.
_ONE = {
  'newest': lambda given: given.checkpoint_path,
  'best': candidates.find_best,
}


def _evaluate_one(given: configs.EvalConfig) -> dict:
  evaluation = resolve.evaluation(
    given.replace(checkpoint_path=_ONE[given.checkpoints](given))
  )
  checkpoint, run = evaluation.checkpoint, _Run(evaluation)
  try:
    run.introduce(checkpoint)
    figures, found = run.evaluate(checkpoint)
    results.say(run.subject, figures)
    run.finish(checkpoint, figures, found)
  finally:
    run.close()
  return figures


def _evaluate_all(given: configs.EvalConfig) -> dict:
  """Evaluates each checkpoint of a folder; writes most of the last one."""
  found = candidates.find_all(given)
  run = _Run(resolve.evaluation(given.replace(checkpoint_path=found[-1])))
  rows = []
  try:
    run.introduce_many(f'{len(found)} checkpoints of {given.checkpoint_path}')
    for checkpoint in found:
      figures, predictions = run.evaluate(checkpoint)
      rows.append(figures)
      run.say_one_of_many(figures)
      results.write_all(run.config.eval_dir, rows)
    console.say(f'{results.ALL_FILENAME} has the figures of each. The last:')
    results.say(run.subject, figures)
    run.finish(checkpoint, figures, predictions)
  finally:
    run.close()
  return rows[-1]


def _evaluate_new(given: configs.EvalConfig) -> dict:
  """Evaluates each checkpoint as it appears, and writes all of it."""
  run, rows = None, []
  try:
    for checkpoint in candidates.new(given):
      try:
        if run is None:
          run = _Run(
            resolve.evaluation(given.replace(checkpoint_path=checkpoint))
          )
          run.introduce_many(given.checkpoint_path)
        figures, predictions = run.evaluate(checkpoint)
      except candidates.GONE:
        if tf.train.checkpoint_exists(checkpoint):
          raise
        console.note(f'{checkpoint} was removed before it was evaluated.')
        continue
      rows.append(figures)
      run.say_one_of_many(figures)
      results.write_all(run.config.eval_dir, rows)
      results.write(
        run.subject, figures, results.draw(run.subject, predictions)
      )
  finally:
    if run is not None:
      run.close()
  return rows[-1] if rows else {}


_SEVERAL = {'all': _evaluate_all, 'new': _evaluate_new}


def _evaluate_ensemble(given: configs.EvalConfig, paths: Iterable[str]) -> dict:
  if given.checkpoints not in _ONE:
    raise ValueError(
      f'--checkpoints={given.checkpoints} goes through the folder of one '
      f'run, and --checkpoint_path={given.checkpoint_path} names '
      f'{len(paths)}: leave one of the flags out.'
    )
  return ensemble.evaluate(given, paths, _ONE[given.checkpoints])


def evaluate(given: configs.EvalConfig) -> dict:
  """Evaluates checkpoints on every example of a split, once.

  Writes eval.json, per_class.csv and confusion_matrix.png to
  `config.eval_dir`, of classification predictions.csv and worst_mistakes.png,
  of segmentation per_image.csv and overlays.png; of several checkpoints of a
  run also all_checkpoints.csv.

  Args:
    given: what to do; fields that are None are completed from the run.

  Returns:
    The figures, of the last checkpoint if there are several, {} if there is
    none: checkpoint, step, model, dataset, split, image_size (of masks
    eval_crop_size and output_stride), those of
    `Predictions.metrics` or `Segmented.metrics`, left_out, under
    batch_statistics those of the
    comparison and under raw_weights those without moving averages. Of an
    ensemble there is no step, and under members the figures of each.

  Raises:
    ValueError: the configuration, the data or the checkpoint does not fit;
      the sentence says what to do.
  """
  tf.disable_tensor_equality()  # else graphs take twice as long to build
  given = resolve.with_path(given)
  paths = candidates.members(given.checkpoint_path)
  if len(paths) > 1:
    return _evaluate_ensemble(given, paths)
  return _SEVERAL.get(given.checkpoints, _evaluate_one)(given)
