"""What the experiments share: their flags, and how they tell of themselves.

Nothing here imports TensorFlow, so that a mistaken flag is answered at once.
"""

import dataclasses
import sys
from collections.abc import Sequence
from typing import Any

from engine.common import console
from engine.config import flags, parsing
from engine.config.fields import option
from engine.config.scripts import TrainConfig
from engine.config.tasks import CLASSIFICATION


def preset(name: str, value: Any) -> Any:
  """Returns a field of `TrainConfig` with another default."""
  return dataclasses.field(
    default=value, metadata=TrainConfig.__dataclass_fields__[name].metadata
  )


@dataclasses.dataclass(frozen=True)
class ExperimentConfig(TrainConfig):
  """An experiment: flags of its own, and those of every training in it.

  Attributes:
    experiment: its name, that of its module in this folder.
    target: 'module:function', what runs it.
    varies: the field that differs between the trainings; its value here is
      the list of theirs, with commas between.

  Raises:
    ValueError: a flag that does not fit; the sentence names it.
  """

  experiment, target, varies = '', '', 'model_name'

  output_dir: str | None = option(
    None,
    'Where the table, the image and the runs are written. Default: '
    'runs/experiments/NAME.',
    folder=True,
  )
  task: str | None = preset('task', CLASSIFICATION)
  train_image_size: int | None = preset('train_image_size', 16)
  batch_size: int | None = preset('batch_size', 32)
  learning_rate: float | None = preset('learning_rate', 0.01)
  learning_rate_decay_type: str | None = preset(
    'learning_rate_decay_type', 'cosine'
  )
  weight_decay: float = preset('weight_decay', 1e-4)

  def __post_init__(self):
    super().__post_init__()
    values = self.values()
    if not all(values) or len(set(values)) < len(values):
      raise ValueError(
        f'--{self.varies}={self.text(self.varies)} must be a list with a '
        'comma between two items, each of them once.'
      )
    for name in ('train_dir', 'resume', 'checkpoint_path'):
      if getattr(self, name) is not None:
        raise ValueError(
          f'--{name} is no flag of an experiment, which begins '
          'its runs anew in folders of --output_dir.'
        )

  @property
  def folder(self) -> str:
    """Where everything is written."""
    return self.output_dir or f'runs/experiments/{self.experiment}'

  def values(self) -> list[str]:
    """Returns what the varied field is, in one training after the other."""
    return [value.strip() for value in getattr(self, self.varies).split(',')]

  def training(self, value: str, train_dir: str, **changes) -> TrainConfig:
    """Returns the configuration of a training.

    Args:
      value: of the varied field.
      train_dir: where it is written.
      **changes: of other fields.
    """
    given = {
      field.name: getattr(self, field.name)
      for field in dataclasses.fields(TrainConfig)
    }
    return TrainConfig(
      **{**given, self.varies: value, 'train_dir': train_dir, **changes}
    )


@dataclasses.dataclass(frozen=True)
class ComparisonConfig(ExperimentConfig):
  """An experiment that trains every variant with several seeds.

  Writes curves.csv, with a row for every evaluation of every run, curves.png,
  and a folder with checkpoints and log.txt for every run. The same command goes
  on where it was stopped.
  """

  target = 'experiments.comparing:run'

  seeds: int = option(3, 'The number of seeds, from --seed on.', low=1)
  evaluate_every: parsing.Length | None = preset(
    'evaluate_every', parsing.interval('50')
  )
  max_number_of_steps: int | None = preset('max_number_of_steps', 400)
  # Of every step, so that no evaluation parts a mean; likewise no checkpoint.
  log_every_n_steps: int = preset('log_every_n_steps', 1)
  save_interval_secs: int = preset('save_interval_secs', 10**6)
  keep_checkpoints: int = preset('keep_checkpoints', 2)

  def claims(self, results: dict) -> list[str]:
    """Returns what the results say of the published claim, in sentences.

    Args:
      results: `comparing.Result` by the value of the varied field.
    """
    return []


def start(
  config_class: type[ExperimentConfig], argv: Sequence[str] | None = None
) -> int:
  """Runs an experiment as a script; see `engine.config.flags.run`.

  Args:
    config_class: what it is told.
    argv: the command line; the process's own if None.

  Returns:
    The exit status.
  """
  argv = sys.argv if argv is None else argv
  return flags.run(
    config_class,
    config_class.target,
    [f'-m experiments.{config_class.experiment}', *argv[1:]],
  )


def say_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
  """Prints columns below a header, the first to the left, others right."""
  widths = [
    max(len(row[i]) for row in [header, *rows]) for i in range(len(header))
  ]
  for row in [header, *rows]:
    first, *others = zip(row, widths, strict=True)
    console.say(
      '  '.join(
        [
          first[0].ljust(first[1]),
          *(text.rjust(width) for text, width in others),
        ]
      )
    )
