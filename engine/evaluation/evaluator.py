"""A network that is opened once, and evaluated with several weights."""

from typing import Any

from engine.common import console, files
from engine.config import tasks
from engine.evaluation import choice, report
from engine.evaluation.statistics import Weights
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
    self.task, self._weights = evaluation.task, Weights(evaluation)
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

  def evaluate(self, checkpoint: str) -> tuple[dict[str, Any], Found]:
    """Returns the metrics of a checkpoint, and the predictions."""
    config = self.split.config
    step = choice.step_of(checkpoint)  # before it may be removed
    batches = self._weights.restore(
      self._predictor, checkpoint, step, config.moving_average_decay
    )
    found = self._predictor.predict()
    metrics = report.metrics_of(
      self.task,
      self.split,
      found,
      checkpoint=checkpoint,
      step=step,
      model=config.model_name,
      views=self._predictor.views,
      moving_averages=bool(config.moving_average_decay),
      recalibrated_batches=batches,
    )
    return {**metrics, **self._compare()}, found

  def _statistics(self):
    """Returns metrics by batch norm's moving and batch statistics, or ()."""
    wanted = self.split.config.compare_batch_statistics
    compared = self._predictor.compare(wanted) if wanted else None
    return [each.metrics() for each in compared or ()]

  def _compare(self):
    """Returns under batch_statistics how the two of batch norm compare."""
    statistics, metric = self._statistics(), self._metric
    if not statistics:
      return {}
    by_moving, by_batch = statistics
    return {
      'batch_statistics': {
        'examples': by_batch['examples'],
        **{key: by_batch[key] for key in (metric, 'loss') if key in by_batch},
        f'{metric}_with_moving_statistics': by_moving[metric],
      }
    }

  def _gap(self, metrics):
    """Returns what the moving statistics cost, as far as it is known."""
    both, name = metrics.get('batch_statistics'), self._metric
    return both[name] - both[f'{name}_with_moving_statistics'] if both else 0.0

  def say_one_of_many(self, metrics: dict[str, Any]) -> None:
    """Prints a line for the checkpoint last evaluated.

    Where batch norm's moving statistics have not caught up with the weights,
    it has what either of the two statistics gives.
    """
    line, batches = self.task.brief(metrics), metrics['recalibrated_batches']
    if self._gap(metrics) > NOTABLE_GAP:
      metric, (main, _, others) = self._metric, line.partition(', ')
      by_batch = report.shown(metric, metrics['batch_statistics'][metric])
      line = (
        f"{main} with batch norm's moving statistics, {by_batch} with those "
        f'of each batch, {others}'
      )
    if batches:
      line += f' (batch norm measured over {batches} batches)'
    console.say(f'step {metrics["step"]}: {line}')

  def say(self, metrics: dict[str, Any]) -> None:
    """Prints the metrics; first of all if they mislead."""
    misleads = self._gap(metrics) > NOTABLE_GAP
    if misleads:
      self._say_statistics(metrics)
      console.note(
        "batch norm's moving statistics cost "
        f'{report.shown(self._metric, self._gap(metrics))} of '
        f'{tasks.display_name(self._metric)}: they have not caught up with '
        'the weights. Train with --recalibrate_batch_norm_batches=100, or a '
        'lower --batch_norm_decay such as 0.9.'
      )
    for line in self.task.lines(metrics, len(self.split.names)):
      console.say(line)
    if not misleads:
      self._say_statistics(metrics)

  def _say_statistics(self, metrics):
    both, metric = metrics.get('batch_statistics'), self._metric
    if both:
      by_moving = both[f'{metric}_with_moving_statistics']
      console.say(
        f'batch norm{self._predictor.compared_on}: '
        f'{tasks.display_name(metric)} {report.shown(metric, by_moving)} '
        'with its moving statistics, '
        f'{report.shown(metric, both[metric])} with those of each batch '
        f'({both["examples"]:,} examples)'
      )

  def finish(
    self, checkpoint: str, metrics: dict[str, Any], found: Found
  ) -> None:
    """Adds what the weights are like without averages; writes all files."""
    written = report.draw(self.task, self.split, found)
    if self.split.config.moving_average_decay:
      self._weights.restore(self._predictor, checkpoint, metrics['step'], None)
      raw = self._predictor.predict(title='without averages').metrics()
      console.say(
        'the weights themselves, without moving averages: '
        f'{self.task.brief(raw)}'
      )
      metrics['raw_weights'] = {
        name: raw[name] for name in (self._metric, 'loss')
      }
    report.write(self.split, metrics, written)

  def close(self) -> None:
    """Frees the network."""
    self._predictor.close()
    self._weights.close()

  def __enter__(self) -> 'Evaluator':
    return self

  def __exit__(self, *exception: object) -> None:
    self.close()
