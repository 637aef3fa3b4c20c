"""Training: data, model, loss, optimizer, restore, loop."""

import functools

import numpy as np
import tensorflow.compat.v1 as tf

from datasets import dataset_factory
from datasets.images import overlays
from engine import (
  batch_norm,
  best,
  checkpoints,
  console,
  continuing,
  curves,
  diagnosis,
  forms,
  hooks,
  input_pipeline,
  model,
  optimizers,
  options,
  pixel_mean,
  precision,
  resolve,
  schedules,
  selection,
  train_step,
  validation,
  warm_start,
)
from engine import config as configs
from engine import evaluate as evaluation
from engine.segmentation import SEGMENTATION
from nets.slim_compat import slim
from preprocessing import mixing, preprocessing_factory


def _source(config, dataset, continues):
  """Returns the examples, augmented as the flags say."""
  recipe = (config.preprocessing_name, True, config.use_grayscale)
  if config.task == SEGMENTATION:
    return input_pipeline.open_source(
      config,
      dataset,
      functools.partial(
        preprocessing_factory.get_segmentation_preprocessing(*recipe),
        min_scale_factor=config.min_scale_factor,
        max_scale_factor=config.max_scale_factor,
        scale_factor_step_size=config.scale_factor_step_size,
        ignore_label=config.ignore_label,
        flip=config.random_flip,
        photometric=config.photometric,
      ),
      config.crop,
    )
  prepare = functools.partial(
    preprocessing_factory.get_preprocessing(*recipe),
    rand_augment_layers=config.rand_augment_layers,
    rand_augment_magnitude=config.rand_augment_magnitude,
    random_erasing=config.random_erasing,
  )
  if pixel_mean.is_needed(config):
    return pixel_mean.source(config, dataset, prepare, continues)
  return input_pipeline.open_source(
    config, dataset, prepare, config.train_image_size
  )


def _stream(config, source, start):
  """Returns the batches, and the seconds for which the next was waited."""
  mix = None
  if config.mixup_alpha or config.cutmix_alpha:
    mix = functools.partial(
      mixing.mix,
      mixup_alpha=config.mixup_alpha,
      cutmix_alpha=config.cutmix_alpha,
    )
  parts = config.num_micro_batches
  begin = tf.timestamp()
  with tf.control_dependencies([begin]):
    stream = source.training(
      config.batch_size // parts, config.seed, start * parts, mix
    )
  with tf.control_dependencies(list(stream.batch)):
    return stream, tf.timestamp() - begin


def _introduce(config, dataset, source):
  """Prints what is trained, on what, and where it is written."""

  def count(variables):
    return f'{sum(v.shape.num_elements() for v in variables):,}'

  parameters = f'{count(tf.trainable_variables())} parameters'
  if config.trainable_scopes:
    trained = checkpoints.matching(
      tf.trainable_variables(), config.trainable_scopes, 'trainable_scopes'
    )
    parameters += f', {count(trained)} of them trained'
  side = config.train_image_size
  images = f'images of {side}x{side}'
  if config.task == SEGMENTATION:
    height, width = config.crop
    images = (
      f'crops of {height}x{width} (height x width), output stride '
      f'{config.output_stride}, decoder {config.decoder}'
    )
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
    f'{steps} steps of {config.batch_size} {images}{epochs}, '
    f'preprocessing {config.preprocessing_name}, optimizer '
    f'{config.optimizer}.\nWriting to {config.train_dir}.'
  )


def _recalibration(config, source, stream, shadows):
  """Returns what finds batch norm's statistics, by as many batches as asked."""
  batches = config.recalibrate_batch_norm_batches
  if batches is None:
    batches = min(-(-source.num_examples // config.batch_size), 100)
  return batch_norm.Recalibration(
    stream, batches * config.num_micro_batches, shadows
  )


def _continue(config):
  """Returns the checkpoint to continue, None for a new run, and its step."""
  latest = checkpoints.to_continue(config.train_dir)
  if latest is None:
    return None, 0
  return latest, int(tf.train.load_checkpoint(latest).get_tensor('global_step'))


def _restore(config, latest, start, finished):
  """Says where training begins; returns what restores other weights."""
  if latest:
    console.say(
      f'{latest} has been trained to the end.'
      if finished
      else f'Continuing from {latest}, step {start}.'
    )
    return None
  if not config.checkpoint_path:
    if config.freeze_batch_norm:
      console.note(
        '--freeze_batch_norm without --checkpoint_path normalizes '
        'by a mean of 0 and a variance of 1.'
      )
    return None
  warm = warm_start.prepare(config)
  for line in warm.lines:
    console.say(line)
  warm.write(config.train_dir)
  return warm.init_fn


def _summarize(config, images, labels, logits):
  """Adds the images, masks and histograms for TensorBoard."""
  tf.summary.image('images', images)
  if config.task == SEGMENTATION:
    # What has no label, in the padding too, is in the last colour.
    colours = tf.constant(
      np.append(overlays.palette(256), [overlays.IGNORED], 0), tf.uint8
    )
    shown = tf.where(
      tf.equal(labels, config.ignore_label),
      tf.fill(tf.shape(labels), 256),
      labels,
    )
    predicted = tf.argmax(logits, -1, output_type=tf.int32)
    tf.summary.image('masks', tf.gather(colours, shown))
    tf.summary.image('predicted', tf.gather(colours, predicted))
  for variable in tf.trainable_variables():
    tf.summary.histogram(f'weights/{variable.op.name}', variable)


def _find_eval_data(config):
  """Returns why there are no data to evaluate on, '' if there are."""
  try:
    dataset_factory.get_dataset(
      config.dataset_name, config.eval_split_name, config.dataset_dir
    )
  except ValueError as missing:
    return str(missing)
  return ''


def _evaluate(config):
  """Returns the figures of the finished run, None if there are no data."""
  missing = _find_eval_data(config)
  if not missing:
    return evaluation.evaluate(validation.eval_config(config))
  console.note(f'no evaluation: {missing}')
  return None


def _evaluate_every(config, source):
  """Returns the steps between two evaluations, None for none."""
  if config.evaluate_every is None:
    return None
  missing = _find_eval_data(config)
  if missing:
    raise ValueError(f'--evaluate_every needs data to evaluate on: {missing}')
  return forms.interval(config.evaluate_every).steps(
    source.num_examples / config.batch_size
  )


def _scaffold(config, restore):
  saver = tf.train.Saver(
    max_to_keep=config.keep_checkpoints, save_relative_paths=True
  )
  # Those of before stay listed, and are deleted in their turn.
  saver.recover_last_checkpoints(checkpoints.listed(config.train_dir))
  return tf.train.Scaffold(init_fn=restore, saver=saver)


def _profile(config, start):
  """Returns the hook that profiles, [] if none is asked for."""
  if config.profile_steps is None:
    return []
  return [
    hooks.Profile(config.train_dir, *forms.span(config.profile_steps), start)
  ]


def _finish(config, validating):
  """Evaluates the finished run, and draws its curves."""
  figures = _evaluate(config)
  if figures:
    for each in validating:
      each.conclude(figures)
  picture = curves.draw(config.train_dir, figures)
  if picture:
    console.say(f'The curves are in {picture}.')
  return figures


def train(
  given: configs.TrainConfig, watch: train_step.Watch | None = None
) -> dict | None:
  """Trains a network, and evaluates it at the end.

  Writes checkpoints, config.json, metrics.csv, curves.png and TensorBoard
  summaries to `train_dir`, and with --evaluate_every evaluations.csv, best.json
  and the best checkpoints; started again, continues from there.

  Args:
    given: what to do; fields that are None are completed.
    watch: see `train_step.build`.

  Returns:
    The figures of the evaluation; None if there are no data for one.

  Raises:
    ValueError: the configuration, the data or a checkpoint does not fit, or
      the loss is not finite; the sentence says what to do.
    SystemExit: stopped by a signal, after saving.
  """
  tf.disable_tensor_equality()  # else graphs take twice as long to build
  precision.check(given.precision)
  config, dataset = resolve.training(given)
  with continuing.alone(config.train_dir), tf.Graph().as_default():
    continuing.check(config)
    tf.set_random_seed(config.seed)
    step = tf.train.get_or_create_global_step()
    latest, start = _continue(config)

    source = _source(config, dataset, latest is not None)
    every = _evaluate_every(config, source)
    evaluations = selection.Evaluations(config, start, every)
    stream, waiting = _stream(config, source, step)
    stream.position = start * config.num_micro_batches

    logits, end_points = model.build(
      config,
      stream.batch.images,
      source.examples.classes,
      is_training=not config.freeze_batch_norm,
      weight_decay=optimizers.regularizer_weight(config),
      batch_norm_decay=config.batch_norm_decay,
      zero_init_last_gamma=config.zero_init_last_gamma,
    )
    factor = tf.get_local_variable('plateau_factor', initializer=1.0)
    learning_rate = schedules.build(config, source.num_examples, step, factor)
    built = train_step.build(
      config,
      stream.batch.images,
      logits,
      stream.batch.labels,
      waiting,
      learning_rate,
      step,
      watch,
    )
    recalibration = _recalibration(config, source, stream, built.shadows)
    diagnose = diagnosis.Diagnosis(
      source, stream, config.num_micro_batches, end_points, config.train_dir
    )

    total = config.max_number_of_steps

    def is_last(number):
      return total is not None and number >= total or evaluations.over

    finished = is_last(start) and (
      not evaluations.over or best.is_finished(config.train_dir)
    )
    _introduce(config, dataset, source)
    restore = _restore(config, latest, start, finished)
    options.write(
      config,
      config.train_dir,
      num_classes=dataset.num_classes,
      class_names=resolve.class_names(dataset, config.labels_offset),
    )
    scaffold = _scaffold(config, restore)
    stop = hooks.StopOnSignal()
    report = hooks.Report(
      {**built.figures, 'step': built.step, 'learning_rate': learning_rate},
      config.train_dir,
      start,
      total,
      config.log_every_n_steps,
      config.batch_size,
    )
    save = hooks.Save(
      scaffold,
      checkpoints.prefix(config.train_dir),
      config.save_interval_secs,
      built.step,
      is_last,
      recalibration.apply,
      diagnose.explain,
    )
    validating = (
      []
      if every is None
      else [
        validation.Validation(
          config,
          every,
          evaluations,
          built.step,
          save.save,
          values=lambda session: validation.snapshot(
            session, recalibration.measure(session), built.shadows
          ),
          set_factor=lambda session, value: batch_norm.assign(
            session, {factor: value}
          ),
          names=[
            v.op.name
            for v in [*slim.get_model_variables(), *built.shadows.values()]
          ],
          exclude=report.exclude,
        )
      ]
    )
    profiling = _profile(config, start)
    _summarize(config, stream.batch.images, stream.batch.labels, logits)
    summaries = tf.train.SummarySaverHook(
      save_secs=config.save_summaries_secs,
      output_dir=config.train_dir,
      scaffold=scaffold,
    )
    if not finished:
      creator = tf.train.ChiefSessionCreator(
        scaffold,
        config=precision.session_config(config.precision),
        checkpoint_filename_with_path=latest,
      )
      try:
        with tf.train.MonitoredSession(
          creator, [report, *validating, save, summaries, *profiling, stop]
        ) as session:
          while not session.should_stop() and not evaluations.over:
            train_step.run(
              session, diagnose.run, built, config.num_micro_batches
            )
      finally:
        for each in (stop, report, *validating, *profiling):
          each.close()
      if stop.received:
        curves.draw(config.train_dir)
        console.say('Stopped and saved; the same command goes on from here.')
        raise SystemExit(128 + stop.received)
    return _finish(config, validating)
