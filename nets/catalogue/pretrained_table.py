"""What is known of the weights that others published, trained on ImageNet.

One entry a file, as its publisher describes it. Nothing here downloads.

Addresses, hashes, accuracies and sizes are from the publishers' own tables:
the README of TF-Slim's models and DeepLab's model zoo in tensorflow/models;
keras.applications' WEIGHTS_HASHES, and the tables of keras-applications and of
https://keras.io/api/applications/; the weights' entries in
torchvision.models.resnet; timm's default_cfgs, results-imagenet.csv, model
index and its pages at https://huggingface.co/timm.

>>> entry = get('torchvision:resnet50_v2')
>>> entry.network, entry.preprocessing, entry.top1
('resnet_v1_5_50', 'torchvision_232', 80.858)
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

from nets import registry


class Hash(NamedTuple):
  """What the bytes of a file are to give.

  Fields:
    kind: its name in `hashlib`.
    value: hexadecimal digits; if fewer than the kind has, the first ones.
  """

  kind: str
  value: str


class Pretrained(NamedTuple):
  """One published file of weights.

  Fields:
    network: its network in `nets_factory`.
    address: where the file is.
    hash: as published, None where none is.
    top1: accuracy on ImageNet's 50,000 validation images, a single centre
      crop, in percent; None where none is published.
    top5: likewise.
    parameters: trainable ones of `network` with `num_classes`, without logits
      if that is None.
    size: of the download in bytes, as exactly as it is published, which may
      be to a million: for a progress bar, not a check. None where it is not.
    preprocessing: the publisher's, a key of
      `preprocessing_factory.PREPROCESSING`.
    image_size: height and width that top1 and top5 were measured with.
    licence: that of the repository that publishes it, by its SPDX name. The
      images of ImageNet have terms of their own.
    num_classes: the number of logits; None where the file has none, or none
      that are published.
    labels_offset: what is to be subtracted from ImageNet's labels 0 to 1000,
      of which 0 is none of the classes; None without `num_classes`.
    root_block: of the network; None for its own.
  """

  network: str
  address: str
  hash: Hash | None
  top1: float | None
  top5: float | None
  parameters: int
  size: int | None
  preprocessing: str
  image_size: int
  licence: str
  num_classes: int | None = 1000
  labels_offset: int | None = 1
  root_block: str | None = None

  @property
  def needs_torch(self) -> bool:
    """Whether the file is one that PyTorch alone reads."""
    return self.address.endswith('.pth')


def _mb(size):
  """Returns bytes; the publishers' MB are 2^20 bytes."""
  return round(size * 2**20)


def _tfslim(name, date, top1, top5, parameters):
  # No hash and no size is published.
  return Pretrained(
    name,
    f'http://download.tensorflow.org/models/{name}_{date}.tar.gz',
    None,
    top1,
    top5,
    parameters,
    None,
    'vgg',
    224,
    'Apache-2.0',
  )


def _tfslim_v2(name, *facts):
  return _tfslim(name, '2017_04_14', *facts)._replace(
    preprocessing='inception', image_size=299, num_classes=1001, labels_offset=0
  )


def _beta(name, date, parameters, size):
  return Pretrained(
    f'{name}_beta',
    f'http://download.tensorflow.org/models/{name}_{date}.tar.gz',
    None,
    None,
    None,
    parameters,
    _mb(size),
    'inception',
    224,
    'Apache-2.0',
    None,
    None,
  )


def _keras(network, file, md5, top1, top5, parameters, size):
  return Pretrained(
    network,
    'https://storage.googleapis.com/tensorflow/keras-applications/resnet/'
    f'{file}_weights_tf_dim_ordering_tf_kernels.h5',
    Hash('md5', md5),
    top1,
    top5,
    parameters,
    _mb(size),
    'keras_v2' if file.endswith('v2') else 'caffe',
    224,
    'Apache-2.0',
    root_block='7x7_symmetric',
  )


def _notop(entry, md5):
  """Returns the entry of Keras's file without the logits of another."""
  address, _, ending = entry.address.rpartition('.')
  return entry._replace(
    address=f'{address}_notop.{ending}',
    hash=Hash('md5', md5),
    top1=None,
    top5=None,
    parameters=entry.parameters - 2049 * 1000,
    size=None,
    num_classes=None,
    labels_offset=None,
  )


def _torchvision(network, file, top1, top5, parameters, size, side=256):
  return Pretrained(
    network,
    f'https://download.pytorch.org/models/{file}.pth',
    Hash('sha256', file.rpartition('-')[2]),
    top1,
    top5,
    parameters,
    _mb(size),
    {256: 'torchvision', 232: 'torchvision_232'}[side],
    224,
    'BSD-3-Clause',
    root_block='7x7_symmetric',
  )


def _timm(network, file, top1, top5, parameters, size, image_size=224):
  return Pretrained(
    network,
    'https://github.com/rwightman/pytorch-image-models/releases/download/'
    f'v0.1-weights/{file}.pth',
    Hash('sha256', file.rpartition('-')[2]),
    top1,
    top5,
    parameters,
    size,
    {224: 'timm_bicubic_875', 256: 'timm_bicubic'}[image_size],
    image_size,
    'Apache-2.0',
  )


def _safetensors(name, sha256, entry, top1=None, top5=None):
  """Returns the entry of the same weights as timm publishes them once more."""
  return entry._replace(
    address=f'https://huggingface.co/timm/{name}/resolve/main/model.safetensors',
    hash=Hash('sha256', sha256),
    top1=top1 or entry.top1,
    top5=top5 or entry.top5,
  )


_RESNET18 = _torchvision(
  'resnet_v1_18', 'resnet18-f37072fd', 69.758, 89.078, 11689512, 44.661
)
_RESNET50 = _torchvision(
  'resnet_v1_5_50', 'resnet50-0676ba61', 76.130, 92.862, 25557032, 97.781
)
_RESNET152 = _torchvision(
  'resnet_v1_5_152', 'resnet152-394f9c45', 78.312, 94.046, 60192808, 230.434
)
_WIDE50 = _torchvision(
  'wide_resnet_50_2',
  'wide_resnet50_2-95faca4d',
  78.468,
  94.086,
  68883240,
  131.82,
)
_WIDE101_V2 = _torchvision(
  'wide_resnet_101_2',
  'wide_resnet101_2-d733dc28',
  82.510,
  96.020,
  126886696,
  484.747,
  side=232,
)
_RESNEXT50 = _torchvision(
  'resnext_50_32x4d',
  'resnext50_32x4d-7cdf4587',
  77.618,
  93.698,
  25028904,
  95.789,
)
_RESNEXT101 = _torchvision(
  'resnext_101_32x8d',
  'resnext101_32x8d-8ba56ff5',
  79.312,
  94.526,
  88791336,
  339.586,
)

_KERAS = {
  'resnet50': _keras(
    'resnet_v1_50',
    'resnet50',
    '2cb95161c43110f7111970584f804107',
    74.928,
    92.060,
    25557032,
    98,
  ),
  'resnet101': _keras(
    'resnet_v1_101',
    'resnet101',
    'f1aeb4b969a6efcfb50fad2f0c20cfc5',
    76.420,
    92.786,
    44549160,
    171,
  ),
  'resnet152': _keras(
    'resnet_v1_152',
    'resnet152',
    '100835be76be38e30d865e96f2aaae62',
    76.604,
    93.118,
    60192808,
    232,
  ),
  'resnet50v2': _keras(
    'resnet_v2_50',
    'resnet50v2',
    '3ef43a0b657b3be2300d5770ece849e0',
    75.960,
    93.034,
    25568360,
    98,
  ),
  'resnet101v2': _keras(
    'resnet_v2_101',
    'resnet101v2',
    '6343647c601c52e1368623803854d971',
    77.234,
    93.816,
    44577896,
    171,
  ),
  'resnet152v2': _keras(
    'resnet_v2_152',
    'resnet152v2',
    'a49b44d1979771252814e80f8ec446f9',
    78.032,
    94.162,
    60236904,
    232,
  ),
}

VERSION = r'(_v\d|\..*)$'  # the end of a name

# By source and name. Of a network's entries the first is the one to take.
PRETRAINED: Mapping[str, Pretrained] = {
  'tfslim:resnet_v1_50': _tfslim(
    'resnet_v1_50', '2016_08_28', 75.2, 92.2, 25557032
  ),
  'tfslim:resnet_v1_101': _tfslim(
    'resnet_v1_101', '2016_08_28', 76.4, 92.9, 44549160
  ),
  'tfslim:resnet_v1_152': _tfslim(
    'resnet_v1_152', '2016_08_28', 76.8, 93.2, 60192808
  ),
  'tfslim:resnet_v2_50': _tfslim_v2('resnet_v2_50', 75.6, 92.8, 25570409),
  'tfslim:resnet_v2_101': _tfslim_v2('resnet_v2_101', 77.0, 93.7, 44579945),
  'tfslim:resnet_v2_152': _tfslim_v2('resnet_v2_152', 77.8, 94.1, 60238953),
  **{f'keras:{name}': entry for name, entry in _KERAS.items()},
  **{
    f'keras:{name}_notop': _notop(_KERAS[name], md5)
    for name, md5 in {
      'resnet50': '4d473c1dd8becc155b73f8504c6f6626',
      'resnet101': '88cf7a10940856eca736dc7b7e228a21',
      'resnet152': 'ee4c566cf9a93f14d82f913c2dc6dd0c',
      'resnet50v2': 'fac2f116257151a9d068a22e544a4917',
      'resnet101v2': 'c0ed64b8031c3730f411d2eb4eea35b5',
      'resnet152v2': 'ed17cf2e0169df9d443503ef94b23b33',
    }.items()
  },
  'torchvision:resnet18_v1': _RESNET18,
  'torchvision:resnet34_v1': _torchvision(
    'resnet_v1_34', 'resnet34-b627a593', 73.314, 91.420, 21797672, 83.275
  ),
  'torchvision:resnet50_v2': _torchvision(
    'resnet_v1_5_50',
    'resnet50-11ad3fa6',
    80.858,
    95.434,
    25557032,
    97.79,
    side=232,
  ),
  'torchvision:resnet50_v1': _RESNET50,
  'torchvision:resnet101_v2': _torchvision(
    'resnet_v1_5_101',
    'resnet101-cd907fc2',
    81.886,
    95.780,
    44549160,
    170.53,
    side=232,
  ),
  'torchvision:resnet101_v1': _torchvision(
    'resnet_v1_5_101', 'resnet101-63fe2227', 77.374, 93.546, 44549160, 170.511
  ),
  'torchvision:resnet152_v2': _torchvision(
    'resnet_v1_5_152',
    'resnet152-f82ba261',
    82.284,
    96.002,
    60192808,
    230.474,
    side=232,
  ),
  'torchvision:resnet152_v1': _RESNET152,
  'torchvision:wide_resnet50_2_v2': _torchvision(
    'wide_resnet_50_2',
    'wide_resnet50_2-9ba9bcbe',
    81.602,
    95.758,
    68883240,
    263.124,
    side=232,
  ),
  'torchvision:wide_resnet50_2_v1': _WIDE50,
  'torchvision:wide_resnet101_2_v2': _WIDE101_V2,
  'torchvision:wide_resnet101_2_v1': _torchvision(
    'wide_resnet_101_2',
    'wide_resnet101_2-32ee1156',
    78.848,
    94.284,
    126886696,
    242.896,
  ),
  'torchvision:resnext50_32x4d_v2': _torchvision(
    'resnext_50_32x4d',
    'resnext50_32x4d-1a0047aa',
    81.198,
    95.340,
    25028904,
    95.833,
    side=232,
  ),
  'torchvision:resnext50_32x4d_v1': _RESNEXT50,
  'torchvision:resnext101_32x8d_v2': _torchvision(
    'resnext_101_32x8d',
    'resnext101_32x8d-110c445d',
    82.834,
    96.228,
    88791336,
    339.673,
    side=232,
  ),
  'torchvision:resnext101_32x8d_v1': _RESNEXT101,
  'torchvision:resnext101_64x4d_v1': _torchvision(
    'resnext_101_64x4d',
    'resnext101_64x4d-173b62eb',
    83.246,
    96.454,
    83455272,
    319.318,
    side=232,
  ),
  'timm:resnet18d.ra2_in1k': _safetensors(
    'resnet18d.ra2_in1k',
    '0ad5d924c4269ad863590b6ccdd19f5fb48d0bae695c1dd6751de0b0282d8361',
    _timm(
      'resnet_v1d_18',
      'resnet18d_ra2-48a79e06',
      72.296,
      90.682,
      11708744,
      46893231,
    ),
  ),
  'timm:resnet34d.ra2_in1k': _timm(
    'resnet_v1d_34',
    'resnet34d_ra2-f8dcfcaf',
    77.108,
    93.372,
    21816904,
    87369807,
  ),
  'timm:resnet50d.ra2_in1k': _timm(
    'resnet_v1d_50',
    'resnet50d_ra2-464e36ba',
    80.546,
    95.160,
    25576264,
    102567109,
  ),
  'timm:resnet101d.ra2_in1k': _safetensors(
    'resnet101d.ra2_in1k',
    'c2192596da2e8d652cbf0465b8694704247b524efb68ed194504af453830709c',
    _timm(
      'resnet_v1d_101',
      'resnet101d_ra2-2803ffab',
      82.254,
      96.070,
      44568392,
      178791263,
      image_size=256,
    ),
  ),
  'timm:resnet152d.ra2_in1k': _timm(
    'resnet_v1d_152',
    'resnet152d_ra2-5cac0439',
    83.160,
    96.370,
    60212040,
    241596837,
    image_size=256,
  ),
  # torchvision's weights in a format that needs no PyTorch; the accuracies
  # are those that timm measured.
  'timm:resnet18.tv_in1k': _safetensors(
    'resnet18.tv_in1k',
    '694f673df6520a3158624e8a89af086f59923ee4cd7436fe5bc3bc71d295ad81',
    _RESNET18,
    69.752,
    89.082,
  ),
  'timm:resnet50.tv_in1k': _safetensors(
    'resnet50.tv_in1k',
    '5d061a3c593d795bfe682d9b152bafbcf550579873492def3515b46db1189888',
    _RESNET50,
    76.156,
    92.866,
  ),
  'timm:resnet152.tv_in1k': _safetensors(
    'resnet152.tv_in1k',
    '15897077afdf4d6334dc0c3f8e6fb483afb3faa9298c139f3c6eb29bca6ae5b2',
    _RESNET152,
    78.330,
    94.046,
  ),
  'timm:wide_resnet50_2.tv_in1k': _safetensors(
    'wide_resnet50_2.tv_in1k',
    'df6fb6c4824769769de18e14088475fd6ee94236849aa4e5d8022ba9d9a9a16c',
    # torchvision's file has half the precision, and so half the size.
    _WIDE50._replace(size=276 * 10**6),
    78.486,
    94.084,
  ),
  'timm:wide_resnet101_2.tv2_in1k': _safetensors(
    'wide_resnet101_2.tv2_in1k',
    '0438046a3b7bb8166e6564dec811985d595f3098c9970181305945e0efa964c3',
    _WIDE101_V2,
    82.514,
    96.012,
  ),
  'timm:resnext50_32x4d.tv_in1k': _safetensors(
    'resnext50_32x4d.tv_in1k',
    'c0d85cba49c0e9dedbcf6d4e572e2c5ea5eb68e9d64d0564811fd54d4f72939a',
    _RESNEXT50,
    77.632,
    93.674,
  ),
  'timm:resnext101_32x8d.tv_in1k': _safetensors(
    'resnext101_32x8d.tv_in1k',
    '71c7427e233904ad828b768b9683876dc71f143876cbadaa26428bfea3560fc3',
    _RESNEXT101,
    79.308,
    94.530,
  ),
  'deeplab:resnet_v1_50_beta_imagenet': _beta(
    'resnet_v1_50', '2018_05_04', 23631808, 274
  ),
  'deeplab:resnet_v1_101_beta_imagenet': _beta(
    'resnet_v1_101', '2018_05_04', 42623936, 477
  ),
}


def of_network(network: str) -> dict[str, Pretrained]:
  """Returns the entries of a network, the one to take first.

  That is the first of `PRETRAINED` which is read without PyTorch, else the
  first.

  >>> list(of_network('resnet_v1_50'))[:2]
  ['tfslim:resnet_v1_50', 'keras:resnet50']

  Args:
    network: its name in `nets_factory`.
  """
  found = {
    name: entry
    for name, entry in PRETRAINED.items()
    if entry.network == network
  }
  return {
    name: found[name]
    for name in sorted(found, key=lambda name: found[name].needs_torch)
  }


def names() -> dict[str, str]:
  """Returns every name that `get` takes, with the key in `PRETRAINED`.

  Those are the keys, `pretrained:NETWORK` for the first that `of_network`
  returns, and behind a source the first entry there of a network, of a name
  without its version, and of a file, where that tells what it has.
  """
  found = {name: name for name in PRETRAINED}
  for name, entry in PRETRAINED.items():
    source, _, own = name.partition(':')
    file = re.sub(r'(\.tar)?\.\w+$', '', entry.address.rpartition('/')[2])
    first = next(iter(of_network(entry.network)))
    found[f'pretrained:{entry.network}'] = first
    found.setdefault(f'{source}:{entry.network}', name)
    found.setdefault(f'{source}:{re.sub(VERSION, "", own)}', name)
    if file != 'model':
      found.setdefault(f'{source}:{file}', name)
  return found


def get(name: str) -> Pretrained:
  """Returns an entry by one of its names.

  >>> get('torchvision:resnet50-0676ba61') is get('torchvision:resnet50_v1')
  True

  Args:
    name: see `names`.

  Raises:
    ValueError: there is none; the nearest names and all are listed.
  """
  return PRETRAINED[registry.entry('pretrained checkpoint', names(), name)]
