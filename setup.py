"""Packaging of the parts that are used as a library: nets, preprocessing."""

import pathlib

import setuptools

# What a checkout needs beyond the library: data, training, images, tests.
SCRIPTS = [
  'filelock>=3.12',
  'google-crc32c>=1.5',
  'h5py>=3.10',
  'keras>=3.0',
  'matplotlib>=3.7',
  'pillow>=10.3',
  'requests>=2.28',
  'scikit-learn>=1.2',
  'tqdm>=4.64',
]
TESTS = ['pytest>=7.2', 'pytest-xdist>=3.2', 'ruff>=0.5', 'scipy>=1.9']

setuptools.setup(
  name='slim-resnets',
  version='0.1.0',
  description="TF-Slim's ResNets on today's TensorFlow",
  long_description=pathlib.Path(__file__)
  .with_name('README.md')
  .read_text('utf-8'),
  long_description_content_type='text/markdown',
  license='Apache-2.0',
  python_requires='>=3.10',
  packages=['nets', 'preprocessing'],
  # tf-keras follows TensorFlow's version by its own requirements.
  install_requires=[
    'tensorflow>=2.16',
    'tf-keras>=2.16',
    'tf-slim>=1.1.0',
    'numpy>=1.23',
    'absl-py>=1.4',
  ],
  extras_require={'scripts': SCRIPTS, 'test': SCRIPTS + TESTS},
)
