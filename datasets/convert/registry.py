"""The registry of converters: each source that the conversion takes."""

import functools
from collections.abc import Callable
from typing import NamedTuple

from datasets import suggestions
from datasets.convert import (
  cifar,
  csv_list,
  idx,
  image_folder,
  imagenet,
  signs,
  tfds,
)
from datasets.convert.masks import (
  ade20k,
  cityscapes,
  coco_instances,
  coco_panoptic,
  coco_stuff,
  mask_folder,
  voc_masks,
)
from datasets.sources.download import Download
from datasets.writing.plan import Options, Plan

TFDS_PREFIX = 'tfds:'
MNIST_URL = 'https://ossci-datasets.s3.amazonaws.com/mnist/'
FASHION_MNIST_URL = (
  'http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/'
)


class Converter(NamedTuple):
  """How a source becomes a plan.

  Attributes:
    plan: called with the source, a file or folder, and the options.
    downloads: the files on the web that are the source if none is given.
    archive: whether they are archives to unpack; the folder they are unpacked
      to, or lie in, is the source.
    source: what the source is, where it must be given; else ''.
  """

  plan: Callable[[str | None, Options], Plan]
  downloads: tuple[Download, ...] = ()
  archive: bool = False
  source: str = ''


CONVERTERS = {
  'image_folder': Converter(
    image_folder.plan,
    source='a folder with one sub-folder of images for each class.',
  ),
  'csv': Converter(
    csv_list.plan, source='a CSV file whose first line is path,label.'
  ),
  'mask_folder': Converter(
    mask_folder.plan, source='a folder with the folders images and masks.'
  ),
  'cifar10': Converter(
    cifar.plan_cifar10,
    (
      Download(
        'https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz',
        170_052_171,
        'md5:c32a1d4ab5d03f1284b67883e8d87530',
      ),
    ),
    True,
  ),
  'cifar100': Converter(
    cifar.plan_cifar100,
    (
      Download(
        'https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz',
        168_513_733,
        'md5:03b5dce01913d631647c71ecec9e9cb8',
      ),
    ),
    True,
  ),
  'mnist': Converter(
    idx.plan_mnist,
    (
      Download(
        MNIST_URL + 'train-images-idx3-ubyte.gz',
        9_912_422,
        'md5:f68b3c2dcbeaaa9fbdd348bbdeb94873',
      ),
      Download(
        MNIST_URL + 'train-labels-idx1-ubyte.gz',
        28_881,
        'md5:d53e105ee54ea40749a09fcbcd1e9432',
      ),
      Download(
        MNIST_URL + 't10k-images-idx3-ubyte.gz',
        1_648_877,
        'md5:9fb629c4189551a2d022fa330f9573f3',
      ),
      Download(
        MNIST_URL + 't10k-labels-idx1-ubyte.gz',
        4_542,
        'md5:ec29112dd5afa0611ce80d1b7f02629c',
      ),
    ),
  ),
  'fashion_mnist': Converter(
    idx.plan_fashion_mnist,
    (
      Download(
        FASHION_MNIST_URL + 'train-images-idx3-ubyte.gz',
        26_421_880,
        'md5:8d4fb7e6c68d591d4c3dfef9ec88bf0d',
      ),
      Download(
        FASHION_MNIST_URL + 'train-labels-idx1-ubyte.gz',
        29_515,
        'md5:25c81989df183df01b3e8a0aad5dffbe',
      ),
      Download(
        FASHION_MNIST_URL + 't10k-images-idx3-ubyte.gz',
        4_422_102,
        'md5:bef4ecab320f06d8554ea6380940ec79',
      ),
      Download(
        FASHION_MNIST_URL + 't10k-labels-idx1-ubyte.gz',
        5_148,
        'md5:bb300cfdad3c16e7a12a480ee83cd310',
      ),
    ),
  ),
  'idenprof': Converter(
    functools.partial(image_folder.plan_named, name='idenprof'),
    (
      Download(
        'https://github.com/OlafenwaMoses/IdenProf/releases/'
        'download/v1.0/idenprof-jpg.zip'
      ),
    ),
    True,
  ),
  'flowers': Converter(
    functools.partial(image_folder.plan_named, name='flowers'),
    (
      Download(
        'http://download.tensorflow.org/example_images/flower_photos.tgz',
        228_813_984,
        'sha256:4c54ace7911aaffe13a365c34f650e71dd5bf1be0a58b464e'
        '5a7183e3e595d9c',
      ),
    ),
    True,
  ),
  'signs': Converter(
    signs.plan,
    source='the folder of train_signs.h5 and test_signs.h5, which have no '
    "public address: they come with deeplearning.ai's course Convolutional "
    'Neural Networks.',
  ),
  'imagenet': Converter(
    imagenet.plan,
    source='the folder of its tars, for ImageNet cannot be downloaded '
    'without an account: ask for one at https://image-net.org.',
  ),
  'voc_masks': Converter(
    voc_masks.plan,
    (
      Download(
        'http://host.robots.ox.ac.uk/pascal/VOC/voc2012/'
        'VOCtrainval_11-May-2012.tar',
        None,
        'md5:6cd6e144f989b92b3379bac3b3de84fd',
      ),
    ),
    True,
  ),
  'cityscapes': Converter(
    cityscapes.plan,
    source='the folder of leftImg8bit and gtFine, for Cityscapes cannot be '
    'downloaded without an account: ask for one at '
    'https://www.cityscapes-dataset.com.',
  ),
  'ade20k': Converter(
    ade20k.plan,
    source='the folder ADEChallengeData2016, from the archive of that name.',
  ),
  'coco_stuff': Converter(
    coco_stuff.plan,
    source='the folder of train2017 and val2017, and of the masks of '
    'stuffthingmaps_trainval2017.',
  ),
  'coco_panoptic': Converter(
    coco_panoptic.plan,
    source='the folder of train2017 and val2017, and of annotations, with the '
    'files and folders panoptic_train2017 and panoptic_val2017.',
  ),
  'coco_instances': Converter(
    coco_instances.plan,
    source="the folder of the images and of annotations, with COCO's files "
    'instances_train2017.json and instances_val2017.json, or your own.',
  ),
}


def get_converter(name: str) -> Converter:
  """Returns the converter of a name.

  Args:
    name: a key of `CONVERTERS`, or 'tfds:NAME', which takes no source.

  Raises:
    ValueError: there is none; it names the nearest, and all.
  """
  if name.startswith(TFDS_PREFIX):
    inner = name.removeprefix(TFDS_PREFIX)
    if not inner:
      raise ValueError(
        'tfds: should be followed by the name of a dataset of '
        'tensorflow_datasets, such as tfds:beans.'
      )
    return Converter(lambda source, options: tfds.plan(inner, options))
  return suggestions.entry('converter', CONVERTERS, name, ' and tfds:NAME')


def check_source(name: str, source: str | None) -> None:
  """Refuses to do without a source that must be given.

  Args:
    name: of a converter.
    source: what was given as --source, or None.

  Raises:
    ValueError: none was given, and it cannot be downloaded; or an unknown
      name.
  """
  needed = get_converter(name).source
  if needed and not source:
    raise ValueError(f'{name} needs --source, {needed}')
