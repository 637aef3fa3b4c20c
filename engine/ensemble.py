"""An ensemble: the mean of what several networks say."""

import functools
import os
from collections.abc import Callable, Sequence

import numpy as np

from engine import (
  candidates,
  checkpoints,
  console,
  predictor,
  resolve,
  results,
  views,
)
from engine.config import EvalConfig
from engine.segmentation import SEGMENTATION
from engine.subject import Subject


def _classes(member):
  """Returns the number of classes, and their names as far as they are known."""
  number = (
    checkpoints.num_classes(member.checkpoint)
    or member.dataset.num_classes - member.config.labels_offset
  )
  return number, member.run.get('class_names')


def _data(member):
  return f'{member.dataset.name}, split {member.dataset.split_name}'


def check(members: Sequence[resolve.Evaluation]) -> None:
  """Makes sure that what the members say can be averaged.

  Raises:
    ValueError: two have other classes, or are evaluated on other data.
  """
  first = members[0]
  if first.config.task == SEGMENTATION:
    raise ValueError(
      'An ensemble averages the probabilities of images, and '
      f'{first.checkpoint} is for masks: name one checkpoint, and average '
      'over --flip and --scales.'
    )
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
    if first.dataset.data_sources != other.dataset.data_sources:
      raise ValueError(
        f'{pair} would be evaluated on different data ({_data(first)}; '
        f'{_data(other)}): name the same for all with --dataset_name, '
        '--dataset_dir and --dataset_split_name.'
      )


def combine(found: Sequence[predictor.Predictions]) -> predictor.Predictions:
  """Returns the mean probabilities, of the records that all have."""
  common = functools.reduce(np.intersect1d, [each.records for each in found])

  def aligned(each):
    order = each.records.argsort()
    return order[np.searchsorted(each.records, common, sorter=order)]

  return predictor.Predictions(
    views.average([each.logits[aligned(each)] for each in found]),
    found[0].labels[aligned(found[0])],
    common,
  )


def evaluate(
  given: EvalConfig, paths: Sequence[str], choose: Callable[[EvalConfig], str]
) -> dict:
  """Evaluates several checkpoints one after the other, and their mean.

  Writes to `eval_dir`, by default eval-ensemble beside the first checkpoint.

  Args:
    given: what to do; the flags go for all, the rest comes from the run of
      each.
    paths: checkpoints and folders.
    choose: choose(given) returns the checkpoint that is meant by one of them.

  Returns:
    The figures of the ensemble; under members those of each.

  Raises:
    ValueError: see `check`.
  """
  members = []
  for path in paths:
    own = given.replace(checkpoint_path=path)
    members.append(resolve.evaluation(own.replace(checkpoint_path=choose(own))))
  check(members)
  first = members[0]
  names = resolve.class_names(first.dataset, first.config.labels_offset)
  config = first.config.replace(
    eval_dir=given.eval_dir
    or os.path.join(os.path.dirname(first.checkpoint), 'eval-ensemble')
  )
  found, each_figures, subject = [], [], None
  for member in members:
    opened = predictor.Predictor(member.config, member.dataset, len(names))
    try:
      opened.restore(member.checkpoint, member.config.moving_average_decay)
      found.append(opened.predict(title=member.checkpoint))
    finally:
      opened.close()
    subject = subject or Subject(
      config, first.dataset, opened.source.examples, names
    )
    each_figures.append(
      results.figures_of(
        subject._replace(config=member.config, examples=opened.source.examples),
        found[-1],
        checkpoint=member.checkpoint,
        step=candidates.step_of(member.checkpoint),
        model=member.config.model_name,
      )
    )
    console.say(
      f'{member.checkpoint} ({member.config.model_name}): '
      f'{results.brief(config.task, each_figures[-1])}'
    )
  mean = combine(found)
  figures = results.figures_of(
    subject,
    mean,
    checkpoint=','.join(m.checkpoint for m in members),
    model=','.join(m.config.model_name for m in members),
  )
  figures['members'] = each_figures
  console.say(f'The ensemble of {len(members)}, on {_data(first)}:')
  results.say(subject, figures)
  results.write(subject, figures, results.draw(subject, mean))
  return figures
