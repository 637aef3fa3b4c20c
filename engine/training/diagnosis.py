"""Where NaN or infinity came from, and which images were in the batch."""

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import tensorflow.compat.v1 as tf

from engine.checkpoints import locate
from engine.common import files
from engine.input.pipeline import Source, Stream, without_hooks
from engine.replicas import workers
from engine.training.step import NOT_FINITE

FILENAME = 'non_finite.json'


class Diagnosis:
  """Looks for the first tensor of a network that is not finite.

  A failed step has not changed the weights, and a batch is a function of its
  number, so that the step can be looked at again.
  """

  def __init__(
    self,
    source: Source,
    stream: Stream,
    parts: int,
    end_points: Sequence[Mapping[str, tf.Tensor]],
    train_dir: str,
  ):
    """Adds the checks to the graph; they cost nothing until they are run.

    Args:
      source: where the batches come from.
      stream: the batches, or micro-batches.
      parts: the number of micro-batches in a step.
      end_points: those of each replica of this process: tensors by name, in
        the order of their computation.
      train_dir: where non_finite.json is written.
    """
    self._source, self._stream, self._parts = source, stream, parts
    self._train_dir = train_dir
    self._batches = stream.batches
    tensors: dict[str, tf.Tensor] = {}
    for i, (batch, own) in enumerate(
      zip(self._batches, end_points, strict=True)
    ):
      ending = f' of replica {i}' if len(self._batches) > 1 else ''
      named = {'the images': batch.images, 'the labels': batch.labels, **own}
      tensors.update({name + ending: each for name, each in named.items()})
    self._outputs = {
      name: tf.reduce_all(tf.math.is_finite(tensor))
      for name, tensor in tensors.items()
      if tensor.dtype.is_floating
    }
    self._weights = {v.op.name: v for v in tf.trainable_variables()}

  def _look(self, session, positions, fetches):
    """Returns the values on the last of some batches, and all images."""
    examples, images = self._source.examples, []
    self._stream.seek(session, positions[0])
    for _ in positions:
      values, records = self._stream.run(
        session, (fetches, [batch.records for batch in self._batches])
      )
      images += [
        {
          'file': examples.filename(int(index)),
          'record': examples.name(int(index)),
        }
        for index in np.concatenate(records)
      ]
    return values, images

  @contextlib.contextmanager
  def explaining(self, session: tf.train.MonitoredSession) -> Iterator[None]:
    """Explains why the loss of a step that is taken within is not finite.

    Args:
      session: the session that takes the steps.

    Raises:
      ValueError: it is not; says where that began.
    """
    try:
      yield
    except tf.errors.InvalidArgumentError as error:
      if NOT_FINITE not in str(error):
        raise
      sentence = without_hooks(session, self.explain)
      raise ValueError(f'The loss is not finite: {sentence}') from None

  def explain(self, session: tf.Session) -> str:
    """Looks at the batch at which the stream stands, and writes what is found.

    non_finite.json has the number of the step, what was not finite first, and
    the file and record of each example of the batch that caused it.

    Args:
      session: a plain session.

    Returns:
      A sentence for the user.
    """
    bad = [
      name
      for name, value in session.run(self._weights).items()
      if not np.isfinite(value).all()
    ]
    position = self._stream.position
    if bad:
      # This batch is innocent: the step before it changed the weights.
      what, step = 'variable', max((position - 1) // self._parts, 0)
      _, images = self._look(
        session, range(step * self._parts, (step + 1) * self._parts), {}
      )
      sentence = (
        f'the step before made {bad[0]} not finite, the first of '
        f'{len(bad)} such variables'
      )
    else:
      what, step = 'output', position // self._parts
      finite, images = self._look(session, [position], self._outputs)
      bad = [name for name, fine in finite.items() if not fine]
    bad, images = _of_all_workers(bad, images)
    if what == 'output':
      sentence = (
        f'the first NaN or infinity is in the output of {bad[0]}'
        if bad
        else 'the outputs of all layers are finite, but too large for the '
        'loss or its gradients'
      )
    path = os.path.join(self._train_dir, FILENAME)
    if workers.current().is_chief:
      files.write_json(
        path,
        {
          'step': step + 1,
          'what': what,
          'first': bad[0] if bad else 'loss',
          'not_finite': bad,
          'pictures': images,
        },
      )
    kept = locate.newest(self._train_dir)
    return (
      f'{sentence}. {path} names the {len(images)} images of the '
      'batch that caused it. Training again resumes from '
      f'{kept or "the start"}: lower --learning_rate, with '
      '--accept_changes, or check the images.'
    )


def _of_all_workers(bad, images):
  """Returns what is not finite in any worker, and the images of all."""
  found = workers.current().gather_json([bad, images])
  return (
    list(dict.fromkeys(name for names, _ in found for name in names)),
    [image for _, own in found for image in own],
  )
