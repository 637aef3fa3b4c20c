"""Evaluation: every example once, and which class was taken for which."""

from typing import Any

from engine.checkpoints import locate
from engine.common import console, files, runtime
from engine.config.scripts import EvalConfig
from engine.evaluation import choice, ensembles, report
from engine.evaluation.evaluator import Evaluator
from engine.export import evaluating
from engine.resolve.evaluation import evaluation, with_path


def _evaluate_one(given, path):
  """Evaluates one checkpoint, and writes all of it."""
  found = evaluation(given, choice.ONE[given.checkpoints](given, path))
  with Evaluator(found) as evaluator:
    evaluator.introduce(found.checkpoint)
    metrics, predictions = evaluator.evaluate(found.checkpoint)
    evaluator.say(metrics)
    evaluator.finish(found.checkpoint, metrics, predictions)
    report.summarize(evaluator.split.config.eval_dir, metrics)
  return metrics


def _evaluate_all(given, path):
  """Evaluates each checkpoint of a folder; writes most of the last one."""
  found = choice.find_all(given, path)
  with Evaluator(evaluation(given, found[-1])) as evaluator:
    evaluator.introduce(f'{len(found)} checkpoints of {path}')
    rows = []
    for checkpoint in found:
      metrics, predictions = evaluator.evaluate(checkpoint)
      rows.append(metrics)
      evaluator.say_one_of_many(metrics)
      report.write_all(evaluator.split.config.eval_dir, rows)
      report.summarize(evaluator.split.config.eval_dir, metrics)
    console.say(f'{report.ALL_FILENAME} has the metrics of each. The last:')
    evaluator.say(metrics)
    evaluator.finish(checkpoint, metrics, predictions)
  return rows[-1]


def _evaluate_new(given, path):
  """Evaluates each checkpoint as it appears, and writes all of it."""
  evaluator, rows = None, []
  try:
    for checkpoint in choice.new(given, path):
      try:
        if evaluator is None:
          evaluator = Evaluator(evaluation(given, checkpoint))
          evaluator.introduce(path)
        metrics, predictions = evaluator.evaluate(checkpoint)
      except choice.GONE:
        if locate.exists(checkpoint):
          raise
        console.note(f'{checkpoint} was removed before it was evaluated.')
        continue
      rows.append(metrics)
      evaluator.say_one_of_many(metrics)
      report.write_all(evaluator.split.config.eval_dir, rows)
      report.summarize(evaluator.split.config.eval_dir, metrics)
      report.write(
        evaluator.split,
        metrics,
        report.draw(evaluator.task, evaluator.split, predictions),
      )
  finally:
    if evaluator is not None:
      evaluator.close()
  return rows[-1] if rows else {}


_SEVERAL = {'all': _evaluate_all, 'new': _evaluate_new}


@runtime.graph_building()
def evaluate(given: EvalConfig) -> dict[str, Any]:
  """Evaluates checkpoints, or an exported model, on every example of a split.

  Writes eval.json, per_class.csv and confusion_matrix.png to
  `config.eval_dir`, of classification predictions.csv and worst_mistakes.png,
  of segmentation per_image.csv and overlays.png; of several checkpoints of a
  run also all_checkpoints.csv. For an exported model see
  `engine.export.evaluating.evaluate`.

  Args:
    given: what to do; fields that are None are completed from the run.

  Returns:
    The metrics, of the last checkpoint if there are several, {} if there is
    none: checkpoint, step, model, dataset, split, image_size (of masks
    eval_crop_size and output_stride), those of the task's predictions,
    left_out, over how many batches batch norm was measured, under
    batch_statistics those of the comparison and under raw_weights those
    without moving averages. Of an ensemble there is no
    step, and under members the metrics of each.

  Raises:
    ValueError: the configuration, the data or the checkpoint does not fit;
      the sentence says what to do.
  """
  if given.eval_dir:
    files.check_folder(given.eval_dir, 'eval_dir')
  if given.exported:
    return evaluating.evaluate(given)
  given = with_path(given)
  if len(given.checkpoint_path) > 1:
    return ensembles.evaluate(given)
  evaluate_path = _SEVERAL.get(given.checkpoints, _evaluate_one)
  return evaluate_path(given, given.checkpoint_path[0])
