"""Training: data, model, loss, optimizer, restore, loop."""
import functools
import os

import tensorflow.compat.v1 as tf

from datasets import dataset_factory
from engine import (
  batch_norm,
  checkpoints,
  console,
  curves,
  hooks,
  input_pipeline,
  optimizers,
  options,
  resolve,
  schedules,
)
from engine import config as configs
from engine import evaluate as evaluation
from nets import nets_factory
from nets.slim_compat import slim
from preprocessing import mixing, preprocessing_factory
from tasks import classification


def _session_config():
  # A GPU is shared with whoever else is on it.
  return tf.ConfigProto(gpu_options=tf.GPUOptions(allow_growth=True))


def _train_op(config, loss, learning_rate, step):
  """Returns the op of one step, and the moving average of each variable."""
  optimizer = optimizers.build(config, learning_rate)
  variables = checkpoints.matching(
      tf.trainable_variables(), config.trainable_scopes, 'trainable_scopes')
  gradients = optimizer.compute_gradients(loss, variables)
  updates = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
  update = tf.group(optimizer.apply_gradients(gradients, step), *updates)
  if not config.moving_average_decay:
    return update, {}
  averages = tf.train.ExponentialMovingAverage(
      config.moving_average_decay, step)
  averaged = slim.get_model_variables()
  with tf.control_dependencies([update]):
    update = averages.apply(averaged)
  return update, {variable: averages.average(variable)
                  for variable in averaged}


def _source(config, dataset):
  """Returns the examples, augmented as the flags say."""
  preprocess = functools.partial(
      preprocessing_factory.get_preprocessing(
          config.preprocessing_name, True, config.use_grayscale),
      rand_augment_layers=config.rand_augment_layers,
      rand_augment_magnitude=config.rand_augment_magnitude,
      random_erasing=config.random_erasing)
  return input_pipeline.open_source(
      config, dataset, preprocess, config.train_image_size)


def _stream(config, source, step):
  """Returns the batches, and the seconds for which the next was waited."""
  mix = None
  if config.mixup_alpha or config.cutmix_alpha:
    mix = functools.partial(mixing.mix, mixup_alpha=config.mixup_alpha,
                            cutmix_alpha=config.cutmix_alpha)
  begin = tf.timestamp()
  with tf.control_dependencies([begin]):
    stream = source.training(config.batch_size, config.seed, step, mix)
  with tf.control_dependencies(list(stream.batch)):
    return stream, tf.timestamp() - begin


def _introduce(config, dataset, source):
  """Prints what is trained, on what, and where it is written."""
  def count(variables):
    return f'{sum(v.shape.num_elements() for v in variables):,}'
  parameters = f'{count(tf.trainable_variables())} parameters'
  if config.trainable_scopes:
    trained = checkpoints.matching(
        tf.trainable_variables(), config.trainable_scopes, 'trainable_scopes')
    parameters += f', {count(trained)} of them trained'
  size = config.train_image_size
  steps, epochs = 'Endless', ''
  if config.max_number_of_steps:
    steps = f'{config.max_number_of_steps:,}'
    seen = config.max_number_of_steps * config.batch_size
    epochs = f' ({seen / source.num_examples:.3g} epochs)'
  console.say(
      f'Training {config.model_name} ({parameters}) on the '
      f'{source.num_examples:,} examples of {dataset.name}, split '
      f'{dataset.split_name}, in '
      f'{dataset.num_classes - config.labels_offset} classes.\n'
      f'{steps} steps of {config.batch_size} images of {size}x{size}{epochs}, '
      f'preprocessing {config.preprocessing_name}, optimizer '
      f'{config.optimizer}.\nWriting to {config.train_dir}.')


def _finisher(config, source, stream, shadows):
  """Returns what is done in the session when the last step is done."""
  batches = config.recalibrate_batch_norm_batches
  if batches is None:
    batches = min(-(-source.num_examples // config.batch_size), 100)
  found = batch_norm.layers(tf.get_default_graph())
  if not batches or not found:
    return lambda session: None

  def finish(session):
    console.say(f'Recalibrating batch norm over {batches} batches.')
    run = functools.partial(stream.run, session)
    with console.progress(batches, unit='batch') as bar:
      batch_norm.recalibrate(session, found, batches, bar.update, run)
      if shadows:
        batch_norm.recalibrate_averages(session, found, batches, shadows,
                                        bar.update, run)
  return finish


def _start(config):
  """Returns the checkpoint to continue, its step, and a warm start if none."""
  latest = checkpoints.to_continue(config.train_dir)
  if latest:
    step = int(tf.train.load_checkpoint(latest).get_tensor('global_step'))
    total = config.max_number_of_steps
    finished = total is not None and step >= total
    console.say(f'{latest} has been trained to the end.' if finished else
                f'Continuing from {latest}, step {step}.')
    return latest, step, None
  if not config.checkpoint_path:
    return None, 0, None
  init_fn, line = checkpoints.warm_start(
      config.checkpoint_path, config.checkpoint_exclude_scopes,
      config.ignore_missing_vars)
  console.say(f'{line}.')
  return None, 0, lambda scaffold, session: init_fn(session)


def _evaluate(config):
  """Evaluates the finished run, if there are data, and draws its curves."""
  try:
    dataset_factory.get_dataset(
        config.dataset_name, config.eval_split_name, config.dataset_dir)
  except ValueError as missing:
    console.note(f'no evaluation: {missing}')
    figures = None
  else:
    shared = configs.PipelineConfig.__dataclass_fields__
    figures = evaluation.evaluate(configs.EvalConfig(
        checkpoint_path=config.train_dir,
        **{name: getattr(config, name) for name in shared}))
  picture = curves.draw(config.train_dir, figures)
  if picture:
    console.say(f'The curves are in {picture}.')
  return figures


def train(config: configs.TrainConfig) -> dict | None:
  """Trains a network, and evaluates it at the end.

  Writes checkpoints, config.json, metrics.csv, curves.png and TensorBoard
  summaries to `config.train_dir`; started again, continues from there.

  Args:
    config: what to do; fields that are None are completed.

  Returns:
    The figures of the evaluation; None if there are no data for one.

  Raises:
    ValueError: the configuration, the data or a checkpoint does not fit, or
      the loss is not finite; the sentence says what to do.
    SystemExit: stopped by a signal, after saving.
  """
  tf.disable_tensor_equality()  # else graphs take twice as long to build
  config, dataset = resolve.training(config)
  os.makedirs(config.train_dir, exist_ok=True)
  with tf.Graph().as_default():
    tf.set_random_seed(config.seed)
    step = tf.train.get_or_create_global_step()

    source = _source(config, dataset)
    stream, waiting = _stream(config, source, step)
    batch = stream.batch

    network_fn = nets_factory.get_network_fn(
        config.model_name, dataset.num_classes - config.labels_offset,
        config.weight_decay, is_training=True,
        batch_norm_decay=config.batch_norm_decay)
    logits, _ = network_fn(batch.images)

    loss = classification.loss(logits, batch.labels, config.label_smoothing)
    total_loss = loss + tf.losses.get_regularization_loss()
    learning_rate = schedules.build(config, source.num_examples, step)
    train_op, shadows = _train_op(config, total_loss, learning_rate, step)
    with tf.control_dependencies([train_op]):
      done = tf.identity(step.read_value())
    fetches = {
        'step': done, 'loss': loss, 'total_loss': total_loss,
        'accuracy': classification.accuracy(logits, batch.labels),
        'learning_rate': learning_rate, 'waiting': waiting}
    tf.summary.image('images', batch.images)

    _introduce(config, dataset, source)
    latest, start, init_fn = _start(config)
    stream.position = start
    options.write(config, config.train_dir, num_classes=dataset.num_classes,
                  class_names=resolve.class_names(dataset,
                                                  config.labels_offset))
    total = config.max_number_of_steps
    if total is None or start < total:
      saver = tf.train.Saver(max_to_keep=5, save_relative_paths=True)
      # Those of before stay listed, and are deleted in their turn.
      saver.recover_last_checkpoints(checkpoints.listed(config.train_dir))
      scaffold = tf.train.Scaffold(init_fn=init_fn, saver=saver)
      stop = hooks.StopOnSignal()
      session_hooks = [
          stop,
          hooks.Report(fetches, config.train_dir, start, total,
                       config.log_every_n_steps, config.batch_size),
          hooks.Save(scaffold, checkpoints.prefix(config.train_dir),
                     config.save_interval_secs, done, total,
                     _finisher(config, source, stream, shadows)),
          tf.train.SummarySaverHook(
              save_secs=config.save_summaries_secs,
              output_dir=config.train_dir, scaffold=scaffold)]
      creator = tf.train.ChiefSessionCreator(
          scaffold, config=_session_config(),
          checkpoint_filename_with_path=latest)
      try:
        with tf.train.MonitoredSession(creator, session_hooks) as session:
          while not session.should_stop():
            stream.run(session, train_op)
      finally:
        stop.restore()
      if stop.received:
        curves.draw(config.train_dir)
        console.say('Stopped and saved; the same command goes on from here.')
        raise SystemExit(128 + stop.received)
  return _evaluate(config)
