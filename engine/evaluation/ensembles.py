"""An ensemble: the mean of what several networks say."""

import contextlib
from collections.abc import Sequence
from typing import Any

from engine.checkpoints import contents
from engine.common import console, files
from engine.config.scripts import EvalConfig
from engine.evaluation import choice, report
from engine.evaluation.statistics import Weights
from engine.resolve import class_names, data, places
from engine.resolve.evaluation import Evaluation, evaluation
from engine.tasks.base import EvaluatedSplit


def _classes(member):
  """Returns the number of classes, and their names as far as they are known."""
  number = (
    contents.num_classes(contents.read(member.checkpoint).values())
    or member.dataset.num_classes - member.config.labels_offset
  )
  return number, member.run.get('class_names')


def _data(member):
  return f'{member.dataset.name}, split {member.dataset.split_name}'


def check(members: Sequence[Evaluation]) -> None:
  """Makes sure that what the members say can be averaged.

  Raises:
    ValueError: two have other classes, or are evaluated on other data.
  """
  first = members[0]
  number, names = _classes(first)
  for other in members[1:]:
    other_number, other_names = _classes(other)
    pair = f'{first.checkpoint} and {other.checkpoint}'
    if number != other_number:
      raise ValueError(
        f'{pair} have {number} and {other_number} classes: an ensemble '
        'needs the same ones. Leave one out of --checkpoint_path.'
      )
    for i, (one, two) in enumerate(
      zip(names or [], other_names or [], strict=False)
    ):
      if one != two:
        raise ValueError(
          f'{pair} name class {i} {one!r} and {two!r}: an ensemble needs '
          'the same classes. Leave one out of --checkpoint_path.'
        )
    if not data.are_same(first.dataset, other.dataset):
      raise ValueError(
        f'{pair} would be evaluated on different data ({_data(first)}; '
        f'{_data(other)}): name the same for all with --dataset_name, '
        '--dataset_dir and --dataset_split_name.'
      )


@contextlib.contextmanager
def _open(member, names):
  """Yields the split of a member, with weights set, and facts about it."""
  config, checkpoint = member.config, member.checkpoint
  step = choice.step_of(checkpoint)
  with member.task.open_split(config, member.dataset, len(names)) as network:
    with Weights(member) as weights:
      batches = weights.restore(
        network, checkpoint, step, config.moving_average_decay
      )
    yield (
      EvaluatedSplit(config, member.dataset, names, network),
      {
        'checkpoint': checkpoint,
        'step': step,
        'model': config.model_name,
        'recalibrated_batches': batches,
      },
    )


def evaluate(given: EvalConfig) -> dict[str, Any]:
  """Evaluates several checkpoints side by side, and their mean.

  Writes to `eval_dir`, by default eval-ensemble beside the first checkpoint.

  Args:
    given: what to do; the flags go for all, the rest comes from the run of
      each.

  Returns:
    The metrics of the ensemble; under members those of each.

  Raises:
    ValueError: see `check`; or --checkpoints goes through a run.
  """
  if given.checkpoints not in choice.ONE:
    raise ValueError(
      f'--checkpoints={given.checkpoints} goes through the folder of one '
      f'run, and --checkpoint_path={given.text("checkpoint_path")} names '
      f'{len(given.checkpoint_path)}: leave one of the flags out.'
    )
  choose = choice.ONE[given.checkpoints]
  members = [
    evaluation(given, choose(given, path)) for path in given.checkpoint_path
  ]
  first, task = members[0], members[0].task
  combine = task.combiner(first.checkpoint)
  check(members)
  eval_dir = given.eval_dir or places.beside(first.checkpoint, 'eval-ensemble')
  files.check_folder(eval_dir, 'eval_dir')
  names = class_names.of_dataset(first.dataset, first.config.labels_offset)
  with contextlib.ExitStack() as stack:
    opened = [stack.enter_context(_open(each, names)) for each in members]
    found, mean = combine(
      [split.predictor for split, _ in opened],
      [each.checkpoint for each in members],
    )
  metrics = []
  for (split, facts), each in zip(opened, found, strict=True):
    metrics.append(report.metrics_of(task, split, each, **facts))
    console.say(
      f'{facts["checkpoint"]} ({facts["model"]}): {task.brief(metrics[-1])}'
    )
  split = opened[0][0]._replace(config=first.config.replace(eval_dir=eval_dir))
  together = report.metrics_of(
    task,
    split,
    mean,
    checkpoint=','.join(m.checkpoint for m in members),
    model=','.join(m.config.model_name for m in members),
  )
  together['members'] = metrics
  console.say(f'The ensemble of {len(members)}, on {_data(first)}:')
  report.say(task, split, together)
  report.write(split, together, report.draw(task, split, mean))
  return together
