"""The variables of DeepLab's decoders in all forms, as names and shapes."""


def _layer(scope, kernel, channels, depth, weights='weights'):
  shape = [kernel, kernel, channels, depth]
  depth = channels if weights == 'depthwise_weights' else depth
  return {f'{scope}/{weights}': shape} | {
    f'{scope}/BatchNorm/{name}': [depth]
    for name in ('gamma', 'beta', 'moving_mean', 'moving_variance')
  }


def _convolution(scope, channels, depth, separable=False):
  """A 3x3 convolution."""
  if not separable:
    return _layer(scope, 3, channels, depth)
  return _layer(
    f'{scope}_depthwise', 3, channels, 1, 'depthwise_weights'
  ) | _layer(f'{scope}_pointwise', 1, channels, depth)


def of(
  separable=False,
  decoder_separable=None,
  image_level=True,
  stages=1,
  rates=3,
  depth=8,
  classes=3,
):
  """{name: shape}; of no stage it is aspp alone, of no class without logits.

  Args:
    separable: of aspp, and of the decoder if that says nothing else.
  """
  if decoder_separable is None:
    decoder_separable = separable
  found = _layer('aspp0', 1, 32, depth)
  if image_level:
    found |= _layer('image_pooling', 1, 32, depth)
  for i in range(1, rates + 1):
    found |= _convolution(f'aspp{i}', 32, depth, separable)
  joined = (1 + image_level + rates) * depth
  found |= _layer('concat_projection', 1, joined, depth)
  for stage in range(stages):
    end = f'_{stage}' if stage else ''
    found |= _layer(f'decoder/feature_projection0{end}', 1, 16, 48)
    scopes = (
      [f'decoder/decoder_conv{i}{end}' for i in (0, 1)]
      if decoder_separable
      else [
        f'decoder/decoder_conv0{end}/decoder_conv0{end}_{i}' for i in (1, 2)
      ]
    )
    for scope, channels in zip(scopes, (depth + 48, depth), strict=True):
      found |= _convolution(scope, channels, depth, decoder_separable)
  if classes:
    found['logits/semantic/weights'] = [1, 1, depth, classes]
    found['logits/semantic/biases'] = [classes]
  return found
