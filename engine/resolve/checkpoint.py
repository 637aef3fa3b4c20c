"""What evaluation and the classification of files take from a checkpoint."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from engine.checkpoints import architecture, contents, locate
from engine.config import runs
from engine.config.fields import fill
from engine.config.parts.model import ModelConfig
from engine.config.scripts import Inference
from engine.model import build

# What the scripts take over from the run, by the same name.
_SHARED = (
  'model_name',
  'use_grayscale',
  'preprocessing_name',
  *(
    field.name
    for field in dataclasses.fields(ModelConfig)
    if field.metadata['changes'] == 'never'
  ),
)
# No flag may contradict these; how images are prepared may be tried otherwise
# for weights that others have trained.
_FIXED = (*_SHARED, 'labels_offset')
_FIXED_OF_OTHERS = tuple(set(_SHARED) - {'preprocessing_name'})


def open_run(
  given: Inference,
  path: str,
  names: Callable[[Mapping[str, Any]], Mapping[str, str]],
) -> tuple[Inference, str, dict[str, Any]]:
  """Returns a configuration filled from its run, the checkpoint, the run.

  Args:
    given: what the flags say.
    path: a checkpoint or a folder.
    names: names(run) returns field -> its name in the run, for what is taken
      over besides the network.

  Raises:
    ValueError: there is none; or a flag contradicts the run.
  """
  check_path(path)
  checkpoint = locate.find(path)
  run = locate.run_of(checkpoint)
  shared = {name: name for name in _SHARED}
  complete = runs.complete(
    given,
    runs.with_later_fields(run),
    {**shared, **names(run)},
    fixed=_FIXED_OF_OTHERS if runs.is_converted(run) else _FIXED,
  )
  if complete.model_name is None:
    raise ValueError(
      f'{checkpoint} has no {runs.CONFIG_FILENAME} beside it, so the '
      'network is unknown: pass --model_name.'
    )
  if not run:
    complete = _with_options(complete, checkpoint)
  return build.complete(complete), checkpoint, run


def check_path(path: str | None) -> None:
  """Raises ValueError if there is no --checkpoint_path."""
  if not path:
    raise ValueError(
      '--checkpoint_path is missing: the folder of a run, or a checkpoint.'
    )


def _with_options(given, checkpoint):
  """Returns the configuration with what the checkpoint itself tells."""
  found = architecture.network(contents.read(checkpoint).values())
  if not found or given.model_name not in found.names:
    return given
  return fill(given, None, found.options(given.model_name))
