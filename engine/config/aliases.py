"""What other libraries call our flags, for people who come from them.

Names are those of PyTorch's and timm's scripts, Keras and common tutorials. An
alias is not accepted: the error about it names the flag. Nothing here imports
TensorFlow.
"""

from collections.abc import Collection

from datasets.suggestions import nearest

# What is given -> the flags that may be meant, the likeliest first; a script
# names those that it has.
ALIASES = {
  'amp': ('precision',),
  'arch': ('model_name',),
  'augment': ('rand_augment_layers',),
  'aug': ('rand_augment_layers',),
  'backbone': ('model_name',),
  'batch': ('batch_size',),
  'bs': ('batch_size',),
  'checkpoint': ('checkpoint_path',),
  'ckpt': ('checkpoint_path',),
  'classes': ('labels_file',),
  'clip_grad': ('clip_gradients_norm',),
  'crop_size': ('train_crop_size', 'eval_crop_size'),
  'cutmix': ('cutmix_alpha',),
  'data': ('dataset_dir', 'source'),
  'data_dir': ('dataset_dir', 'source'),
  'data_path': ('dataset_dir', 'source'),
  'dataset': ('dataset_name', 'dataset_dir'),
  'decay': ('weight_decay',),
  'early_stopping': ('early_stopping_patience',),
  'ema': ('moving_average_decay',),
  'epochs': ('num_epochs',),
  'eval_interval': ('evaluate_every',),
  'finetune': ('checkpoint_path',),
  'format': ('json',),
  'grad_accum_steps': ('num_micro_batches',),
  'image_size': ('train_image_size', 'eval_image_size'),
  'img_size': ('train_image_size', 'eval_image_size'),
  'imgsz': ('train_image_size', 'eval_image_size'),
  'input': ('source',),
  'input_size': ('train_image_size', 'eval_image_size'),
  'labels': ('labels_file',),
  'log_interval': ('log_every_n_steps',),
  'lr': ('learning_rate',),
  'max_steps': ('max_number_of_steps',),
  'mixup': ('mixup_alpha',),
  'model': ('model_name',),
  'model_dir': ('train_dir', 'checkpoint_path'),
  'network': ('model_name',),
  'num_steps': ('max_number_of_steps',),
  'num_workers': ('num_preprocessing_threads', 'num_threads'),
  'opt': ('optimizer',),
  'out': ('train_dir', 'output_dir', 'eval_dir', 'dataset_dir'),
  'output': ('train_dir', 'output_dir', 'eval_dir', 'dataset_dir'),
  'patience': ('early_stopping_patience',),
  'pretrained': ('checkpoint_path',),
  'random_seed': ('seed',),
  'reprob': ('random_erasing',),
  'save_dir': ('train_dir', 'output_dir', 'eval_dir'),
  'sched': ('learning_rate_decay_type',),
  'scheduler': ('learning_rate_decay_type',),
  'smoothing': ('label_smoothing',),
  'split': ('dataset_split_name',),
  'steps': ('max_number_of_steps',),
  'topk': ('top',),
  'val_split': ('eval_split_name', 'validation_fraction'),
  'warmup_epochs': ('warmup',),
  'warmup_steps': ('warmup',),
  'wd': ('weight_decay',),
  'weights': ('checkpoint_path',),
  'workers': ('num_preprocessing_threads', 'num_threads'),
}


def suggestion(name: str, known: Collection[str]) -> str:
  """Returns a sentence on the flags that may be meant, '' if none may.

  >>> suggestion('lr', ['learning_rate', 'seed'])
  ' Did you mean --learning_rate?'

  Args:
    name: what was given, without the dashes before it.
    known: the flags of the script.
  """
  name = name.lower().replace('-', '_')
  meant = [each for each in (name, *ALIASES.get(name, ())) if each in known]
  near = meant[:1] or nearest(name, known, cutoff=0.7)
  flags = ' or '.join(f'--{each}' for each in near)
  return f' Did you mean {flags}?' if near else ''
