"""Images that are files: which are meant, and how they are read."""

import json
import pathlib
from collections.abc import Iterator, Sequence

import tensorflow.compat.v1 as tf

from datasets import files
from datasets.images import image_files
from datasets.text import one_line
from engine.common import console


def find(arguments: list[str]) -> list[str]:
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
          files.read_bytes(path), decoder, first_of_many=True
        ).data,
      )
    except image_files.BadImage as bad:
      console.error(f'{one_line(path)} {bad}.')
    except files.Irregular as error:
      console.error(str(error))
    except OSError as error:
      console.error(console.explain(error))


def check_all(read_files: int, paths: Sequence[str]) -> None:
  """Raises ValueError if not all of the files could be read."""
  if read_files < len(paths):
    raise ValueError(
      f'{len(paths) - read_files} of {len(paths)} files '
      'could not be classified: see above.'
    )


def show(
  path: str,
  shares: Sequence[tuple[str, float]],
  as_json: bool,
  listed: str,
  unit: str,
  **written: str,
) -> None:
  """Prints what is predicted of a file.

  Args:
    path: the file.
    shares: (class name, share in [0, 1]), the largest first.
    as_json: whether to print a JSON object in a line.
    listed: what the list of classes is called in it.
    unit: what a share is called in it.
    **written: other files that were written, by what they are.
  """
  if as_json:
    classes = [{'name': name, unit: share} for name, share in shares]
    console.say(json.dumps({'file': path, **written, listed: classes}))
    return
  console.say(one_line(path))
  for name, share in shares:
    console.say(f'  {share:7.2%}  {one_line(name)}')
