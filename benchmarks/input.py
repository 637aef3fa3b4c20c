"""Images a second of the input pipeline, beside others on the same JPEGs.

  python -m benchmarks.input

Makes 500x375 JPEGs of the two photographs that come with scikit-learn, and
prepares 224x224 training crops of them

- by this project: records in a shuffled order, decoded in part,
- by TF-Slim's vgg recipe as it was published, on tf.data,
- by keras.utils.image_dataset_from_directory, which neither crops nor flips,
- by Pillow: decode, crop and resize, in one thread.

and, to tell where the time goes, of this project's recipe the first parts
alone.

All take turns for several rounds, so that a slow moment of the machine hits
all alike; the table gives medians. A turn first uses up what was read ahead
during the others'. --records=N measures memory instead.
"""

import argparse
import contextlib
import functools
import io
import itertools
import os
import pathlib
import resource
import statistics
import tempfile
import time

import numpy as np
import tensorflow as tf2
import tensorflow.compat.v1 as tf
from PIL import Image
from sklearn.datasets import load_sample_images

from datasets import dataset_factory
from datasets.convert import image_folder
from datasets.writing import writer
from datasets.writing.plan import Item, Options, Plan
from engine.input import pipeline
from engine.tasks.classification.labels import ClassLabels
from preprocessing import preprocessing_factory, vgg_preprocessing
from preprocessing import preprocessing_utils as utils

SIZE, BATCH = 224, 32
THREADS = 4  # the default of --num_preprocessing_threads, here and in TF-Slim
MEAN = (123.68, 116.78, 103.94)

# What is done of the vgg recipe, with an encoded image and its window. One
# pixel is returned, lest the copy to the batch be measured too.
PARTS = {
  '  read, window chosen': lambda image, window: window(
    tf.concat([image.size, [3]], 0)
  ),
  '  and decoded': lambda image, window: image.pixels(window)[0, 0],
  '  and resized': lambda image, window: utils.resize(
    image.pixels(window), SIZE, SIZE
  )[0, 0],
}


def make_photos(folder: pathlib.Path, count: int, quality: int) -> None:
  """Writes 500x375 JPEGs in two classes, cut from real photographs."""
  random = np.random.RandomState(0)
  for name, photo in zip(
    ('temple', 'dahlia'), load_sample_images().images, strict=True
  ):
    (folder / name).mkdir()
    photo = Image.fromarray(photo)
    for i in range(count // 2):
      x, y = random.randint(0, 140), random.randint(0, 52)
      crop = photo.crop((x, y, x + 500, y + 375))
      if i % 2:
        crop = crop.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
      crop.save(folder / name / f'{i}.jpg', quality=quality)


def ours(dataset, prepare):
  """Returns the op that takes a batch of this project's, and how to begin."""
  labels = ClassLabels(prepare, SIZE, dataset.num_classes)
  source = pipeline.Source(dataset, labels, num_threads=THREADS)
  stream = source.training(BATCH, 0, 0)
  return stream.batch.images.op, stream.initializer


def part_of_vgg(part):
  """Returns a preprocessing that is only a part of the vgg recipe."""

  def prepare(image, height, width, seed):
    def window(shape):
      return vgg_preprocessing.sample_window(shape, height, width, seed)

    return part(image, window)

  return prepare


def original(dataset):
  """Returns the same for TF-Slim's vgg recipe, as it was published."""

  def prepare(record):
    found = tf.io.parse_single_example(
      record,
      {
        'image/encoded': tf.FixedLenFeature([], tf.string),
        'image/class/label': tf.FixedLenFeature([], tf.int64),
      },
    )
    image = tf.io.decode_image(
      found['image/encoded'], channels=3, expand_animations=False
    )
    image.set_shape([None, None, 3])
    # Resize the shorter side to 256..512, bilinearly.
    side = tf.random.uniform([], 256, 513, tf.int32)
    size = tf.cast(tf.shape(image)[:2], tf.float32)
    scale = tf.cast(side, tf.float32) / tf.reduce_min(size)
    image = tf.image.resize_bilinear(
      image[None], tf.cast(tf.rint(size * scale), tf.int32)
    )[0]
    # Crop, flip.
    free = tf.shape(image)[:2] - SIZE + 1
    y, x = (tf.random.uniform([], 0, free[axis], tf.int32) for axis in (0, 1))
    image = tf.slice(image, tf.stack([y, x, 0]), [SIZE, SIZE, 3])
    image = tf.image.random_flip_left_right(image)
    # Subtract the mean from each channel.
    channels = tf.split(image, 3, 2)
    image = tf.concat(
      [channel - mean for channel, mean in zip(channels, MEAN, strict=True)], 2
    )
    return image, found['image/class/label']

  batches = (
    tf.data.TFRecordDataset(dataset.data_sources)
    .repeat()
    .shuffle(1000)
    .map(prepare, num_parallel_calls=THREADS)
    .batch(BATCH)
    .prefetch(2)
  )
  return _ops(batches)


def keras(folder):
  """Returns the same for keras.utils.image_dataset_from_directory."""
  with tf2.init_scope():
    batches = tf2.keras.utils.image_dataset_from_directory(
      folder, image_size=(SIZE, SIZE), batch_size=BATCH, verbose=False
    )
  return batches.repeat()


def _ops(batches):
  iterator = tf.data.make_initializable_iterator(batches)
  return iterator.get_next()[0].op, iterator.initializer


def pillow(files):
  """Yields None for each image that Pillow has prepared in one thread."""
  random = np.random.RandomState(0)
  data = [path.read_bytes() for path in files]
  for i in itertools.count():
    image = Image.open(io.BytesIO(data[i % len(data)])).convert('RGB')
    side = random.randint(256, 513)
    crop = round(SIZE * min(image.size) / side)
    x, y = (random.randint(0, length - crop + 1) for length in image.size)
    np.asarray(
      image.crop((x, y, x + crop, y + crop)).resize(
        (SIZE, SIZE), Image.Resampling.BILINEAR
      )
    )
    yield


def rate(step, pictures: int, seconds: float) -> tuple[float, float]:
  """Returns images a second, and the microseconds of a core that one takes.

  Args:
    step: prepares images.
    pictures: how many.
    seconds: to measure, after half of that to use up what was read ahead.
  """
  begin = time.perf_counter()
  while time.perf_counter() - begin < seconds / 2:
    step()
  begin, cpu, count = time.perf_counter(), time.process_time(), 0
  while time.perf_counter() - begin < seconds:
    step()
    count += pictures
  spent = time.process_time() - cpu
  return count / (time.perf_counter() - begin), spent / count * 1e6


def session_step(build):
  """Returns step(): runs what `build()` returns in a session of its own."""
  graph = tf.Graph()
  with graph.as_default():
    op, initializer = build()
  session = tf.Session(graph=graph)
  session.run(initializer)
  return lambda: session.run(op)


def compare(
  folder: pathlib.Path, rounds: int, seconds: float, count: int, quality: int
) -> None:
  """Prints the table."""
  make_photos(folder, count, quality)
  files = sorted(folder.glob('*/*.jpg'))
  size = statistics.mean(path.stat().st_size for path in files)
  print(
    f'{len(files)} JPEGs of 500x375, {size / 1000:.0f} kB on average, '
    f'{os.cpu_count()} cores, batches of {BATCH}',
    flush=True,
  )
  plan = image_folder.plan(str(folder), Options(0.01))
  records = str(folder / 'records')
  writer.write(plan, records, '%s-*.tfrecord')
  dataset = dataset_factory.get_dataset('tfrecord', 'train', records)
  eager = iter(keras(folder))
  one = pillow(files)
  recipes = {
    'ours, vgg': preprocessing_factory.get_preprocessing('vgg', True),
    **{name: part_of_vgg(part) for name, part in PARTS.items()},
    'ours, inception': preprocessing_factory.get_preprocessing(
      'inception', True
    ),
  }
  steps = {
    **{
      name: (session_step(functools.partial(ours, dataset, prepare)), BATCH)
      for name, prepare in recipes.items()
    },
    'original vgg recipe': (session_step(lambda: original(dataset)), BATCH),
    'keras from directory': (lambda: next(eager), BATCH),
    'Pillow, one thread': (lambda: next(one), 1),
  }
  rates = {name: [] for name in steps}
  for _ in range(rounds):
    for name, (step, pictures) in steps.items():
      rates[name].append(rate(step, pictures, seconds))
  show(rates)


def show(rates: dict[str, list[tuple[float, float]]]) -> None:
  """Prints the medians of what `rate` returned, the first one's ratios too."""
  print(f'{"":22}{"pictures/s":>12}{"ours is":>9}{"us of a core":>14}{"":>9}')
  mine = next(iter(rates.values()))
  for name, found in rates.items():
    pairs = [*zip(mine, found, strict=True)]
    faster = statistics.median(own[0] / other[0] for own, other in pairs)
    cheaper = statistics.median(other[1] / own[1] for own, other in pairs)
    each, cpu = map(statistics.median, zip(*found, strict=True))
    print(f'{name:22}{each:12.0f}{faster:8.2f}x{cpu:14.0f}{cheaper:8.2f}x')


def memory(folder: pathlib.Path, records: int) -> None:
  """Prints the peak memory of reading many records in a shuffled order."""
  data = io.BytesIO()
  Image.new('RGB', (32, 32), 'teal').save(data, 'png')
  items = [Item(str(i), i % 2, data.getvalue) for i in range(records)]
  path = str(folder / 'many')
  writer.write(
    Plan('memory', ['a', 'b'], {'train': items}), path, '%s-*.tfrecord'
  )
  del items
  dataset = dataset_factory.get_dataset('tfrecord', 'train', path)
  prepare = preprocessing_factory.get_preprocessing('cifar', True)
  source = pipeline.Source(
    dataset, ClassLabels(prepare, 32, dataset.num_classes)
  )
  stream = source.training(256, 0, 0)
  with tf.Session() as session:
    session.run(stream.initializer)
    begin = time.perf_counter()
    for step in range(2 * records // 256):
      session.run(stream.batch.images.op)
      if step % (records // 1024) == 0:
        seen = (step + 1) * 256
        print(
          f'{seen:>10,} read, '
          f'{seen / (time.perf_counter() - begin):6,.0f} a second, '
          f'memory {_resident():,.0f} MB',
          flush=True,
        )


def _resident():
  """Returns the megabytes of memory that are in use now."""
  with contextlib.suppress(OSError):
    pages = int(pathlib.Path('/proc/self/statm').read_text().split()[1])
    return pages * resource.getpagesize() / 1e6
  return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def main() -> None:
  """Measures as the command line says."""
  parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
  parser.add_argument('--rounds', type=int, default=5)
  parser.add_argument('--seconds', type=float, default=3)
  parser.add_argument('--count', type=int, default=500)
  parser.add_argument('--quality', type=int, default=90)
  parser.add_argument('--records', type=int, default=0)
  given = parser.parse_args()
  tf.get_logger().setLevel('ERROR')  # not what is deprecated
  with tempfile.TemporaryDirectory() as folder:
    os.environ['XDG_CACHE_HOME'] = os.path.join(folder, 'cache')
    path = pathlib.Path(folder, 'data')
    path.mkdir()
    if given.records:
      with tf.Graph().as_default():
        memory(path, given.records)
    else:
      compare(path, given.rounds, given.seconds, given.count, given.quality)


if __name__ == '__main__':
  main()
