"""Completes the configuration of image files, or of an export."""

from typing import Any

from engine.checkpoints import contents, released
from engine.config.fields import fill
from engine.config.scripts import Files
from engine.resolve import places
from engine.resolve import task as tasks
from engine.resolve.checkpoint import open_run
from engine.tasks.base import Task
from nets import nets_factory


def files(
  given: Files, folder: str | None
) -> tuple[Task, Files, str, dict[str, Any]]:
  """Returns task, complete configuration, checkpoint and its run.

  Args:
    given: what the flags say.
    folder: the name of the default output_dir, beside the checkpoint; None
      for what has none.

  Raises:
    ValueError: a flag contradicts the run; no checkpoint; an unknown name.
  """
  complete, checkpoint, run = open_run(
    given,
    given.checkpoint_path or '',
    lambda run: {'eval_image_size': 'train_image_size'},
  )
  network = nets_factory.get_network(complete.model_name)
  name = (
    tasks.of_run(run)
    or tasks.asked(given)
    or tasks.of_checkpoint(contents.read(checkpoint).values())
  )
  task = tasks.choose(given, name, f'the checkpoint {checkpoint}')
  known = None if run else released.find(network, checkpoint)
  complete = fill(
    complete.replace(task=task.name),
    task.name,
    {'eval_image_size': known and known.image_size},
    {
      'preprocessing_name': task.preprocessing(network),
      'eval_image_size': network.default_image_size,
      'use_grayscale': False,
      **({'output_dir': places.beside(checkpoint, folder)} if folder else {}),
    },
  )
  complete = task.complete_inference(given, complete, checkpoint, run)
  return task, complete, checkpoint, run
