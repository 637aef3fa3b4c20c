"""What the training loop costs beside the bare step.

  python -m benchmarks.overhead

Trains resnet_v1_50 on 224x224 images by the very function that the training
script calls. Every other block of steps leaves the loop out: the session runs
the same op on the same input pipeline, without report, records, progress bar,
checks for the end or for saving. Blocks take turns, so that a slow moment of
the machine hits both; the table gives medians of steps.
"""

import argparse
import pathlib
import statistics
import tempfile
import time
from unittest import mock

from benchmarks.input import make_photos
from datasets.convert import image_folder
from datasets.writing import writer
from datasets.writing.plan import Options
from engine import train
from engine.config import scripts as config
from engine.training import step

BLOCK = 5  # steps


class Turns:
  """Takes the place of `TrainStep.take`; the loop and the bare step in turn.

  Attributes:
    seconds: those of every step after the first block, by its kind.
  """

  def __init__(self, warm_up: int):
    self._take, self._count = step.TrainStep.take, 0
    self._warm_up = warm_up
    self.seconds = {'the loop': [], 'bare steps': []}

  def __call__(self, built, session, stream, parts):
    begin = time.perf_counter()
    kind = list(self.seconds)[self._count // BLOCK % 2]
    if kind == 'the loop':
      self._take(built, session, stream, parts)
    else:
      session.run_step_fn(
        lambda step_context: step_context.session.run(built.apply)
      )
    if self._count >= self._warm_up:
      self.seconds[kind].append(time.perf_counter() - begin)
    self._count += 1


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--model_name', default='resnet_v1_50')
  parser.add_argument('--batch_size', type=int, default=8)
  parser.add_argument('--steps', type=int, default=100)
  arguments = parser.parse_args()
  with tempfile.TemporaryDirectory() as folder:
    photos, data = pathlib.Path(folder, 'photos'), pathlib.Path(folder, 'data')
    photos.mkdir()
    make_photos(photos, 200, 85)
    writer.write(
      image_folder.plan(str(photos), Options()), str(data), '%s-*.tfrecord'
    )
    turns = Turns(warm_up=2 * BLOCK)
    with (
      mock.patch.object(
        step.TrainStep, 'take', lambda *arguments: turns(*arguments)
      ),
      mock.patch.object(train, '_evaluate', lambda config: None),
    ):
      train.train(
        config.TrainConfig(
          model_name=arguments.model_name,
          dataset_dir=str(data),
          batch_size=arguments.batch_size,
          train_image_size=224,
          max_number_of_steps=arguments.steps,
          eval_split_name='validation',
          recalibrate_batch_norm_batches=0,
          train_dir=str(pathlib.Path(folder, 'run')),
        )
      )
  found = {
    kind: statistics.median(each) for kind, each in turns.seconds.items()
  }
  print(
    f'\n{arguments.model_name}, 224x224, batch {arguments.batch_size}, '
    f'medians of {len(turns.seconds["the loop"])} steps each:'
  )
  for kind, seconds in found.items():
    print(f'  {kind:<12} {seconds * 1000:8.1f} ms a step')
  share = found['the loop'] / found['bare steps'] - 1
  print(f'  the loop costs {share:+.2%}')


if __name__ == '__main__':
  main()
