"""Masks through the scripts: training, evaluation, classification."""

import csv
import functools
import json
import pathlib
import shutil

import numpy as np
import pytest
from PIL import Image

import classify_image
import eval_image_classifier
import inspect_checkpoint
from datasets import dataset_utils
from datasets.convert import scenes
from datasets.images import overlays
from nets import nets_factory, resnet_generator, resnet_v1
from tests import builders
from tests.builders import call, refused, train

pytestmark = pytest.mark.usefixtures('workplace')


def evaluate(*arguments, **flags):
  return call(eval_image_classifier, *arguments, **flags)


def metrics(folder):
  return json.loads(pathlib.Path(folder, 'eval.json').read_text())


def rows(path):
  with open(path, newline='') as file:
    return list(csv.DictReader(file))


def test_a_run(shapes_run):
  """What is said, and what is written."""
  out, folder = shapes_run.out, shapes_run.folder
  for line in (
    'on the 12 examples of tfrecord, split train, in 3 classes.',
    '2 steps of 4 crops of 33x33 (height x width), output stride 8, decoder '
    'fcn',
    'on the 7 examples of tfrecord, split val, each at its own size, output '
    'stride 8.',
    'mIOU 0.',
    'boundary F1 ',
    'mean boundary IoU ',
    '(expected calibration error)',
    'IoU: background ',
    'boundary IoU: background ',
  ):
    assert line in out, line
  # Of events for TensorBoard the name has the time.
  names = [path.name for path in (folder / 'eval').iterdir()]
  assert {name.partition('.out.')[0] for name in names} == {
    'events',
    'eval.json',
    'per_class.csv',
    'per_image.csv',
    'confusion_matrix.png',
    'overlays.png',
    'worst_images.png',
  }
  found = metrics(folder / 'eval')
  per_class = rows(folder / 'eval' / 'per_class.csv')
  iou = [float(row['iou']) for row in per_class]
  assert found['miou'] == pytest.approx(np.mean(iou), abs=1e-5)
  assert found['iou'] == pytest.approx(
    {row['name']: float(row['iou']) for row in per_class}, abs=1e-5
  )
  for name in 'boundary_iou', 'calibration_error':
    assert found[name] == pytest.approx(
      {row['name']: float(row[name]) for row in per_class}, abs=1e-5
    )
  assert found['mean_boundary_iou'] == pytest.approx(
    np.mean([*found['boundary_iou'].values()])
  )
  images = rows(folder / 'eval' / 'per_image.csv')
  assert [row['file'] for row in images] == [
    f'shape {seed}.png' for seed in builders.SHAPE_VAL
  ]
  assert sum(int(row['pixels']) for row in images) == sum(
    int(row['pixels']) for row in per_class
  )
  config = json.loads((folder / 'config.json').read_text())
  assert config['class_names'] == list(builders.SHAPE_NAMES)
  assert (folder / 'curves.png').exists()


def register_wide(setitem):
  """Adds resnet_v1_wide, which learns scenes by heart in seconds."""
  setitem(resnet_generator.UNITS, 'wide', (2, 1, 1, 1))
  function = functools.partial(
    resnet_generator.network(
      resnet_v1.resnet_v1, resnet_v1.resnet_v1_block, 'resnet_v1_wide', 'wide'
    ),
    depth_multiplier=1 / 4,
  )
  functools.update_wrapper(function, function.func)
  setitem(
    nets_factory.NETWORKS,
    'resnet_v1_wide',
    nets_factory.Network.of(function, resnet_v1.resnet_arg_scope, 'vgg'),
  )


@pytest.mark.slow
@pytest.mark.parametrize('decoder', ['deeplabv3plus', 'unet'])
def test_scenes_are_learnt(monkeypatch, decoder):
  """By heart; then finer features by the same weights."""
  register_wide(monkeypatch.setitem)
  for name, value in {
    'SCENES': {'train': 4, 'test': 1},
    'SIZE': 49,
    'HEIGHTS': (28, 40),
    'COUNTS': (1, 2),
  }.items():
    monkeypatch.setattr(scenes, name, value)
  scenes.ensure('four')
  printed = train(
    dataset_dir='four',
    model_name='resnet_v1_wide',
    train_dir='run',
    eval_split_name='train',
    max_number_of_steps=140,
    batch_size=4,
    train_crop_size=scenes.SIZE,
    decoder=decoder,
    decoder_depth=32,
    optimizer='adamw',
    learning_rate=0.015,
    clip_gradients_norm=1,
    learning_rate_decay_type='cosine',
    end_learning_rate=0,
    warmup=10,
    min_scale_factor=1,
    max_scale_factor=1,
    random_flip=False,
    log_every_n_steps=50,
  )
  assert printed.status == 0, printed.err
  assert metrics('run/eval')['miou'] > 0.95
  finer = evaluate(checkpoint_path='run', output_stride=8, eval_dir='finer')
  assert finer.status == 0 and 'output stride 8' in finer.out
  assert metrics('finer')['output_stride'] == 8
  assert metrics('finer')['miou'] > 0.5


@pytest.mark.slow
@pytest.mark.usefixtures('unevaluated')
def test_resumed_with_the_same_bits(shapes, monkeypatch):
  given = builders.shape_flags(
    shapes,
    max_number_of_steps=4,
    recalibrate_batch_norm_batches=0,
    decoder='deeplabv3plus',
    num_micro_batches=2,
    top_k_percent_pixels=0.5,
    hard_example_mining_step=3,
    class_weights='auto',
    segmentation_loss='cross_entropy,dice:0.5,focal,lovasz',
    auxiliary_loss_weight=0.4,
    dropout_rate=0.25,
    photometric=0.5,
    upsample_logits=False,
    moving_average_decay=0.9,
  )
  builders.save_every_step(monkeypatch)
  for folder in 'whole', 'parts':
    printed = train(**{**given, 'train_dir': folder})
    assert printed.status == 0, printed.err
    if folder == 'whole':
      builders.rewind('whole', 2, 'parts')
  assert 'Resuming from parts/model.ckpt-2, step 2.' in printed.out
  assert builders.differing('whole/model.ckpt-4', 'parts/model.ckpt-4') == []


@pytest.mark.slow
def test_an_auxiliary_head_is_of_a_training_alone(shapes):
  """No evaluation knows it; another training takes it over, or not."""
  flags = builders.shape_flags(
    shapes,
    decoder='aspp',
    auxiliary_loss_weight=0.4,
    dropout_rate=0.5,
    segmentation_loss='lovasz',
    moving_average_decay=0.9,
    recompute=True,
    num_micro_batches=2,
    evaluate_every=1,
  )
  printed = train(**flags)
  assert printed.status == 0, printed.err
  there = [n for n in builders.tensors('run') if n.startswith('auxiliary/')]
  assert 'auxiliary/conv/weights' in there
  assert 'auxiliary/logits/weights/ExponentialMovingAverage' in there
  again = evaluate(checkpoint_path='run', checkpoints='all', eval_dir='all')
  assert again.status == 0, again.err
  told = call(inspect_checkpoint, 'run', model_name='resnet_v1_small')
  assert 'It fits resnet_v1_small.' in told.out, told.out
  refused(
    train(**{**flags, 'auxiliary_loss_weight': 0.0}),
    'begun with auxiliary_loss_weight=0.4, not 0',
  )
  for weight, words in (
    (0.2, '0 left out, 0 missing, 0 unexpected'),
    (0.0, '7 of an auxiliary head'),
  ):
    folder = f'tuned{weight}'
    printed = train(
      **{
        **flags,
        'train_dir': folder,
        'checkpoint_path': 'run',
        'auxiliary_loss_weight': weight,
        'freeze_batch_norm': True,
      }
    )
    assert printed.status == 0, printed.err
    assert words in printed.out
    kept = [n for n in builders.tensors(folder) if n.startswith('auxiliary/')]
    assert bool(kept) == bool(weight)
  frozen = builders.tensors('tuned0.2')['auxiliary/conv/BatchNorm/moving_mean']
  np.testing.assert_array_equal(
    frozen, builders.tensors('run')['auxiliary/conv/BatchNorm/moving_mean']
  )


@pytest.mark.usefixtures('uncompared')
def test_the_best_is_kept_by_miou(shapes_run):
  folder = shapes_run.folder
  assert 'evaluation at step 1: mIOU ' in shapes_run.out
  best = json.loads((folder / 'best.json').read_text())
  assert best['metric'] == 'miou'
  again = evaluate(checkpoint_path=folder, checkpoints='best', eval_dir='best')
  assert again.status == 0, again.err
  assert metrics('best')['miou'] == pytest.approx(
    best['best'][0]['value'], abs=1e-3
  )


@pytest.mark.slow
@pytest.mark.usefixtures('uncompared')
def test_views_and_windows(shapes_run):
  """Of one image in each step, at several sizes, mirrored, in windows."""
  printed = evaluate(
    checkpoint_path=shapes_run.folder,
    eval_dir='all',
    flip=True,
    scales='0.5,1',
    eval_crop_size=17,
    batch_size=1,
  )
  assert printed.status == 0, printed.err
  assert 'through windows of 17, output stride 8' in printed.out
  assert 'averaging 4 views of each' in printed.out
  assert metrics('all')['examples'] == 7


def test_classifying_images(shapes_run, tmp_path):
  paths = []
  for seed, folder in ((0, 'a'), (1, 'b')):
    pathlib.Path(folder).mkdir()
    paths.append(f'{folder}/shape.png')
    Image.fromarray(builders.shape(seed)[0]).save(paths[-1])
  printed = call(
    classify_image,
    *paths,
    '--json',
    output_dir='masks',
    checkpoint_path=shapes_run.folder,
  )
  assert printed.status == 0, printed.err
  lines = [json.loads(line) for line in printed.out.splitlines()]
  assert [pathlib.Path(line['mask']).name for line in lines] == [
    'shape_mask.png',
    'shape-2_mask.png',
  ]
  for line, path in zip(lines, paths, strict=True):
    mask = Image.open(line['mask'])
    assert mask.mode == 'P' and mask.size == Image.open(path).size
    ids = np.asarray(mask)
    np.testing.assert_array_equal(
      np.asarray(mask.convert('RGB')), overlays.palette(3)[ids]
    )
    shares = {each['name']: each['share'] for each in line['classes']}
    assert shares == pytest.approx(
      {
        builders.SHAPE_NAMES[i]: float((ids == i).mean())
        for i in np.unique(ids)
      }
    )
    assert Image.open(line['overlay']).size[0] > 0


def test_frames_of_a_video(shapes_run):
  """A folder of them, one of which is broken, beside a video itself."""
  folder = pathlib.Path('clip')
  folder.mkdir()
  for number in 2, 10, 9:
    image = Image.fromarray(builders.shape(number, (28, 32))[0])
    image.save(folder / f'frame{number}.png')
  (folder / 'frame9.png').write_bytes(b'none')
  pathlib.Path('clip.mp4').touch()
  printed = call(
    classify_image,
    'clip.mp4',
    'clip',
    '--flip',
    scales='0.5,1',
    output_stride=4,
    checkpoint_path=shapes_run.folder,
    output_dir='masks',
  )
  assert printed.status == 1
  files = [line for line in printed.out.splitlines() if line.endswith('.png')]
  assert files == ['clip/frame2.png', 'clip/frame10.png']
  assert printed.err.splitlines() == [
    'error: clip/frame9.png is no image, or is damaged.',
    'error: clip.mp4 is a video: make a folder of its frames, and name that: '
    'mkdir clip && ffmpeg -i clip.mp4 clip/%06d.png',
    'error: 2 of 4 files could not be classified: see above.',
  ]
  assert sorted(path.name for path in pathlib.Path('masks').iterdir()) == [
    'frame10_mask.png',
    'frame10_overlay.png',
    'frame2_mask.png',
    'frame2_overlay.png',
  ]


@pytest.mark.usefixtures('unevaluated')
def test_a_folder_that_cannot_be_written(shapes_run, tmp_path):
  """Is named before the images are looked at."""
  (tmp_path / 'file').touch()
  printed = builders.call(
    classify_image,
    str(tmp_path / 'file'),
    checkpoint_path=shapes_run.folder,
    output_dir=tmp_path / 'file/masks',
  )
  builders.refused(printed, 'file is no folder', '--output_dir')


@pytest.mark.slow
def test_fine_tuning_from_a_classifier(shapes, tmp_path):
  released = builders.write_released(
    tmp_path / 'old' / 'a.ckpt', 'resnet_v1_small', 1000
  )
  printed = train(
    **builders.shape_flags(shapes, decoder='aspp', checkpoint_path=released)
  )
  assert printed.status == 0, printed.err
  assert (
    'Left out (the checkpoint has no such part of a decoder): '
    'image_pooling/' in printed.out
  )
  assert (
    '4 crops at once are too few for the statistics of batch norm'
    in printed.out
  )
  start = builders.tensors(released)
  end = builders.tensors('run')
  frozen = [name for name in start if 'moving_' in name]
  assert frozen and all((start[name] == end[name]).all() for name in frozen)
  told = call(inspect_checkpoint, 'run', model_name='resnet_v1_small')
  assert 'decoder        aspp, 8 channels' in told.out
  assert 'It fits resnet_v1_small, and holds more than that.' in told.out or (
    'It fits resnet_v1_small.' in told.out
  )


@pytest.mark.slow
@pytest.mark.usefixtures('uncompared')
def test_deeplabs_command_lines(shapes, monkeypatch):
  """Two steps, an evaluation and a mask, by what its users have in scripts."""
  common = (
    '--logtostderr',
    '--model_variant=resnet_v1_small',
    '--atrous_rates=1',
    '--atrous_rates=2',
    '--output_stride=8',
    f'--dataset_dir={shapes}',
  )
  with monkeypatch.context() as patch:
    patch.setattr('engine.train._evaluate', lambda config: None)
    printed = train(
      *common,
      '--training_number_of_steps=2',
      '--train_split=train',
      '--train_crop_size=33,33',
      '--train_batch_size=4',
      '--train_logdir=logs',
      '--dataset=of_my_own',
      '--base_learning_rate=0.01',
      '--fine_tune_batch_norm=true',
      '--last_layer_gradient_multiplier=10',
      '--aspp_convs_filters=8',
      '--max_resize_value=41',
      '--min_resize_value=33',
      '--resize_factor=8',
      '--log_steps=1',
      '--noaspp_with_squeeze_and_excitation',
    )
  assert printed.status == 0, printed.err
  assert "note: DeepLab's defaults, where no flag says" in printed.out
  learnt = rows('logs/metrics.csv')
  rates = [float(row['learning_rate']) for row in learnt]
  assert rates == pytest.approx([0.01, 0.01 * 0.5**0.9], rel=1e-5)
  names = [name for name in builders.tensors('logs') if name.startswith('asp')]
  assert {name[:5] for name in names} == {'aspp0', 'aspp1', 'aspp2'}
  printed = evaluate(
    *common,
    '--checkpoint_dir=logs',
    '--eval_logdir=found',
    '--eval_split=val',
    '--eval_crop_size=65,65',
    '--max_number_of_evaluations=1',
    '--dataset=of_my_own',
  )
  assert printed.status == 0, printed.err
  sizes = {(row['height'], row['width']) for row in rows('found/per_image.csv')}
  assert {side % 8 for size in sizes for side in map(int, size)} == {1}
  image = builders.shape(0)[0]  # of another size than it is looked at
  Image.fromarray(image).save('a.png')
  printed = call(
    classify_image, '--checkpoint_dir=logs', '--vis_logdir=masks', 'a.png'
  )
  assert printed.status == 0, printed.err
  assert np.asarray(Image.open('masks/a_mask.png')).shape == image.shape[:2]


@pytest.mark.slow
@pytest.mark.usefixtures('uncompared')
def test_deeplabs_forms(shapes):
  """The whole way: trained, evaluated, without its config.json, tuned."""
  forms = {
    'decoder': 'deeplabv3plus',
    'aspp_with_separable_conv': True,
    'decoder_use_separable_conv': True,
    'decoder_output_stride': '4,2',
    'decoder_low_level': 'residual',
    'image_pooling_crop_size': 33,
  }
  flags = builders.shape_flags(shapes, **forms)
  printed = train(**flags, image_pyramid='0.5,1')
  assert printed.status == 0, printed.err
  told = call(inspect_checkpoint, 'run', model_name='resnet_v1_small')
  assert 'deeplabv3plus, 8 channels, --aspp_with_separable_conv=' in told.out
  assert 'It fits resnet_v1_small.' in told.out
  assert evaluate(checkpoint_path='run').status == 0
  assert (
    evaluate(checkpoint_path='run', image_pyramid=1, eval_dir='o').status == 0
  )
  pathlib.Path('bare').mkdir()
  for path in pathlib.Path('run').glob('model.ckpt-2.*'):
    shutil.copy(path, 'bare')
  known = {'model_name': 'resnet_v1_small', 'dataset_dir': shapes}
  again = evaluate(
    checkpoint_path='bare',
    output_stride=8,
    image_pooling_crop_size=33,
    eval_dir='again',
    **known,
  )
  assert again.status == 0, again.err
  assert metrics('again')['miou'] == pytest.approx(metrics('o')['miou'])
  assert metrics('again')['loss'] == pytest.approx(metrics('o')['loss'])
  refused(
    evaluate(checkpoint_path='bare', aspp_with_separable_conv=False, **known),
    'The decoder of the checkpoint bare/model.ckpt-2 is of another form',
    ': pass --aspp_with_separable_conv=true.',
  )
  tuned = {**flags, 'checkpoint_path': 'bare', 'train_dir': 'tuned'}
  printed = train(**tuned)
  assert printed.status == 0, printed.err
  assert '0 left out, 0 missing, 0 unexpected' in printed.out
  refused(
    train(**{**tuned, 'decoder_output_stride': 4, 'train_dir': 'another'}),
    ': pass --decoder_output_stride of 2, such as 4,2, or leave them by ',
  )


def test_an_ensemble_of_masks_is_refused(shapes_run):
  refused(
    evaluate(checkpoint_path=f'{shapes_run.folder},{shapes_run.folder}'),
    'An ensemble averages the probabilities of images',
  )


@pytest.mark.slow
def test_a_bad_mask_is_left_out():
  """In training, and as the first one in evaluation, which says it once."""
  folder = builders.write_broken_shapes(
    'broken', lambda mask: mask.resize((9, 8))
  )
  broken = builders.shape_example(100)
  broken.features.feature['image/encoded'].bytes_list.value[0] = b'none'
  dataset_utils.write_tfrecord(
    pathlib.Path(folder, 'val-00000-of-00001.tfrecord'),
    [broken, *map(builders.shape_example, builders.SHAPE_VAL)],
  )
  printed = train(
    **builders.shape_flags(folder, batch_size=12, skip_bad_examples=1)
  )
  assert printed.status == 0, printed.err
  said = [line for line in printed.out.splitlines() if 'left out: ' in line]
  assert (
    len(said) == 2 and 'record 5 of' in said[0] and 'record 0 of' in (said[1])
  )
  assert metrics('run/eval')['examples'] == len(builders.SHAPE_VAL)


@pytest.mark.parametrize(
  'value, words',
  [
    (255, ('All pixels of the masks', 'ignored', '--ignore_label')),
    (0, ('one class alone', 'background')),
  ],
)
def test_masks_of_which_nothing_can_be_learnt(value, words):
  def example(seed):
    image, mask = builders.shape(seed)
    found = builders.shape_example(seed)
    found.features.feature['image/segmentation/class/encoded'].bytes_list.value[
      0
    ] = builders.encode(Image.fromarray(np.full_like(mask, value)), 'png')
    return found

  path = pathlib.Path(builders.write_shapes(pathlib.Path('same')))
  dataset_utils.write_tfrecord(
    path / 'train-00000-of-00001.tfrecord', map(example, builders.SHAPE_TRAIN)
  )
  refused(train(**builders.shape_flags(str(path))), *words)


def test_nothing_to_evaluate(shapes_run):
  path = pathlib.Path(builders.write_shapes(pathlib.Path('ignored')))
  example = builders.shape_example(0)
  example.features.feature['image/segmentation/class/encoded'].bytes_list.value[
    0
  ] = builders.encode(
    Image.fromarray(np.full_like(builders.shape(0)[1], 255)), 'png'
  )
  dataset_utils.write_tfrecord(path / 'val-00000-of-00001.tfrecord', [example])
  refused(
    evaluate(
      checkpoint_path=shapes_run.folder,
      dataset_dir='ignored',
      dataset_split_name='val',
    ),
    'All pixels of the masks of tfrecord, split val, have the ignore label 255',
  )


@pytest.mark.slow
@pytest.mark.usefixtures('unevaluated')
def test_a_copied_run_resumes(shapes_run, shapes):
  shutil.copytree(shapes_run.folder, 'run')
  flags = builders.shape_flags(shapes, evaluate_every=1)
  printed = train(**{**flags, 'max_number_of_steps': 3})
  assert printed.status == 0, printed.err
  refused(
    train(**{**flags, 'max_number_of_steps': 4, 'decoder': 'aspp'}),
    'decoder=fcn, not aspp',
  )


@pytest.mark.slow
@pytest.mark.usefixtures('uncompared')
def test_a_network_for_small_images(shapes):
  """Its nominal stride, 4, is the default; another root's follows."""
  flags = {**builders.shape_flags(shapes), 'max_number_of_steps': 1}
  for name in 'output_stride', 'decoder', 'decoder_depth':
    flags.pop(name, None)
  printed = train(
    **{
      **flags,
      'model_name': 'cifar_residual_8',
      'decoder_depth': 8,
      'train_dir': 'small',
    }
  )
  assert printed.status == 0, printed.err
  assert 'output stride 4,' in printed.out
  assert 'preprocessing inception' in printed.out
  told = builders.call(
    inspect_checkpoint, 'small', model_name='cifar_residual_8'
  )
  assert told.status == 0 and 'It fits' in told.out, told.out + told.err
