"""Fixtures of the preprocessing tests."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf


class Runner:
  """Runs graph functions on images of any size, in one graph and session.

  Images are fed, so that their static height and width are unknown, as they
  are behind a JPEG decoder.
  """

  def __init__(self):
    self.graph = tf.Graph()
    self.session = tf.Session(graph=self.graph)
    self._built = {}

  def __call__(self, function, image, seed=(0, 0)):
    """Returns function(image, seed) as numpy; `seed` is fed as int32 [2].

    A graph is built once per function object: define it outside of loops.
    """
    image = np.asarray(image)
    key = function, image.dtype, image.shape[2]
    if key not in self._built:
      with self.graph.as_default():
        pixels = tf.placeholder(image.dtype, [None, None, image.shape[2]])
        seeds = tf.placeholder(tf.int32, [2])
        self._built[key] = pixels, seeds, function(pixels, seeds)
    pixels, seeds, output = self._built[key]
    return self.session.run(output, {pixels: image, seeds: seed})


@pytest.fixture
def run():
  runner = Runner()
  yield runner
  runner.session.close()
