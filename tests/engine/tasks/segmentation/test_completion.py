"""What follows from the task of the data for a script's flags."""

import json
import pathlib
import shutil
import types

import numpy as np
import pytest

from datasets.convert import scenes
from engine.config import runs
from engine.config.scripts import EvalConfig, TrainConfig
from engine.resolve.evaluation import evaluation
from engine.resolve.training import training
from engine.tasks.segmentation import completion, sizes
from metrics import segmentation
from tests import builders
from tests.engine.checkpoints import decoder_shapes

pytestmark = pytest.mark.usefixtures('workplace')


def _train(shapes, **flags):
  return training(
    TrainConfig(
      **{**builders.shape_flags(shapes), 'train_crop_size': '33', **flags}
    )
  )[0]


def test_the_data_tell(shapes):
  complete = _train(shapes)
  assert complete.task == 'segmentation' and complete.dataset_name == 'tfrecord'
  assert complete.best_metric == 'miou' and complete.ignore_label == 255
  assert complete.labels_offset == 0 and complete.train_image_size is None
  assert complete.preprocessing_name == 'vgg'
  assert complete.eval_split_name == 'val'
  assert complete.atrous_rates is None  # fcn has none
  digits = training(TrainConfig(model_name='resnet_v1_tiny'))[0]
  assert digits.task == 'classification' and digits.best_metric == 'accuracy'
  assert digits.decoder is digits.train_crop_size is None


def test_scenes_are_the_default(monkeypatch, tmp_path):
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
  monkeypatch.setattr(scenes, 'SCENES', {'train': 9, 'test': 2})
  complete, dataset = training(
    TrainConfig(model_name='resnet_v1_small', task='segmentation')
  )
  assert complete.dataset_name == 'digit_scenes' == dataset.name
  assert complete.eval_split_name == 'test'
  assert dataset.num_classes == 11 and dataset.num_samples == 9


@pytest.mark.parametrize(
  'flags, sentence',
  [
    (
      {'task': 'classification'},
      '--task=classification contradicts the dataset tfrecord, which has '
      'masks, with a label for every pixel: leave the flag out.',
    ),
    (
      {'train_image_size': 32},
      '--train_image_size is for classification, but the dataset tfrecord has '
      'masks, with a label for every pixel: pass --train_crop_size instead.',
    ),
    ({'mixup_alpha': 0.2}, '--mixup_alpha is for classification, but '),
    ({'label_smoothing': 0.1}, '--label_smoothing is for classification'),
    ({'cache': 'memory'}, '--cache is for classification'),
    (
      {'best_metric': 'accuracy'},
      '--best_metric=accuracy is no metric of segmentation: it can be miou, '
      'pixel_accuracy, mean_accuracy, frequency_weighted_iou, boundary_f1, '
      'mean_boundary_iou, loss, expected_calibration_error.',
    ),
    ({'plateau_metric': 'mean_f1'}, '--plateau_metric=mean_f1 is no metric'),
    (
      {'decoder': 'asp'},
      "There is no decoder named 'asp'. Did you mean aspp? The decoders are: "
      'fcn, aspp, deeplabv3plus, unet.',
    ),
    (
      {'output_stride': 12},
      '--output_stride=12 cannot be reached, since the networks halve the size '
      'again and again: pass 16, or 8 for finer features that take longer; '
      'some reach 1, 2, 4 or 32.',
    ),
    ({'multi_grid': '1,2,4'}, 'for each of the 1 units of block3'),
    (
      {'class_weights': '1,2'},
      '--class_weights=1,2 has 2 weights, but tfrecord has 3 classes: give one '
      'for each, or pass auto.',
    ),
    (
      {'decoder': 'aspp', 'batch_size': 1},
      'With one crop at once the image pooling of --decoder=aspp has one value '
      'a channel, of which batch norm makes a constant: raise --batch_size, or '
      'pass --freeze_batch_norm or --decoder=fcn.',
    ),
    ({'min_scale_factor': 3.0, 'max_scale_factor': 2.0}, 'swap them'),
  ],
)
def test_flags_that_do_not_fit(shapes, flags, sentence):
  with pytest.raises(ValueError) as error:
    _train(shapes, **flags)
  assert sentence in str(error.value)


@pytest.mark.parametrize(
  'flags, sentence',
  [
    (
      {'task': 'segmentation', 'dataset_name': 'digits'},
      '--task=segmentation contradicts the dataset digits, which has a label '
      'for every image: leave the flag out.',
    ),
    ({'train_crop_size': '33'}, 'pass --train_image_size instead.'),
    ({'decoder': 'aspp'}, '--decoder is for segmentation'),
    ({'best_metric': 'miou'}, '--best_metric=miou is no metric of class'),
  ],
)
def test_flags_of_masks_for_images(flags, sentence):
  with pytest.raises(ValueError) as error:
    training(TrainConfig(model_name='resnet_v1_tiny', **flags))
  assert sentence in str(error.value)


def test_the_number_of_a_worker_is_no_task(shapes):
  assert TrainConfig(task='0').notes() == []
  assert TrainConfig(task='2').notes() == [
    '--task=2: this version trains in one process; the number of a worker '
    'is ignored.'
  ]
  assert _train(shapes, task='0').task == 'segmentation'


@pytest.mark.parametrize(
  'size, stride, want',
  [
    ((513, 513), 16, (513, 513)),
    ((512, 512), 16, (513, 513)),
    ((1, 5), 16, (17, 17)),
    ((321, 500), 8, (321, 497)),
  ],
)
def test_aligned(size, stride, want):
  assert sizes.aligned(size, stride) == want


def test_another_size_is_suggested(shapes, capsys):
  _train(shapes, train_crop_size='32')
  assert (
    '--train_crop_size=32: a multiple of the output stride 8 plus one, '
    'such as 33, keeps features and pixels aligned.'
  ) in capsys.readouterr().out
  _train(shapes, train_crop_size='33,41')
  assert 'aligned' not in capsys.readouterr().out


@pytest.fixture(scope='session')
def checkpoint(shapes_run):
  return str(shapes_run.folder)


@pytest.mark.parametrize(
  'flags, frozen',
  [
    ({}, True),
    ({'batch_size': 12}, False),
    ({'batch_size': 12, 'num_micro_batches': 2}, True),
    ({'freeze_batch_norm': False}, False),
    ({'batch_size': 12, 'freeze_batch_norm': True}, True),
  ],
)
def test_batch_norm_is_frozen_for_few_crops(
  shapes, checkpoint, capsys, flags, frozen
):
  complete = _train(
    shapes, checkpoint_path=checkpoint, train_dir='tuned', **flags
  )
  assert complete.freeze_batch_norm is frozen
  said = 'too few for the statistics of batch norm' in capsys.readouterr().out
  assert said is (frozen and 'freeze_batch_norm' not in flags)


def test_batch_norm_is_never_frozen_from_scratch(shapes):
  assert _train(shapes).freeze_batch_norm is False


def test_automatic_weights(shapes, capsys):
  pixels = np.zeros(3, int)
  for seed in builders.SHAPE_TRAIN:
    _, mask = builders.shape(seed)
    pixels += np.bincount(mask.ravel(), minlength=256)[:3]
  want = segmentation.auto_class_weights(pixels)
  complete = _train(shapes, class_weights='auto')
  np.testing.assert_allclose(complete.class_weights, want, atol=1e-4)
  assert 'Weights of the classes: background ' in capsys.readouterr().out
  assert _train(shapes, class_weights='1,0.5,0').class_weights == (1, 0.5, 0)


def test_the_ignore_label(shapes):
  dataset = types.SimpleNamespace(ignore_label=7)
  completion.set_ignore_label(dataset, -1)
  assert dataset.ignore_label is None
  completion.set_ignore_label(dataset, 0)
  assert dataset.ignore_label == 0
  with pytest.raises(ValueError) as error:
    _train(shapes, ignore_label=254)
  assert 'has the value 255 in its mask' in str(error.value)


def test_resizing_is_taken_over_from_the_run(shapes_run, tmp_path):
  """And flags override it."""
  run = tmp_path / 'resized'
  shutil.copytree(shapes_run.folder, run)
  path = run / 'config.json'
  config = json.loads(path.read_text())
  path.write_text(json.dumps({**config, 'min_resize_value': 40}))
  path = (str(run),)
  assert (
    evaluation(EvalConfig(checkpoint_path=path)).config.text('min_resize_value')
    == 40
  )
  other = EvalConfig(checkpoint_path=path, min_resize_value=50)
  assert evaluation(other).config.min_resize_value == 50


def test_evaluation_takes_over_from_the_run(shapes, checkpoint):
  found = evaluation(EvalConfig(checkpoint_path=checkpoint))
  config = found.config
  assert (config.task, config.decoder, config.output_stride) == (
    'segmentation',
    'fcn',
    8,
  )
  assert config.eval_image_size is config.batch_size is None
  assert config.dataset_split_name == 'val' and config.labels_offset == 0
  finer = evaluation(EvalConfig(checkpoint_path=checkpoint, output_stride=4))
  assert finer.config.output_stride == 4
  for flags, sentence in [
    ({'decoder': 'aspp'}, '--decoder=aspp contradicts the run'),
    ({'ten_crop': True}, '--ten_crop is for classification'),
    ({'eval_image_size': 32}, 'pass --eval_crop_size instead'),
    (
      {'dataset_name': 'digits'},
      'The run was trained for segmentation, but '
      'the dataset digits is for classification',
    ),
  ]:
    with pytest.raises(ValueError) as error:
      evaluation(EvalConfig(checkpoint_path=checkpoint, **flags))
    assert sentence in str(error.value)


def _write(path, **options):
  """Writes the decoder of a checkpoint."""
  pathlib.Path(path).parent.mkdir(exist_ok=True)
  builders.write_checkpoint(
    path,
    {
      name: np.zeros(shape, np.float32)
      for name, shape in decoder_shapes.of(**options).items()
    },
  )
  return path


@pytest.fixture
def deeplabs():
  """A checkpoint of DeepLab's, which has no config.json."""
  return _write('deeplab/model.ckpt', separable=True, stages=2)


def test_a_checkpoint_of_deeplabs_tells_its_decoder(shapes, deeplabs, capsys):
  given = EvalConfig(
    checkpoint_path=deeplabs, model_name='resnet_v1_small', dataset_dir=shapes
  )
  config = evaluation(given).config
  assert (config.decoder, config.decoder_depth) == ('deeplabv3plus', 8)
  assert config.aspp_with_separable_conv and config.decoder_use_separable_conv
  assert config.add_image_level_feature
  assert config.decoder_output_stride == (4, 2)
  assert config.decoder_low_level == 'residual'
  sentence = (
    f'{deeplabs} has no config.json beside it, so it is taken for one of '
    "DeepLab's: --decoder_low_level=residual and --preprocessing_name=vgg."
  )
  assert sentence in ' '.join(capsys.readouterr().out.split())
  config = evaluation(given.replace(decoder_low_level='unit')).config
  assert config.decoder_low_level == 'unit'
  assert 'no config.json' not in capsys.readouterr().out


def test_the_low_level_feature_follows_the_start(shapes, deeplabs, capsys):
  flags = {'decoder': 'deeplabv3plus', 'train_dir': 'tuned'}
  assert _train(shapes, **flags).decoder_low_level == 'unit'
  flags['checkpoint_path'] = deeplabs
  complete = _train(shapes, **flags)
  assert complete.decoder_low_level == 'residual'
  said = ' '.join(capsys.readouterr().out.split())
  assert f'the decoder of {deeplabs} is taken to join the residual' in said
  given = _train(shapes, **flags, decoder_low_level='unit')
  assert given.decoder_low_level == 'unit'
  # It is resumed without its start; and one of a version without the flag.
  _write('tuned/model.ckpt-1')
  runs.write(complete, 'tuned')
  pathlib.Path('deeplab').rename('gone')
  assert _train(shapes, **flags).decoder_low_level == 'residual'
  path = pathlib.Path('tuned/config.json')
  old = json.loads(path.read_text())
  del old['decoder_low_level']
  path.write_text(json.dumps(old))
  assert _train(shapes, **flags).decoder_low_level == 'unit'
  # Such a run is another one's start, and evaluated.
  flags = {**flags, 'checkpoint_path': 'tuned', 'train_dir': 'other'}
  assert _train(shapes, **flags).decoder_low_level == 'unit'
  found = evaluation(EvalConfig(checkpoint_path='tuned')).config
  assert found.decoder_low_level == 'unit'
  with pytest.raises(ValueError, match='contradicts the run, which was'):
    evaluation(
      EvalConfig(checkpoint_path='tuned', decoder_low_level='residual')
    )


def test_the_preprocessing_of_a_start_is_said(shapes, deeplabs, capsys):
  def said(**flags):
    capsys.readouterr()
    complete = _train(
      shapes,
      model_name='resnet_v1_50_beta',
      decoder='deeplabv3plus',
      **{'checkpoint_path': deeplabs, **flags},
    )
    return complete, ' '.join(capsys.readouterr().out.split())

  complete, out = said()
  assert complete.preprocessing_name == 'inception'
  sentence = 'note: images are prepared by --preprocessing_name=inception, '
  assert f'{sentence}since {deeplabs} does not say which it was t' in out
  complete, out = said(preprocessing_name='vgg')
  assert complete.preprocessing_name == 'vgg' and sentence not in out
  # A run of a version whose networks had another.
  _write('old/model.ckpt-1')
  runs.write(complete, 'old')
  complete, out = said(checkpoint_path='old')
  assert complete.preprocessing_name == 'inception'
  cure = 'but those of old/model.ckpt-1 were by vgg: pass that to keep it.'
  assert sentence + cure in out


def test_a_decoder_stride_means_a_decoder(shapes):
  flags = builders.shape_flags(
    shapes, decoder_output_stride='4', train_crop_size='33'
  )
  del flags['decoder']
  assert training(TrainConfig(**flags))[0].decoder == 'deeplabv3plus'


def test_one_crop_without_image_pooling(shapes):
  complete = _train(
    shapes, decoder='aspp', batch_size=1, add_image_level_feature=False
  )
  assert not complete.freeze_batch_norm
