"""What is written for TensorBoard while a session takes steps."""

import time
from collections.abc import Callable
from typing import Any

import tensorflow.compat.v1 as tf

from metrics.histograms import histogram

_IMAGES = 3  # in a summary


class Summaries(tf.train.SessionRunHook):
  """Writes images and histograms of weights for TensorBoard.

  After the first step, and then every few seconds. All steps run the same part
  of the graph, which TensorFlow prepares once; a summary of no images is cheap.
  """

  def __init__(
    self,
    show: Callable[[Any, tf.Tensor], None],
    batch: Any,
    logits: tf.Tensor,
    step: tf.Tensor,
    train_dir: str,
    seconds: float,
  ):
    """Adds the summary of the first images of a batch to the graph.

    Args:
      show: adds more summaries, of a batch and its logits.
      batch: named tuple with `images`, float32 [batch, height, width,
        channels], and their `labels`.
      logits: of the batch.
      step: int64 scalar, the step after a run.
      train_dir: where they are written.
      seconds: between two of them.
    """
    self._shown = shown = tf.placeholder_with_default(0, [])
    few = batch._replace(
      images=batch.images[:shown], labels=batch.labels[:shown]
    )
    tf.summary.image('images', few.images)
    show(few, logits[:shown])
    self._fetches = tf.summary.merge_all(), step
    self._train_dir, self._seconds = train_dir, seconds
    self._last: float | None = None

  def begin(self) -> None:
    self._events = tf.summary.FileWriterCache.get(self._train_dir)
    self._weights = {v.op.name: v for v in tf.trainable_variables()}

  def before_run(
    self, run_context: tf.train.SessionRunContext
  ) -> tf.train.SessionRunArgs:
    now = time.monotonic()
    self._is_due = self._last is None or now - self._last >= self._seconds
    return tf.train.SessionRunArgs(
      self._fetches, {self._shown: _IMAGES if self._is_due else 0}
    )

  def after_run(
    self,
    run_context: tf.train.SessionRunContext,
    run_values: tf.train.SessionRunValues,
  ) -> None:
    if not self._is_due:
      return
    images, step = run_values.results
    if self._last is None:  # of a run that was killed, TensorBoard drops later
      self._events.add_session_log(
        tf.SessionLog(status=tf.SessionLog.START), step
      )
    self._last = time.monotonic()
    self._events.add_summary(images, step)
    weights = run_context.session.run(self._weights)
    self._events.add_summary(
      tf.Summary(
        value=[
          tf.Summary.Value(
            tag=f'weights/{name}', histo=tf.HistogramProto(**histogram(each))
          )
          for name, each in weights.items()
        ]
      ),
      step,
    )

  def end(self, session: tf.Session) -> None:
    self._events.flush()
