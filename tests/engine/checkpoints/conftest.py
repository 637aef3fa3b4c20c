"""Checkpoints of a network of two layers."""

import pytest
import tensorflow.compat.v1 as tf

from nets.slim_compat import slim
from tests.engine.checkpoints import two_layers


@pytest.fixture
def save(tmp_path):
  """save(name, steps=(None,), **options): the path of the last checkpoint.

  The variables of step 3 are all 3; without steps they are 1.
  """

  def save(
    name, steps=(None,), version=tf.train.SaverDef.V2, averages=False, **options
  ):
    with tf.Graph().as_default():
      two_layers.build(**options)
      tf.train.get_or_create_global_step()
      tf.get_variable('net/conv1/weights/Momentum', [4, 5])
      variables = tf.global_variables()
      value = tf.placeholder(tf.float32, [])
      fill = [
        v.assign(tf.cast(tf.fill(v.shape, value), v.dtype.base_dtype))
        for v in variables
      ]
      extra = {}
      if averages:
        average = tf.train.ExponentialMovingAverage(0.9)
        average.apply(slim.get_model_variables())
        extra = {
          average.average_name(v): v for v in tf.moving_average_variables()
        }
        for v in slim.get_model_variables():
          extra[average.average_name(v)] = average.average(v)
          fill.append(average.average(v).assign(tf.fill(v.shape, value + 0.5)))
      saver = tf.train.Saver(
        {**{v.op.name: v for v in variables}, **extra},
        max_to_keep=99,
        write_version=version,
      )
      with tf.Session() as session:
        for step in steps:
          session.run(fill, {value: 1.0 if step is None else step})
          path = saver.save(session, str(tmp_path / name), global_step=step)
    return path

  return save
