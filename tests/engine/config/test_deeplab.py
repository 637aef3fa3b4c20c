"""DeepLab's command lines through the parser."""

import dataclasses

import pytest

from engine.config import deeplab, deeplab_commands, flags, runs
from engine.config.export import ExportConfig
from engine.config.parsing import Length
from engine.config.scripts import (
  ClassifyConfig,
  ConvertConfig,
  EvalConfig,
  TrainConfig,
)

SCRIPTS = (TrainConfig, EvalConfig, ClassifyConfig, ExportConfig)
# The flags of DeepLab's scripts, as they were.
THEIRS = """master num_clones clone_on_cpu num_replicas startup_delay_steps
num_ps_tasks task train_logdir log_steps save_interval_secs save_summaries_secs
save_summaries_images profile_logdir optimizer learning_policy
base_learning_rate decay_steps end_learning_rate learning_rate_decay_factor
learning_rate_decay_step learning_power training_number_of_steps momentum
adam_learning_rate adam_epsilon train_batch_size weight_decay train_crop_size
last_layer_gradient_multiplier upsample_logits hard_example_mining_step
top_k_percent_pixels drop_path_keep_prob tf_initial_checkpoint
initialize_last_layer last_layers_contain_logits_only slow_start_step
slow_start_learning_rate slow_start_burnin_type fine_tune_batch_norm
min_scale_factor max_scale_factor scale_factor_step_size atrous_rates
output_stride quantize_delay_step dataset train_split dataset_dir
min_resize_value max_resize_value resize_factor keep_aspect_ratio
logits_kernel_size model_variant add_image_level_feature image_pooling_stride
aspp_with_batch_norm aspp_with_separable_conv multi_grid depth_multiplier
divisible_by merge_method decoder_output_stride decoder_use_separable_conv
prediction_with_upsampled_logits dense_prediction_cell_json
nas_stem_output_num_conv_filters nas_use_classification_head
nas_remove_os32_stride use_bounded_activation aspp_with_concat_projection
aspp_with_squeeze_and_excitation aspp_convs_filters decoder_use_sum_merge
decoder_filters decoder_output_is_logits image_se_uses_qsigmoid label_weights
batch_norm_decay eval_split checkpoint_dir eval_logdir eval_crop_size
eval_batch_size eval_scales add_flipped_images max_number_of_evaluations
eval_interval_secs vis_split vis_logdir vis_crop_size vis_batch_size
colormap_type also_save_raw_predictions max_number_of_iterations checkpoint_path
export_path num_classes crop_size inference_scales save_inference_graph
logtostderr""".split()


def fields(*configs):
  return {field.name for each in configs for field in dataclasses.fields(each)}


def read(config_class, line, begin=None):
  return flags.read(config_class, ['script.py', *line.split()], begin)


def train(line):
  """The values of a training of DeepLab's, but for its defaults."""
  needed = '--train_logdir=run --model_variant=resnet_v1_50_beta '
  return read(TrainConfig, needed + line, runs.resumed).config


def refused(config_class, line, *words):
  with pytest.raises(ValueError) as error:
    read(config_class, line)
  for word in words:
    assert word in str(error.value)


def test_every_flag_has_its_row_or_is_ours():
  known = fields(*SCRIPTS)
  assert sorted({*THEIRS} - known - deeplab.FLAGS.keys()) == []


def test_rows_lead_to_flags():
  for name, flag in deeplab.FLAGS.items():
    # What a neighbour of the table still has no flag for leads to none.
    own = {*flag.ours} - {name}
    assert own <= fields(*SCRIPTS), name
    assert flag.ours or flag.why or flag.only, name
    assert not flag.why or flag.why.endswith('.'), name


PAPER = """--logtostderr --training_number_of_steps=90000 --train_split=train
--model_variant=resnet_v1_50_beta --atrous_rates=6 --atrous_rates=12
--atrous_rates=18 --output_stride=16 --decoder_output_stride=4
--train_crop_size=513,513 --train_batch_size=4 --dataset=pascal_voc_seg
--tf_initial_checkpoint=ckpt --train_logdir=run --dataset_dir=data"""
BY_DEFAULT = {
  'learning_rate': 0.0001,
  'learning_rate_decay_type': 'polynomial',
  'learning_power': 0.9,
  'end_learning_rate': 0,
  'num_steps_per_decay': 90000,
  'learning_rate_multipliers': {'logits/semantic/biases': 2},
  'batch_norm_decay': 0.9997,
  'freeze_batch_norm': False,
  'optimizer': 'momentum',
  'momentum': 0.9,
  'weight_decay': 0.00004,
  'min_scale_factor': 0.5,
  'max_scale_factor': 2,
  'scale_factor_step_size': 0.25,
  'random_flip': True,
  'decoder_depth': 256,
  'task': 'segmentation',
  'preprocessing_name': 'inception',
  'dropout_rate': 0.1,
  'aspp_with_separable_conv': True,
  'decoder_use_separable_conv': True,
  'decoder_low_level': 'residual',
}


def test_training():
  found = read(TrainConfig, PAPER, runs.resumed)
  want = {
    'max_number_of_steps': 90000,
    'dataset_split_name': 'train',
    'model_name': 'resnet_v1_50_beta',
    'atrous_rates': (6, 12, 18),
    'output_stride': 16,
    'decoder': 'deeplabv3plus',
    'train_crop_size': (513, 513),
    'batch_size': 4,
    'dataset_name': 'pascal_voc_seg',
    'checkpoint_path': 'ckpt',
    'train_dir': 'run',
    'dataset_dir': 'data',
    **BY_DEFAULT,
  }
  assert {name: getattr(found.config, name) for name in want} == want
  understood, defaults = found.notes
  assert '--train_logdir is --train_dir.' in understood
  assert '--train_batch_size is --batch_size, ' in understood
  assert defaults.startswith("DeepLab's defaults, where no flag says")
  # All that differ, or may by what a dataset suggests, and no others.
  for name, value in BY_DEFAULT.items():
    own = TrainConfig.__dataclass_fields__[name].default
    assert (f'--{name}=' in defaults) is (own is None or own != value), name


@pytest.mark.parametrize(
  'line, want',
  [
    ('--nofine_tune_batch_norm', {'freeze_batch_norm': True}),
    ('--fine_tune_batch_norm=False', {'freeze_batch_norm': True}),
    ('--fine_tune_batch_norm', {'freeze_batch_norm': False}),
    ('--learning_rate=0.5', {'learning_rate': 0.5}),  # ours counts too
    (
      '--learning_policy=step',
      {
        'learning_rate_decay_type': 'exponential',
        'num_steps_per_decay': 2000,
        'learning_rate_decay_factor': 0.1,
        'learning_power': 1,
      },
    ),
    (
      '--slow_start_step=100 --training_number_of_steps=500',
      {
        'warmup': Length(100, 'steps'),
        'warmup_type': 'constant',
        'warmup_learning_rate': 1e-4,
        'num_steps_per_decay': 400,
      },
    ),
    (
      '--slow_start_step=9 --slow_start_burnin_type=linear '
      '--slow_start_learning_rate=1e-5',
      {'warmup_type': 'linear', 'warmup_learning_rate': 1e-5},
    ),
    ('--decay_steps=70.0', {'num_steps_per_decay': 70}),
    (
      '--optimizer=adam --slow_start_step=7 --adam_epsilon=1e-4',
      {
        'learning_rate': 0.001,
        'learning_rate_decay_type': 'fixed',
        'opt_epsilon': 1e-4,
        'warmup': None,
        'learning_rate_multipliers': None,
      },
    ),
    (
      '--last_layer_gradient_multiplier=10 --decoder_output_stride=4',
      {
        'learning_rate_multipliers': {
          'logits/semantic': 10,
          'image_pooling': 10,
          'aspp*': 10,
          'concat_projection': 10,
          'decoder': 10,
          'logits/semantic/biases': 20,
        }
      },
    ),
    (
      '--last_layer_gradient_multiplier=3 --last_layers_contain_logits_only '
      '--noinitialize_last_layer',
      {
        'learning_rate_multipliers': {
          'logits/semantic': 3,
          'logits/semantic/biases': 6,
        },
        'checkpoint_exclude_scopes': ('logits/semantic',),
      },
    ),
    (
      '--initialize_last_layer=false --decoder=fcn',
      {'checkpoint_exclude_scopes': ('resnet_v1_50/logits',)},
    ),
    ('--initialize_last_layer', {'checkpoint_exclude_scopes': None}),
    (
      '--train_crop_size=513 --train_crop_size=769',
      {'train_crop_size': (513, 769)},
    ),
    ('--label_weights=1 --label_weights=.5', {'class_weights': (1, 0.5)}),
    ('--dataset=of_my_own', {'dataset_name': 'tfrecord'}),
    ('--aspp_convs_filters=64', {'decoder_depth': 64}),
    ('--resize_factor=16 --min_resize_value=9', {'resize_factor': 16}),
    ('', {'decoder': 'aspp', 'max_number_of_steps': 30000, 'batch_size': 8}),
  ],
)
def test_meanings(line, want):
  config = train(line)
  assert {name: getattr(config, name) for name in want} == want


@pytest.mark.parametrize(
  'variant, name, root, preprocessing',
  [
    ('resnet_v1_101_beta', 'resnet_v1_101_beta', None, 'inception'),
    ('resnet_v1_50', 'resnet_v1_50', None, 'vgg'),
    ('resnet_v1_18_beta', 'resnet_v1_18', 'beta', 'inception'),
  ],
)
def test_variants(variant, name, root, preprocessing):
  config = read(TrainConfig, f'--train_logdir=a --model_variant={variant}')[0]
  assert (config.model_name, config.root_block, config.preprocessing_name) == (
    name,
    root,
    preprocessing,
  )


@pytest.mark.parametrize(
  'line, words',
  [
    (
      '--model_variant=xception_65',
      ['xception_65 is no ResNet', 'resnet_v1_50_beta'],
    ),
    (
      '--train_logdir=a',
      ['mobilenet_v2, the default of DeepLab, is no ResNet'],
    ),
    (
      '--dataset=flowers',
      ['The command is taken for one of DeepLab by --dataset=flowers.'],
    ),
    ('--learning_policy=cosine', ['poly or step']),
    ('--crop_size=33', ['Did you mean --train_crop_size?']),
    (
      '--train_logdir=a --train_dir=b',
      ['--train_logdir=a contradicts --train_dir=b'],
    ),
    (
      '--decoder_output_stride=4 --decoder_filters=8 --aspp_convs_filters=16',
      ['--aspp_convs_filters=16 contradicts --decoder_filters=8'],
    ),
    ('--keep_aspect_ratio=false', ['--keep_aspect_ratio=false: images keep']),
    ('--logits_kernel_size=3', ['1x1']),
    ('--quantize_delay_step=5', ['--format=tflite --quantize=int8']),
    ('--train_batch_size=many', ['--train_batch_size=many is no whole number']),
    ('--decay_steps=inf', ['--decay_steps=inf is no number']),
    ('--fine_tune_batch_norm=maybe', ['must be true or false']),
    (
      '--model_variant=resnet_v1_50 --base_learning_rate=-1',
      ['--learning_rate=-1', '--base_learning_rate=-1 is --learning_rate here'],
    ),
    ('--train_logdir', ['--train_logdir has no value']),
    ('--eval_logdir=a', ['There is no flag --eval_logdir in this script']),
  ],
)
def test_what_is_refused(line, words):
  refused(TrainConfig, line, *words)


def test_the_same_twice_is_no_contradiction():
  line = '--train_logdir=a --train_dir=a --train_crop_size=33,33'
  config = read(TrainConfig, f'{line} --model_variant=resnet_v1_50')[0]
  assert config.train_dir == 'a' and config.train_crop_size == (33, 33)


def test_evaluation():
  found = read(
    EvalConfig,
    '--logtostderr --eval_split=val --model_variant=resnet_v1_50_beta '
    '--checkpoint_dir=run --eval_logdir=out --eval_crop_size=513,769 '
    '--eval_batch_size=2 --eval_scales=0.5 --eval_scales=1.0 '
    '--add_flipped_images=true --max_number_of_evaluations=1 '
    '--eval_interval_secs=30 --dataset=cityscapes --dataset_dir=data '
    '--nologtostderr',
  )
  assert found.config == EvalConfig(
    dataset_split_name='val',
    model_name='resnet_v1_50_beta',
    checkpoint_path='run',
    eval_dir='out',
    eval_crop_size='513,769',
    batch_size=2,
    scales='0.5,1',
    flip=True,
    dataset_name='cityscapes',
    dataset_dir='data',
  )
  assert '--eval_interval_secs: a checkpoint is evaluated' in found.notes[-1]
  endless = read(EvalConfig, '--checkpoint_dir=a --max_number_of_evaluations=0')
  assert endless.config.checkpoints == 'new'
  once = read(EvalConfig, '--checkpoint_dir=a')
  assert once.config.dataset_split_name == 'val'
  assert '--checkpoints=new evaluates each new one' in once.notes[-1]


def test_images():
  found = read(
    ClassifyConfig,
    '--vis_split=val --checkpoint_dir=run --vis_logdir=out --dataset=x '
    '--vis_crop_size=513,513 --colormap_type=pascal --dataset_dir=data '
    '--also_save_raw_predictions a.png --eval_scales=0.5 --eval_scales=1.0',
  )
  assert found.arguments == ['a.png']
  assert found.config == ClassifyConfig(
    checkpoint_path='run',
    output_dir='out',
    eval_crop_size='513',
    scales='0.5,1',
  )
  (files,) = (note for note in found.notes if '--vis_split' in note)
  assert files.startswith('--vis_split, --dataset, --dataset_dir: ')
  assert 'name them behind the flags' in files
  refused(ClassifyConfig, '--colormap_type=cityscapes', 'PASCAL VOC')


def test_export():
  line = (
    '--checkpoint_path=run --export_path=out/frozen_inference_graph.pb '
    '--num_classes=21 --crop_size=513 --crop_size=769 --inference_scales=1.0 '
    '--add_flipped_images=false --save_inference_graph'
  )
  assert read(ExportConfig, line).config == ExportConfig(
    checkpoint_path='run',
    output_dir='out',
    image_size='513,769',
    format='frozen_graph',
  )
  refused(ExportConfig, f'{line} --inference_scales=0.5', 'at an image once')


def test_lists_one_by_one():
  """On the command line; values that are lists themselves override."""
  for line, want in (
    ('--atrous_rates 6 --seed=1 --atrous_rates 12', (6, 12)),
    ('--atrous_rates=6,12 --atrous_rates=1,2', (1, 2)),
    ('--atrous_rates=6', (6,)),
    ('--atrous_rates=6 --atrous_rates=12 --trainable_scopes=', (6, 12)),
  ):
    found = read(TrainConfig, line)
    assert found.config.atrous_rates == want and found.notes == []


def test_empty_values_stay():
  argv = ['x', '--atrous_rates=1', '--task', '', '--atrous_rates=2', '']
  assert deeplab_commands.split(argv, fields(TrainConfig)).argv == [
    'x',
    '--task',
    '',
    '--atrous_rates=1,2',
    '',
  ]


def test_flag_files_have_our_names(tmp_path):
  file = tmp_path / 'flags.cfg'
  file.write_text('--atrous_rates=6,12,18\n--seed=3\n')
  config = read(TrainConfig, f'--flagfile={file} --atrous_rates=1')[0]
  assert config.atrous_rates == (1,) and config.seed == 3
  file.write_text('--train_logdir=a\n')
  refused(TrainConfig, f'--flagfile={file}', 'write --train_dir here')


def test_a_run_that_is_resumed_has_no_defaults_of_deeplab(tmp_path):
  """They are in its config.json, if it was begun so."""
  found = read(TrainConfig, '--resume=run --training_number_of_steps=7')
  assert found.config == TrainConfig(resume='run', max_number_of_steps=7)
  run = tmp_path / 'run'
  run.mkdir()
  runs.write(train(f'--train_dir={run} --train_logdir={run}'), str(run))
  again = read(TrainConfig, f'--train_logdir={run}', runs.resumed).config
  assert again.model_name == 'resnet_v1_50_beta'
  assert again.learning_power == 0.9


def test_flags_of_absl_make_no_command_of_deeplabs():
  found = read(TrainConfig, '--logtostderr --seed=3 --startup_delay_steps=4')
  assert found.config == TrainConfig(seed=3)
  assert found.notes == [
    '--startup_delay_steps: this version runs in one process on one device.'
  ]


def test_other_scripts_have_no_flag_of_deeplabs():
  refused(ConvertConfig, '--checkpoint_dir=a', 'no flag --checkpoint_dir')


def test_notes_are_beside_json(capsys):
  flags.run(
    ClassifyConfig,
    f'{__name__}:nothing',
    ['x', '--checkpoint_dir=a', '--json', 'a.png'],
    takes_arguments=True,
  )
  found = capsys.readouterr()
  assert found.out == '' and "DeepLab's flags: " in found.err


def nothing(config, arguments):
  """A target of `flags.run`."""
