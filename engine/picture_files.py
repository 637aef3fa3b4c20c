"""Images that are files: which are meant, and how they are read."""

import json
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

import tensorflow.compat.v1 as tf

from datasets import dataset_utils
from datasets.images import image_files
from engine import console
from engine.config import ClassifyConfig


def find_pictures(arguments: list[str]) -> list[str]:
  """Returns the files named, and the images in the folders named.

  Raises:
    ValueError: nothing named, or a name that does not exist, or a folder
      without images.
  """
  found = []
  for argument in arguments:
    path = pathlib.Path(argument)
    if path.is_dir():
      inside = [
        str(file)
        for file in sorted(path.rglob('*'))
        if file.suffix.lower() in image_files.SUFFIXES
      ]
      if not inside:
        raise ValueError(
          f'The folder {argument} has no images '
          f'({", ".join(image_files.SUFFIXES)}).'
        )
      found += inside
    elif path.exists():
      found.append(argument)
    else:
      raise ValueError(f'There is no file or folder {argument}.')
  if not found:
    raise ValueError(
      'Name images, or folders of them: python '
      'classify_image.py --checkpoint_path=DIR a.png folder/'
    )
  return list(dict.fromkeys(found))


def read_names(path: str) -> dict[int, str]:
  """Returns {label: name} from lines such as 0:chef, or a JSON object.

  Raises:
    ValueError: the file has another form, or is not there.
  """
  file = pathlib.Path(path)
  if not file.is_file():
    raise ValueError(f'There is no file {path} to read names from.')
  if file.suffix != '.json':
    return dataset_utils.read_label_file(file.parent, file.name)
  try:
    return {
      int(label): str(name)
      for label, name in json.loads(file.read_text('utf-8')).items()
    }
  except (ValueError, AttributeError):
    raise ValueError(
      f'{path} is no JSON object from numbers to names, such '
      'as {"0": "chef"}.'
    ) from None


def class_names(
  config: ClassifyConfig, run: dict[str, Any], num_classes: int
) -> list[str]:
  """Returns a name for each logit.

  Args:
    config: a complete configuration.
    run: what the training wrote, {} if there is nothing.
    num_classes: the number of logits.

  Raises:
    ValueError: the file of names has none for one of them.
  """
  if not config.labels_file:
    return run.get('class_names') or [str(i) for i in range(num_classes)]
  offset = run.get('labels_offset', 0)
  names = read_names(config.labels_file)
  missing = [i for i in range(offset, num_classes + offset) if i not in names]
  if missing:
    raise ValueError(
      f'{config.labels_file} names {len(names)} classes, but has no name '
      f'for label {missing[0]}; the network has {num_classes} classes.'
    )
  return [names[i] for i in range(offset, num_classes + offset)]


def decoded(data: tf.Tensor) -> tf.Tensor:
  """Returns the image in the bytes of a file, uint8 [height, width, 3]."""
  image = tf.io.decode_image(data, channels=3, expand_animations=False)
  image.set_shape([None, None, 3])
  return image


def read(paths: Sequence[str]) -> Iterator[tuple[str, bytes]]:
  """Yields the files that are images, as TensorFlow decodes them rightly.

  Names the others on stderr.
  """
  decoder = image_files.Decoder()
  for path in paths:
    try:
      yield (
        path,
        image_files.standard(
          pathlib.Path(path).read_bytes(), decoder, first_of_many=True
        ).data,
      )
    except image_files.BadImage as bad:
      console.error(f'{path} {bad}.')
    except OSError as error:
      console.error(console.explain(error))


def check_all(read_files: int, paths: Sequence[str]) -> None:
  """Raises ValueError if not all of the files could be read."""
  if read_files < len(paths):
    raise ValueError(
      f'{len(paths) - read_files} of {len(paths)} files '
      'could not be classified: see above.'
    )
