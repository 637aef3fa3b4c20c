"""Evaluation: every example once, what was right, and what was taken for what.
"""
import json
import os

import numpy as np
import tensorflow.compat.v1 as tf

from engine import checkpoints, console, input_pipeline, resolve
from engine import config as configs
from nets import nets_factory
from preprocessing import preprocessing_factory
from tasks import classification

# A gap between the two statistics that is worth a word, in accuracy.
NOTABLE_GAP = 0.02


def _predict(session, name, stream, logits, batches):
  """Returns the logits and labels of as many batches."""
  found, labels = [], []
  with console.progress(batches, unit='batch') as bar:
    bar.set_description(name)
    for _ in range(batches):
      values = stream.run(session, [logits, stream.batch.labels])
      good = values[1] >= 0  # else another stands in for a bad example
      found.append(values[0][good])
      labels.append(values[1][good])
      bar.update()
  return np.concatenate(found), np.concatenate(labels)


def _even(examples, batch_size):
  """Returns the largest batch size that leaves no small last batch."""
  return -(-examples // -(-examples // batch_size))


def _passes(config, source, classes):
  """Builds what is predicted, as arguments of `_predict`.

  The first pass is the evaluation. In the second, if it is asked for, each
  example has logits by batch norm's moving statistics and by its batch's.
  """
  def logits(images, is_training, reuse):
    network_fn = nets_factory.get_network_fn(config.model_name, classes,
                                             is_training=is_training)
    return network_fn(images, reuse=reuse)[0]

  batches = -(-source.num_examples // config.batch_size)
  stream = source.evaluation(config.batch_size)
  passes = [('evaluating', stream, logits(stream.batch.images, False, None),
             min(config.max_num_batches or batches, batches))]
  examples = min(config.compare_batch_statistics, source.num_examples)
  if examples:
    even = _even(source.num_examples, config.batch_size)
    stream = source.evaluation(even, shuffle=True)
    both = tf.stack([logits(stream.batch.images, by_batch, True)
                     for by_batch in (False, True)], axis=1)
    passes.append(('comparing', stream, both, -(-examples // even)))
  return passes


def _compare(by_moving, by_batch):
  """Prints, and returns, how the two statistics of batch norm compare."""
  gap = by_batch['accuracy'] - by_moving['accuracy']
  console.say(
      f'batch norm: accuracy {by_moving["accuracy"]:.2%} with its moving '
      f'statistics, {by_batch["accuracy"]:.2%} with those of each batch '
      f'({by_batch["examples"]:,} examples)')
  if gap > NOTABLE_GAP:
    console.note(
        f'batch norm\'s moving statistics cost {gap:.1%} of accuracy: they '
        'have not caught up with the weights. Train with '
        '--recalibrate_batch_norm_batches=100, or a lower '
        '--batch_norm_decay such as 0.9.')
  return {'examples': by_batch['examples'],
          'accuracy': by_batch['accuracy'], 'loss': by_batch['loss'],
          'accuracy_with_moving_statistics': by_moving['accuracy']}


def _write(config, figures, confusion, names):
  """Writes eval.json, per_class.csv and confusion_matrix.png."""
  os.makedirs(config.eval_dir, exist_ok=True)
  def path(name):
    return os.path.join(config.eval_dir, name)
  classification.write_per_class(path('per_class.csv'), confusion, names,
                                 config.labels_offset)
  classification.draw_confusion_matrix(path('confusion_matrix.png'),
                                       confusion, names)
  with open(path('eval.json'), 'w') as file:
    json.dump(figures, file, indent=2)
    file.write('\n')
  console.say('eval.json, per_class.csv and confusion_matrix.png are in '
              f'{config.eval_dir}.')


def evaluate(given: configs.EvalConfig) -> dict:
  """Evaluates a checkpoint on every example of a split, once.

  Writes eval.json, per_class.csv and confusion_matrix.png to
  `config.eval_dir`.

  Args:
    given: what to do; fields that are None are completed from the run.

  Returns:
    The figures: checkpoint, step, dataset, split, examples, accuracy,
    top_5_accuracy (in [0, 1]), loss (nats), and under batch_statistics those
    of the comparison.

  Raises:
    ValueError: the configuration, the data or the checkpoint does not fit;
      the sentence says what to do.
  """
  tf.disable_tensor_equality()  # else graphs take twice as long to build
  config, dataset, checkpoint, _ = resolve.evaluation(given)
  names = resolve.class_names(dataset, config.labels_offset)
  with tf.Graph().as_default():
    preprocess = preprocessing_factory.get_preprocessing(
        config.preprocessing_name, False, config.use_grayscale)
    source = input_pipeline.open_source(config, dataset, preprocess,
                                        config.eval_image_size)
    passes = _passes(config, source, len(names))
    restore = checkpoints.restorer(checkpoint, config.moving_average_decay)
    begin = tf.tables_initializer()
    console.say(
        f'Evaluating {checkpoint} on the {source.num_examples:,} examples of '
        f'{dataset.name}, split {dataset.split_name}, at '
        f'{config.eval_image_size}x{config.eval_image_size}.')
    with tf.Session() as session:
      restore(session)
      session.run(begin)
      (values, labels), *compared = [_predict(session, *each)
                                     for each in passes]
  figures = {
      'checkpoint': checkpoint, 'step': _step(checkpoint),
      'model': config.model_name, 'dataset': dataset.name,
      'split': dataset.split_name, 'image_size': config.eval_image_size,
      **classification.metrics(values, labels),
      'left_out': len(source.left_out)}
  top_5 = (f'top-5 {figures["top_5_accuracy"]:.2%}, ' if len(names) > 5
           else '')
  console.say(
      f'accuracy {figures["accuracy"]:.2%}, {top_5}loss '
      f'{figures["loss"]:.4f} ({figures["examples"]:,} examples)')
  for pair, labels_again in compared:
    figures['batch_statistics'] = _compare(
        *(classification.metrics(pair[:, i], labels_again) for i in (0, 1)))
  _write(config, figures, classification.confusion_matrix(values, labels),
         names)
  return figures


def _step(checkpoint):
  """Returns the step a checkpoint was written at, 0 if it does not say."""
  reader = tf.train.load_checkpoint(checkpoint)
  return (int(reader.get_tensor('global_step'))
          if reader.has_tensor('global_step') else 0)
