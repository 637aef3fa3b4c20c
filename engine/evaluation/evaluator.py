"""A network that is opened once, and evaluated with several weights."""

from typing import Any

from engine.common import console, files
from engine.config import tasks
from engine.evaluation import choice, report
from engine.resolve import class_names
from engine.resolve.evaluation import Evaluation
from engine.tasks.base import EvaluatedSplit, Found

# A gap between the two statistics that is worth a word, in accuracy or mIOU.
NOTABLE_GAP = 0.02


class Evaluator:
  """A network and a split, for all checkpoints of a run.

  Attributes:
    task: what the labels are of.
    split: what is evaluated.
  """

  def __init__(self, evaluation: Evaluation):
    """Builds the network and opens the split."""
    config, dataset = evaluation.config, evaluation.dataset
    files.check_folder(config.eval_dir, 'eval_dir')
    self.task, self._run = evaluation.task, evaluation.run
    names = class_names.of_dataset(dataset, config.labels_offset)
    self._predictor = self.task.open_split(config, dataset, len(names))
    self.split = EvaluatedSplit(config, dataset, names, self._predictor)
    self._metric = tasks.TASKS[self.task.name].main_metric

  def introduce(self, what: str) -> None:
    """Prints what is evaluated, and how."""
    config, dataset = self.split.config, self.split.dataset
    views, weights = '', ''
    if self._predictor.views > 1:
      views = f', averaging {self._predictor.views} views of each'
    if config.moving_average_decay:
      weights = ', with the moving averages of its weights'
    console.say(
      f'Evaluating {what} on the {self._predictor.source.num_examples:,} '
      f'examples of {dataset.name}, split {dataset.split_name}, '
      f'{self.task.describe_evaluation(config)}{views}{weights}.'
    )

  def introduce_many(self, what: str) -> None:
    """The same, of checkpoints from within a training."""
    self.introduce(what)
    if self._run.get('recalibrate_batch_norm_batches', 0) != 0:
      console.note(
        "batch norm's moving averages are replaced at the end of the "
        'training, and lag behind the weights in checkpoints before it. '
        'Training with --evaluate_every measures them at every evaluation, '
        'and evaluations.csv has what is found.'
      )

  def evaluate(self, checkpoint: str) -> tuple[dict[str, Any], Found]:
    """Returns the metrics of a checkpoint, and the predictions."""
    config = self.split.config
    step = choice.step_of(checkpoint)  # before it may be removed
    self._predictor.restore(checkpoint, config.moving_average_decay)
    found = self._predictor.predict()
    return report.metrics_of(
      self.task,
      self.split,
      found,
      checkpoint=checkpoint,
      step=step,
      model=config.model_name,
      views=self._predictor.views,
      moving_averages=bool(config.moving_average_decay),
    ), found

  def _statistics(self):
    """Returns metrics by batch norm's moving and batch statistics, or ()."""
    wanted = self.split.config.compare_batch_statistics
    compared = self._predictor.compare(wanted) if wanted else None
    return [each.metrics() for each in compared or ()]

  def say_one_of_many(self, metrics: dict[str, Any]) -> None:
    """Prints a line for the checkpoint last evaluated."""
    line, found = f'step {metrics["step"]}: {self.task.brief(metrics)}', ''
    statistics = self._statistics()
    if statistics:
      by_moving, by_batch = [each[self._metric] for each in statistics]
      if by_batch - by_moving > NOTABLE_GAP:
        found = (
          f' ({tasks.display_name(self._metric)} '
          f'{report.shown(self._metric, by_batch)} with the statistics '
          "of each batch instead of batch norm's moving ones)"
        )
    console.say(line + found)

  def look_closer(self, checkpoint: str) -> dict[str, Any]:
    """Returns more metrics, of what the weights last evaluated are like."""
    metrics, statistics = {}, self._statistics()
    if statistics:
      metrics['batch_statistics'] = self._compare(*statistics)
    if self.split.config.moving_average_decay:
      self._predictor.restore(checkpoint)
      raw = self._predictor.predict(title='without averages').metrics()
      console.say(
        'the weights themselves, without moving averages: '
        f'{self.task.brief(raw)}'
      )
      metrics['raw_weights'] = {
        name: raw[name] for name in (self._metric, 'loss')
      }
    return metrics

  def _compare(self, by_moving, by_batch):
    """Prints, and returns, how the two statistics of batch norm compare."""
    metric, name = self._metric, tasks.display_name(self._metric)
    gap = by_batch[metric] - by_moving[metric]
    console.say(
      f'batch norm{self._predictor.compared_on}: {name} '
      f'{report.shown(metric, by_moving[metric])} '
      f'with its moving statistics, '
      f'{report.shown(metric, by_batch[metric])} with those of each batch '
      f'({by_batch["examples"]:,} examples)'
    )
    if gap > NOTABLE_GAP:
      console.note(
        "batch norm's moving statistics cost "
        f'{report.shown(metric, gap)} of '
        f'{name}: they have not caught up with the weights. Train with '
        '--recalibrate_batch_norm_batches=100, or a lower '
        '--batch_norm_decay such as 0.9.'
      )
    return {
      'examples': by_batch['examples'],
      **{key: by_batch[key] for key in (metric, 'loss') if key in by_batch},
      f'{metric}_with_moving_statistics': by_moving[metric],
    }

  def finish(
    self, checkpoint: str, metrics: dict[str, Any], found: Found
  ) -> None:
    """Adds what a closer look shows to the metrics, and writes all files."""
    written = report.draw(self.task, self.split, found)
    metrics.update(self.look_closer(checkpoint))
    report.write(self.split, metrics, written)

  def close(self) -> None:
    """Frees the network."""
    self._predictor.close()

  def __enter__(self) -> 'Evaluator':
    return self

  def __exit__(self, *exception: object) -> None:
    self.close()
