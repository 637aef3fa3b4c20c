"""The experiment that measures gradients."""

import csv
import pathlib

import numpy as np
import pytest
from matplotlib import figure
from PIL import Image

from experiments import comparing, gradient_norms, gradients
from tests import builders
from tests.experiments import short

KERNELS = [
  'conv1',
  *(
    f'block{block}/unit_1/plain_v1/conv{conv}'
    for block in (1, 2, 3)
    for conv in (1, 2)
  ),
  'logits',
]
RUN = pathlib.Path('out/cifar_plain_8-seed0')


def call(**flags):
  return short.call(
    gradients,
    **{
      'model_name': 'cifar_plain_8',
      'optimizer': 'sgd',
      'measure_every': 1,
      **flags,
    },
  )


def table():
  with open('out/gradients.csv', newline='') as file:
    return list(csv.DictReader(file))


@pytest.mark.slow
def test_the_norms_of_what_changes_the_weights(workplace, monkeypatch):
  """A step of plain SGD is the learning rate times the gradient."""
  printed = call()
  assert printed.status == 0, printed.err
  rows = table()
  assert [(row['step'], row['number'], row['kernel']) for row in rows] == [
    (step, str(number), kernel)
    for step in '01'
    for number, kernel in enumerate(KERNELS, 1)
  ]
  one, two = (builders.tensors(f'{RUN}/model.ckpt-{step}') for step in (1, 2))
  for row in rows[len(KERNELS) :]:
    name = f'cifar_plain_8/{row["kernel"]}/weights'
    np.testing.assert_allclose(
      float(row['gradient_norm']),
      np.linalg.norm(two[name] - one[name]) / 0.01,
      rtol=1e-2,
    )
  assert Image.open('out/gradients.png').size[1] == 460
  assert 'cifar_plain_8: at step 0 gradients ' in printed.out

  before = pathlib.Path('out/gradients.csv').read_bytes()
  pathlib.Path('out/gradients.csv').unlink()
  monkeypatch.setattr(comparing, 'train', None)  # nothing is left to train
  assert call().status == 0
  assert pathlib.Path('out/gradients.csv').read_bytes() == before
  builders.refused(
    call(measure_every=2),
    'was not measured with --measure_every=2',
    '--output_dir',
  )
  (RUN / 'gradients.csv').unlink()
  builders.refused(call(), 'was trained without gradients.csv', '--output_dir')


def test_a_restart_measures_again_what_it_does_again(tmp_path):
  write = gradient_norms._Recorder(tmp_path, ['a', 'b'], 2)
  for step in range(5):
    write(np.int64(step), np.array([step, 1.0]))
  again = gradient_norms._Recorder(tmp_path, ['a', 'b'], 2)
  again(np.int64(2), np.array([7.0, 1.0]))
  found = gradient_norms.read(tmp_path, 2)
  assert found.kernels == ['a', 'b']
  assert found.steps.tolist() == [0, 2]
  assert found.values.tolist() == [[0, 1], [7, 1]]


def test_gates_are_marked(monkeypatch, tmp_path):
  drawn = []
  monkeypatch.setattr(
    figure.Figure, 'savefig', lambda fig, *_, **__: drawn.append(fig)
  )
  kernels = ['conv1', 'a/conv1', 'a/conv2', 'a/gate', 'logits']
  found = {
    name: gradient_norms.Norms(names, np.arange(3), np.ones([3, len(names)]))
    for name, names in (('plain', kernels[:3]), ('highway', kernels))
  }
  gradient_norms.draw(tmp_path / 'gradients.png', 'title', found)
  plain, highway, _ = drawn[0].axes
  assert not plain.lines and plain.get_legend() is None
  assert highway.lines[0].get_ydata() == [4]
  assert 'gate' in highway.get_legend().get_texts()[0].get_text()


@pytest.mark.parametrize(
  'base, words',
  [
    (2.0, 'kernels they are 64 and 0.0156 times those'),
    (
      2.0,
      'step 0 gradients grow towards the image, and over the training '
      'they vanish',
    ),
    (1.0, 'they are even within a factor of 5: '),
    (0.5, 'step 0 gradients vanish towards the image'),
  ],
)
def test_sentences(base, words):
  falling = base ** np.arange(7, -1, -1.0)
  norms = gradient_norms.Norms(
    list('abcdefgh'), np.arange(3), np.stack([falling, *2 * [falling[::-1]]])
  )
  assert words in gradient_norms.sentence('net', norms)


def test_a_mean_over_seeds(monkeypatch):
  found = iter(
    [
      gradient_norms.Norms(
        ['a'], np.array([0, 2, 4]), np.array([[1.0], [2], [3]])
      ),
      gradient_norms.Norms(['a'], np.array([0, 4]), np.array([[4.0], [3]])),
    ]
  )
  monkeypatch.setattr(gradient_norms, 'read', lambda folder, every: next(found))
  config = gradients.GradientsConfig().training('cifar_plain_8', 'out')
  mean = gradient_norms._mean(
    [comparing.Run('x', seed, config) for seed in (0, 1)], 2
  )
  assert mean.steps.tolist() == [0, 4]
  np.testing.assert_allclose(mean.values, [[2], [3]])
