"""Classification of pictures that are files."""
import json
import pathlib

import numpy as np
import tensorflow.compat.v1 as tf

from datasets import dataset_utils, pictures
from engine import checkpoints, console, resolve
from engine import config as configs
from nets import nets_factory
from preprocessing import preprocessing_factory


def find_pictures(arguments: list[str]) -> list[str]:
  """Returns the files named, and the pictures in the folders named.

  Raises:
    ValueError: nothing named, or a name that does not exist, or a folder
      without pictures.
  """
  found = []
  for argument in arguments:
    path = pathlib.Path(argument)
    if path.is_dir():
      inside = [str(file) for file in sorted(path.rglob('*'))
                if file.suffix.lower() in pictures.SUFFIXES]
      if not inside:
        raise ValueError(f'The folder {argument} has no pictures '
                         f'({", ".join(pictures.SUFFIXES)}).')
      found += inside
    elif path.exists():
      found.append(argument)
    else:
      raise ValueError(f'There is no file or folder {argument}.')
  if not found:
    raise ValueError('Name pictures, or folders of them: python '
                     'classify_image.py --checkpoint_path=DIR a.png folder/')
  return found


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
    return {int(label): str(name) for label, name in
            json.loads(file.read_text('utf-8')).items()}
  except (ValueError, AttributeError):
    raise ValueError(f'{path} is no JSON object from numbers to names, such '
                     'as {"0": "chef"}.') from None


def _class_names(config, run, num_classes):
  """Returns a name for each logit."""
  if not config.labels_file:
    return run.get('class_names') or [str(i) for i in range(num_classes)]
  offset = run.get('labels_offset', 0)
  names = read_names(config.labels_file)
  missing = [i for i in range(offset, num_classes + offset) if i not in names]
  if missing:
    raise ValueError(
        f'{config.labels_file} names {len(names)} classes, but has no name '
        f'for label {missing[0]}; the network has {num_classes} classes.')
  return [names[i] for i in range(offset, num_classes + offset)]


def _decoder(config):
  """Returns a placeholder for a file's bytes, and the image they become."""
  data = tf.placeholder(tf.string, [])
  image = tf.io.decode_image(data, channels=3, expand_animations=False)
  image.set_shape([None, None, 3])
  preprocess = preprocessing_factory.get_preprocessing(
      config.preprocessing_name, False, config.use_grayscale)
  size = config.eval_image_size
  return data, preprocess(image, size, size)


def _decode(session, decoder, data, image, paths):
  """Returns the images of the files that are pictures; names the others."""
  images = {}
  for path in paths:
    try:
      picture = pictures.standard(pathlib.Path(path).read_bytes(), decoder,
                                  first_of_many=True)
      images[path] = session.run(image, {data: picture.data})
    except pictures.BadPicture as bad:
      console.error(f'{path} {bad}.')
    except OSError as error:
      console.error(console.explain(error))
  return images


def _show(path, ranking, as_json):
  if as_json:
    console.say(json.dumps({'file': path, 'predictions': [
        {'name': name, 'probability': share} for name, share in ranking]}))
    return
  console.say(path)
  for name, share in ranking:
    console.say(f'  {share:7.2%}  {name}')


def classify(given: configs.ClassifyConfig, arguments: list[str]
             ) -> dict[str, list[tuple[str, float]]]:
  """Prints the most likely classes of pictures.

  Args:
    given: what to do; fields that are None are completed from the run.
    arguments: files and folders.

  Returns:
    {file: [(name, probability in [0, 1]), ...]}, the most likely first.

  Raises:
    ValueError: a checkpoint or a name that is not there; the sentence says
      what to do. Or, after all others have been classified, a file that is
      no picture.
  """
  tf.disable_tensor_equality()  # else graphs take twice as long to build
  paths = find_pictures(arguments)
  config, checkpoint, run = resolve.classification(given)
  num_classes = checkpoints.num_classes(checkpoint)
  if num_classes is None:
    raise ValueError(f'The checkpoint {checkpoint} has no logits: it holds '
                     'features only, and no class can be told.')
  names = _class_names(config, run, num_classes)
  results, decoder = {}, pictures.Decoder()
  with tf.Graph().as_default():
    data, image = _decoder(config)
    images = tf.placeholder(tf.float32, [None, *image.shape])
    logits, _ = nets_factory.get_network_fn(
        config.model_name, num_classes, is_training=False)(images)
    probabilities = tf.nn.softmax(logits)
    restore = checkpoints.restorer(
        checkpoint, run.get('moving_average_decay'))
    with tf.Session() as session:
      restore(session)
      for start in range(0, len(paths), config.batch_size):
        decoded = _decode(session, decoder, data, image,
                          paths[start:start + config.batch_size])
        if not decoded:
          continue
        rows = session.run(probabilities,
                           {images: np.stack(list(decoded.values()))})
        for path, row in zip(decoded, rows, strict=True):
          order = np.argsort(-row, kind='stable')[:config.top]
          results[path] = [(names[i], float(row[i])) for i in order]
          _show(path, results[path], config.json)
  if len(results) < len(paths):
    raise ValueError(f'{len(paths) - len(results)} of {len(paths)} files '
                     'could not be classified: see above.')
  return results
