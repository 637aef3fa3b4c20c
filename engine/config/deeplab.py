"""DeepLab's flags: what each of them is here.

They are those of DeepLab's train.py, eval.py, vis.py, export_model.py and
common.py. A flag that a script has itself is its own: its row, if it has one,
tells DeepLab's default alone. deeplab_commands.py reads command lines by this
table. Nothing here imports TensorFlow.
"""

import os
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

# The values of all of DeepLab's flags in a command, given or by default.
Values = Mapping[str, str]
# Makes of the text of a flag that of ours, None where it has no effect.
Value = Callable[[str, Values], str | None]


def _same(text: str, values: Values) -> str | None:
  return text


class Flag(NamedTuple):
  """What a flag of DeepLab's is here.

  Fields:
    ours: our flags that have its meaning; each script takes the first that it
      has.
    value: see `Value`.
    kind: what DeepLab takes: str, bool, int or float.
    default: DeepLab's default, '' for none or if it is of no account.
    only: in a script without such a flag of ours, the values that are what is
      done anyway; if there are any, all others are refused.
    beside: another flag of ours, that a script must have.
    why: what to do instead, or why there is nothing to do: a sentence that
      goes on behind '--flag: '.
  """

  ours: tuple[str, ...] = ()
  value: Value = _same
  kind: type = str
  default: str = ''
  only: tuple[str, ...] = ()
  beside: str = ''
  why: str = ''


def _is(*ours: str, **others: Any) -> Flag:
  return Flag(ours, **others)


def _only(value: str, why: str, kind: type = bool) -> Flag:
  return Flag(only=(value,), why=why, kind=kind)


def is_true(text: str) -> bool:
  """Whether a text of absl's is true."""
  return text.lower() in ('true', 't', '1')


def _opposite(text, values):
  return 'false' if is_true(text) else 'true'


def _is_adam(values):
  return values['optimizer'] == 'adam'


def _with_decoder(values):
  """Whether there is a low-level feature: DeepLab's decoder, or ours."""
  given = values.get('decoder', '')
  return (
    given == 'deeplabv3plus' if given else bool(values['decoder_output_stride'])
  )


def _policy(text, values):
  if _is_adam(values):  # DeepLab gives it one rate for all steps
    return 'fixed'
  known = {'poly': 'polynomial', 'step': 'exponential'}
  if text not in known:
    raise ValueError(
      f'--learning_policy={text} is unknown. It can be {" or ".join(known)}; '
      '--learning_rate_decay_type has more.'
    )
  return known[text]


def _base_rate(text, values):
  return None if _is_adam(values) else text


def _adam(text, values):
  return text if _is_adam(values) else None


def _decay_steps(text, values):
  """Returns those of poly; 0 is all behind the slow start."""
  if _poly(text, values) is None:
    return None
  steps = int(values['training_number_of_steps'])
  behind = max(1, steps - int(values['slow_start_step']))
  return str(int(float(text)) or behind)


def _poly(text, values):
  is_poly = values['learning_policy'] == 'poly' and not _is_adam(values)
  return text if is_poly else None


def _steps(text, values):
  is_step = values['learning_policy'] == 'step' and not _is_adam(values)
  return text if is_step else None


def _slow(text, values):
  """Returns the text if there is a slow start; adam has none in DeepLab."""
  is_slow = int(values['slow_start_step']) and not _is_adam(values)
  return text if is_slow else None


def _slow_type(text, values):
  return _slow({'none': 'constant'}.get(text, text), values)


def _logits(values):
  """Returns the scope of the logits: the network's own, or the decoder's."""
  is_own = values.get('decoder') == 'fcn'
  network = values['model_variant'].removesuffix('_beta')
  return f'{network}/logits' if is_own else 'logits/semantic'


def _last_layers(values):
  """Returns the scopes of what DeepLab calls the last layers."""
  logits_only = is_true(values['last_layers_contain_logits_only'])
  if logits_only or values.get('decoder') == 'fcn':
    return [_logits(values)]
  pooling = is_true(values['add_image_level_feature'])
  return [
    _logits(values),
    *['image_pooling'][: int(pooling)],
    'aspp*',
    'concat_projection',
    *['decoder'][: int(_with_decoder(values))],
  ]


def _excluded(text, values):
  return None if is_true(text) else ','.join(_last_layers(values))


def _multipliers(text, values):
  """Returns the factors of the last layers, twice that of biases.

  A factor on the gradients is one on the rate for momentum; adam divides it
  away again.
  """
  if _is_adam(values):
    return None
  scopes = dict.fromkeys(
    [] if float(text) == 1 else _last_layers(values), float(text)
  )
  scopes[f'{_logits(values)}/biases'] = 2 * float(text)
  return ','.join(f'{scope}={factor:g}' for scope, factor in scopes.items())


def _network(text, values):
  """Returns the network of a variant.

  Raises:
    ValueError: it is no ResNet.
  """
  if not text.startswith('resnet_'):
    told = ', the default of DeepLab,'
    is_default = text == FLAGS['model_variant'].default
    raise ValueError(
      f'--model_variant={text}{told * is_default} '
      'is no ResNet, and there are no other networks here: pass one such as '
      '--model_variant=resnet_v1_50_beta.'
    )
  return 'resnet_v1_18' if text == 'resnet_v1_18_beta' else text


_DECODERS = ('aspp', 'deeplabv3plus')  # those that DeepLab has
_DATASETS = ('pascal_voc_seg', 'cityscapes', 'ade20k')


def _dataset(text, values):
  return text if text in _DATASETS else 'tfrecord'


def _evaluations(text, values):
  return 'newest' if int(text) == 1 else 'new'


def _export_dir(text, values):
  return os.path.dirname(text) or '.'


def _aspp(text, values):
  return text if values.get('decoder', 'aspp') in _DECODERS else None


def _decoder_filters(text, values):
  return text if _with_decoder(values) else None


# A flag that only this script has.
OF_TRAIN, OF_EVAL, OF_VIS, OF_EXPORT = 'train_dir', 'eval_dir', 'top', 'format'
_ONE_PROCESS = 'this version runs in one process on one device.'
_NO_MOBILENET = "that is MobileNet's, and only ResNets are here: leave it out."
_NO_NAS = (
  'that is for networks of NAS, and only ResNets are here: leave it out.'
)
_PLAIN = 'the layers here have no such form: leave it out.'
_ASPP = 'leave it out, or choose other layers by --decoder.'
_ONE_LOOK = (
  'this script looks at an image once: leave it out. eval_image_classifier.py '
  'averages over --scales and --flip.'
)
_FILES = (
  'classify_image.py takes image files and folders: name them behind the '
  'flags. eval_image_classifier.py draws the worst images of a split.'
)
_MORE_FLAGS = (
  'it counts for --last_layer_gradient_multiplier and --initialize_last_layer.'
)
NO_EFFECT = 'it has no effect in this command.'

FLAGS: Mapping[str, Flag] = {
  # absl.
  'logtostderr': Flag(kind=bool, only=('true', 'false')),
  'alsologtostderr': Flag(kind=bool, only=('true', 'false')),
  # The process.
  'master': Flag(why=_ONE_PROCESS),
  'num_replicas': _is('worker_replicas', kind=int),
  'startup_delay_steps': Flag(why=_ONE_PROCESS, kind=int),
  # What is written, and when.
  'train_logdir': _is('train_dir'),
  'log_steps': _is('log_every_n_steps', kind=int),
  'save_summaries_images': Flag(
    kind=bool, why='images are always among the summaries.'
  ),
  'profile_logdir': Flag(
    why='pass --profile_steps=20,30, whose profile is written to --train_dir.'
  ),
  # Optimizer and learning rate.
  'optimizer': _is('optimizer', default='momentum'),
  'learning_policy': _is(
    'learning_rate_decay_type', value=_policy, default='poly'
  ),
  'base_learning_rate': _is(
    'learning_rate', value=_base_rate, kind=float, default='0.0001'
  ),
  'adam_learning_rate': _is(
    'learning_rate', value=_adam, kind=float, default='0.001'
  ),
  'adam_epsilon': _is('opt_epsilon', value=_adam, kind=float, default='1e-08'),
  'decay_steps': _is(
    'num_steps_per_decay', value=_decay_steps, kind=float, default='0'
  ),
  'end_learning_rate': _is(
    'end_learning_rate', value=_poly, kind=float, default='0'
  ),
  'learning_power': _is(
    'learning_power', value=_poly, kind=float, default='0.9'
  ),
  'learning_rate_decay_step': _is(
    'num_steps_per_decay', value=_steps, kind=int, default='2000'
  ),
  'learning_rate_decay_factor': _is(
    'learning_rate_decay_factor', value=_steps, kind=float, default='0.1'
  ),
  'training_number_of_steps': _is(
    'max_number_of_steps', kind=int, default='30000'
  ),
  'slow_start_step': _is('warmup', value=_slow, kind=int, default='0'),
  'slow_start_learning_rate': _is(
    'warmup_learning_rate', value=_slow, kind=float, default='0.0001'
  ),
  'slow_start_burnin_type': _is(
    'warmup_type', value=_slow_type, default='none'
  ),
  'momentum': _is('momentum', kind=float, default='0.9'),
  'weight_decay': _is('weight_decay', kind=float, default='0.00004'),
  'train_batch_size': _is('batch_size', beside=OF_TRAIN, kind=int, default='8'),
  'last_layer_gradient_multiplier': _is(
    'learning_rate_multipliers',
    value=_multipliers,
    kind=float,
    default='1',
    why='adam divides gradients by their size, so that it has no effect.',
  ),
  'last_layers_contain_logits_only': Flag(
    kind=bool, default='false', why=_MORE_FLAGS
  ),
  # The start.
  'tf_initial_checkpoint': _is('checkpoint_path', beside=OF_TRAIN),
  'initialize_last_layer': _is(
    'checkpoint_exclude_scopes', value=_excluded, kind=bool, default='true'
  ),
  # Batch norm.
  'fine_tune_batch_norm': _is(
    'freeze_batch_norm', value=_opposite, kind=bool, default='true'
  ),
  'batch_norm_decay': _is('batch_norm_decay', kind=float, default='0.9997'),
  'quantize_delay_step': _only(
    '-1',
    'TensorFlow 2 has no graph rewriter for quantized training: leave it out, '
    'and export with --format=tflite --quantize=int8.',
    int,
  ),
  # Data and crops.
  'dataset': _is('dataset_name', value=_dataset, why=_FILES),
  'dataset_dir': _is('dataset_dir', why=_FILES),
  'train_split': _is('dataset_split_name', beside=OF_TRAIN, default='train'),
  'train_crop_size': _is('train_crop_size', default='513,513'),
  'min_scale_factor': _is('min_scale_factor', kind=float, default='0.5'),
  'max_scale_factor': _is('max_scale_factor', kind=float, default='2'),
  'scale_factor_step_size': _is(
    'scale_factor_step_size', kind=float, default='0.25'
  ),
  'keep_aspect_ratio': _only(
    'true', 'images keep their aspect ratio here: leave it out.'
  ),
  'label_weights': _is('class_weights'),
  # The network.
  'model_variant': _is('model_name', value=_network, default='mobilenet_v2'),
  'output_stride': _is('output_stride', kind=int, default='16'),
  'depth_multiplier': _only('1', _NO_MOBILENET, float),
  'divisible_by': Flag(only=('', 'None'), why=_NO_MOBILENET),
  'use_bounded_activation': _only('false', _PLAIN),
  'drop_path_keep_prob': _only('1', _NO_NAS, float),
  'nas_stem_output_num_conv_filters': _only('20', _NO_NAS, int),
  'nas_use_classification_head': _only('false', _NO_NAS),
  'nas_remove_os32_stride': _only('false', _NO_NAS),
  'dense_prediction_cell_json': Flag(only=('',), why=_NO_NAS),
  # Its decoder. Where these are flags of ours, only the default counts.
  'decoder_output_stride': _is('decoder_output_stride'),
  'add_image_level_feature': _is(
    'add_image_level_feature', value=_aspp, kind=bool, default='true'
  ),
  'aspp_with_separable_conv': _is(
    'aspp_with_separable_conv', value=_aspp, kind=bool, default='true'
  ),
  'decoder_use_separable_conv': _is(
    'decoder_use_separable_conv',
    value=_decoder_filters,
    kind=bool,
    default='true',
  ),
  'merge_method': _only('max', 'the largest logits of all scales count.', str),
  'image_pooling_stride': Flag(only=('1,1', '1'), why=_PLAIN),
  'logits_kernel_size': _only('1', 'the logits are of a 1x1 convolution.', int),
  'aspp_with_batch_norm': _only('true', _ASPP),
  'aspp_with_concat_projection': _only('true', _PLAIN),
  'aspp_with_squeeze_and_excitation': _only('false', _PLAIN),
  'aspp_convs_filters': _is('decoder_depth', kind=int, default='256'),
  'decoder_filters': _is('decoder_depth', value=_decoder_filters, kind=int),
  'decoder_use_sum_merge': _only('false', _PLAIN),
  'decoder_output_is_logits': _only('false', _PLAIN),
  'image_se_uses_qsigmoid': _only('false', _PLAIN),
  'prediction_with_upsampled_logits': _only(
    'true', 'logits are enlarged before their softmax here: leave it out.'
  ),
  # eval.py and vis.py.
  'checkpoint_dir': _is('checkpoint_path'),
  'eval_logdir': _is('eval_dir'),
  'vis_logdir': _is('output_dir', beside=OF_VIS),
  'eval_split': _is('dataset_split_name', beside=OF_EVAL, default='val'),
  'vis_split': Flag(why=_FILES),
  'eval_batch_size': _is('batch_size', beside=OF_EVAL, kind=int),
  'vis_batch_size': _is('batch_size', beside=OF_VIS, kind=int),
  'vis_crop_size': _is('eval_crop_size', beside=OF_VIS),
  'eval_scales': _is('scales', kind=float, only=('1',), why=_ONE_LOOK),
  'add_flipped_images': _is('flip', kind=bool, only=('false',), why=_ONE_LOOK),
  'max_number_of_evaluations': _is('checkpoints', value=_evaluations, kind=int),
  'max_number_of_iterations': Flag(
    kind=int, why='the newest checkpoint is looked at once.'
  ),
  'eval_interval_secs': Flag(
    kind=int, why='a checkpoint is evaluated as soon as it is there.'
  ),
  'colormap_type': _only(
    'pascal', 'masks have the colours of PASCAL VOC: leave it out.', str
  ),
  'also_save_raw_predictions': Flag(
    kind=bool, why='the numbers of the classes are always in STEM_mask.png.'
  ),
  # export_model.py.
  'export_path': _is('output_dir', beside=OF_EXPORT, value=_export_dir),
  'num_classes': Flag(kind=int, why='the checkpoint tells it.'),
  'crop_size': _is('image_size'),
  'inference_scales': _only('1', _ONE_LOOK, float),
  'save_inference_graph': Flag(
    kind=bool, why='the graph is in the frozen graph, and in no other file.'
  ),
}

# What DeepLab's training does without a flag for it: our flag -> its value.
TRAINING: Mapping[str, Callable[[Values], str | None]] = {
  'task': lambda values: 'segmentation',
  'decoder': lambda values: (
    'deeplabv3plus' if _with_decoder(values) else 'aspp'
  ),
  'decoder_low_level': lambda values: (
    'residual' if _with_decoder(values) else None
  ),
  'dropout_rate': lambda values: '0.1',
  'random_flip': lambda values: 'true',
  'root_block': lambda values: (
    'beta' if values['model_variant'] == 'resnet_v1_18_beta' else None
  ),
  # The networks with the beta root see [-1, 1], the others VGG's mean.
  'preprocessing_name': lambda values: (
    'inception' if values['model_variant'].endswith('_beta') else 'vgg'
  ),
}
# The same of its export.
EXPORT: Mapping[str, Callable[[Values], str | None]] = {
  'format': lambda values: 'frozen_graph'
}

# Given once for each of their values, or as a list with commas.
LISTS = (
  'atrous_rates',
  'multi_grid',
  'image_pyramid',
  'train_crop_size',
  'eval_crop_size',
  'vis_crop_size',
  'crop_size',
  'eval_scales',
  'inference_scales',
  'label_weights',
)
RATES = (
  "DeepLab's ASPP has no 3x3 convolutions without --atrous_rates; here it has "
  'those of 6,12,18 at output stride 16, of 12,24,36 at 8.'
)
ONCE = (
  'The newest checkpoint is evaluated once; --checkpoints=new evaluates each '
  'new one, as DeepLab does without --max_number_of_evaluations=1.'
)
