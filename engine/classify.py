"""Classification, or segmentation, of images that are files."""

from engine.checkpoints import contents
from engine.common import runtime
from engine.common.files import check_folder
from engine.config.scripts import ClassifyConfig
from engine.evaluation import statistics
from engine.export import evaluating
from engine.input import image_files
from engine.resolve import class_names
from engine.resolve.files import files
from engine.tasks.base import Shares


@runtime.graph_building()
def classify(given: ClassifyConfig, arguments: list[str]) -> Shares:
  """Prints the most likely classes of images, or segments them.

  With a checkpoint for masks each image's mask, in the colours of its
  classes, and an overlay are written to `output_dir`.

  Args:
    given: what to do; fields that are None are completed from the run.
    arguments: files and folders.

  Returns:
    {file: [(name, share in [0, 1]), ...]}, the largest first: the probability
    of a class, or of masks the share of the pixels that are of it.

  Raises:
    ValueError: a checkpoint or a name that is not there; the sentence says
      what to do. Or, after all others have been classified, a file that is
      no image, or not there.
  """
  if given.exported:
    return evaluating.classify(given, arguments)
  named = image_files.find(arguments)
  task, config, checkpoint, run = files(given, 'segmented')
  if config.output_dir:
    check_folder(config.output_dir, 'output_dir')
  num_classes = contents.num_classes(contents.read(checkpoint).values())
  if num_classes is None:
    raise ValueError(
      f'The checkpoint {checkpoint} has no logits: it holds '
      'features only, and no class can be told.'
    )
  statistics.tell_lag(run, checkpoint)
  names = class_names.of_checkpoint(config, checkpoint, run, num_classes)
  named = named._replace(files=task.unfinished(config, named.files))
  results = task.predict_files(config, checkpoint, run, names, named.files)
  image_files.check_all(len(results), named)
  return results
