"""Which losses there are, and which flags they take."""

import pytest

from engine.common.loading import load
from engine.config.losses import LOSSES
from engine.config.scripts import TrainConfig


@pytest.mark.parametrize('name', LOSSES)
def test_each_is_there(name):
  function = load(LOSSES[name].implementation)
  arguments = function.__code__.co_varnames[: function.__code__.co_argcount]
  assert arguments[:3] == ('logits', 'labels', 'ignore_label')
  assert set(arguments[3:]) == set(LOSSES[name].arguments)
  assert set(LOSSES[name].arguments.values()) <= set(
    TrainConfig.__dataclass_fields__
  )


def test_the_default_is_cross_entropy():
  assert TrainConfig().segmentation_loss == (('cross_entropy', 1),)
  assert TrainConfig().text('segmentation_loss') == 'cross_entropy'
  given = TrainConfig(segmentation_loss='cross_entropy')
  assert 'segmentation_loss' not in given.given()


@pytest.mark.parametrize(
  'loss, flags, words',
  [
    (
      'dise',
      {},
      '--segmentation_loss=dise: there is no loss dise. Did you mean dice? It '
      'can be cross_entropy, dice, focal, lovasz, or a sum such as '
      'cross_entropy,dice:0.5.',
    ),
    (
      'dice:0',
      {},
      "--segmentation_loss=dice:0 has 'dice:0': a weight is above",
    ),
    (
      'dice,lovasz:2',
      {'top_k_percent_pixels': 0.25},
      '--top_k_percent_pixels=0.25 is for cross_entropy and focal, and '
      '--segmentation_loss=dice,lovasz:2 has none: leave it out, or add one.',
    ),
    (
      'cross_entropy,dice',
      {'focal_gamma': 1.0},
      '--focal_gamma=1.0 is for focal, and --segmentation_loss=cross_entropy,'
      'dice has none: leave it out, or add one.',
    ),
  ],
)
def test_what_is_refused(loss, flags, words):
  with pytest.raises(ValueError) as error:
    TrainConfig(segmentation_loss=loss, **flags)
  assert words in str(error.value)


@pytest.mark.parametrize(
  'loss, flags',
  [
    ('dice,cross_entropy', {'top_k_percent_pixels': 0.25}),
    ('focal', {'top_k_percent_pixels': 0.25, 'focal_gamma': 0.5}),
    ('lovasz', {'class_weights': '1,2'}),
  ],
)
def test_what_goes_together(loss, flags):
  TrainConfig(segmentation_loss=loss, **flags)


@pytest.mark.parametrize('rate', [-0.1, 1.0])
def test_no_dropout_rate(rate):
  with pytest.raises(ValueError, match='must be at least 0 and below 1'):
    TrainConfig(dropout_rate=rate)
