"""Networks by torchvision's and timm's names, which PyTorch itself runs.

They are written here, so that neither library is needed; see make test-torch.
"""

import os

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from engine.checkpoints import contents
from engine.checkpoints.convert import conversion, naming, proof, writing
from engine.checkpoints.inference import InferenceSession

torch = pytest.importorskip('torch')
pytestmark = pytest.mark.torch
nn = torch.nn
CLASSES = 7
# Of each of ours: units in its stages, and what its units are.
NETWORKS = {
  'resnet_v1_18': ((2, 2, 2, 2), {'deep': False}),
  'resnet_v1_34': ((3, 4, 6, 3), {'deep': False}),
  'resnet_v1_5_50': ((3, 4, 6, 3), {}),
  'resnet_v1_5_101': ((3, 4, 23, 3), {}),
  'resnet_v1_5_152': ((3, 8, 36, 3), {}),
  'wide_resnet_50_2': ((3, 4, 6, 3), {'width': 128}),
  'resnext_50_32x4d': ((3, 4, 6, 3), {'width': 4, 'groups': 32}),
  'resnet_v1d_18': ((2, 2, 2, 2), {'deep': False, 'is_d': True}),
  'resnet_v1d_50': ((3, 4, 6, 3), {'is_d': True}),
}


def conv(before, after, side, stride=1, groups=1):
  return nn.Conv2d(
    before, after, side, stride, side // 2, groups=groups, bias=False
  )


class Unit(nn.Module):
  """A residual unit by the names of both libraries."""

  def __init__(self, before, planes, stride, deep, width, groups, is_d):
    super().__init__()
    after = planes * 4 if deep else planes
    inner = planes * width // 64 * groups if deep else planes
    layers = (
      [
        conv(before, inner, 1),
        conv(inner, inner, 3, stride, groups),
        conv(inner, after, 1),
      ]
      if deep
      else [conv(before, inner, 3, stride), conv(inner, after, 3)]
    )
    for i, layer in enumerate(layers, 1):
      setattr(self, f'conv{i}', layer)
      setattr(self, f'bn{i}', nn.BatchNorm2d(layer.out_channels))
    self.count = len(layers)
    self.downsample = None
    if stride != 1 or before != after:
      pool = nn.Identity()
      if stride > 1:
        pool = nn.AvgPool2d(2, 2, ceil_mode=True, count_include_pad=False)
      norm = nn.BatchNorm2d(after)
      self.downsample = (
        nn.Sequential(pool, conv(before, after, 1), norm)
        if is_d
        else nn.Sequential(conv(before, after, 1, stride), norm)
      )

  def forward(self, net):
    kept = net if self.downsample is None else self.downsample(net)
    for i in range(1, self.count + 1):
      net = getattr(self, f'bn{i}')(getattr(self, f'conv{i}')(net))
      if i < self.count:
        net = torch.relu(net)
    return torch.relu(kept + net)


class ResNet(nn.Module):
  """A network by the names of both libraries; gives all units, and logits."""

  def __init__(self, units, deep=True, width=64, groups=1, is_d=False):
    super().__init__()
    self.conv1 = (
      nn.Sequential(
        conv(3, 32, 3, 2), nn.BatchNorm2d(32), nn.ReLU(),
        conv(32, 32, 3), nn.BatchNorm2d(32), nn.ReLU(), conv(32, 64, 3),
      )
      if is_d
      else conv(3, 64, 7, 2)
    )  # fmt: skip
    self.bn1 = nn.BatchNorm2d(64)
    before = 64
    for i, count in enumerate(units):
      layers = []
      for j in range(count):
        stride = 2 if i and not j else 1
        layers.append(Unit(before, 64 << i, stride, deep, width, groups, is_d))
        before = (64 << i) * (4 if deep else 1)
      setattr(self, f'layer{i + 1}', nn.Sequential(*layers))
    self.fc = nn.Linear(before, CLASSES)

  def forward(self, images):
    net = torch.relu(self.bn1(self.conv1(images)))
    net = nn.functional.max_pool2d(net, 3, 2, 1)
    units = []
    for i in range(1, 5):
      for unit in getattr(self, f'layer{i}'):
        net = unit(net)
        units.append(net)
    return units, self.fc(net.mean((2, 3)))


def network(name):
  """A network with random weights and statistics."""
  torch.manual_seed(0)
  units, options = NETWORKS[name]
  found = ResNet(units, **options)
  for module in found.modules():
    if isinstance(module, nn.Conv2d):
      nn.init.kaiming_normal_(module.weight)
    elif isinstance(module, nn.BatchNorm2d):
      for each in (module.weight, module.running_var):
        nn.init.uniform_(each, 0.5, 1.5)
      for each in (module.bias, module.running_mean):
        nn.init.normal_(each, 0, 0.1)
  for unit in found.modules():
    if isinstance(unit, Unit):  # as trained ones: they add a little
      getattr(unit, f'bn{unit.count}').weight.data *= 0.3
  return found.eval()


def channels_last(tensor):
  return tensor.detach().permute(0, 2, 3, 1).numpy()


class Ours:
  """The network of a converted folder, as `proof` builds it."""

  def __init__(self, form, name, folder):
    options = {'root_block': 'deep' if form == 'torch_d' else '7x7_symmetric'}
    graph = tf.Graph()
    with graph.as_default():
      self.net = proof._ours(form, name, options, CLASSES, 3)
    self.session = InferenceSession(graph)
    self.session.load(contents.read_values(f'{folder}/model.ckpt-0'))

  def run(self, fetches, images, labels=()):
    feed = {self.net.images: images, self.net.labels: labels}
    return self.session.session.run(fetches, feed)


def uniform(*shape):
  return np.random.RandomState(3).uniform(-2, 2, (*shape, 3)).astype(np.float32)


@pytest.mark.parametrize('name', NETWORKS)
def test_a_state_dict_and_back(name, tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  theirs = network(name)
  form = 'torch_d' if '1d_' in name else 'torch'
  torch.save(theirs.state_dict(), 'w.pth')
  converted = conversion.convert('w.pth', 'out')  # with its own proof
  assert converted.recognised.network == name
  ours = Ours(form, name, 'out')

  for size in ((224, 224), (201, 181)):
    images = uniform(1, *size)
    with torch.no_grad():
      units, logits = theirs(torch.from_numpy(images).permute(0, 3, 1, 2))
    found_units, found = ours.run([ours.net.units, ours.net.logits], images)
    assert proof._share(logits.numpy(), found) < 1e-4
    assert len(units) == len(found_units) == sum(NETWORKS[name][0])
    for wanted, unit in zip(units, found_units.values(), strict=True):
      assert channels_last(wanted).shape == unit.shape
      assert proof._share(channels_last(wanted), unit) < 1e-4

  images, labels = uniform(4, 97, 81), np.arange(4)
  for is_training in (False, True):
    model = network(name).train(is_training)
    _, logits = model(torch.from_numpy(images).permute(0, 3, 1, 2))
    nn.functional.cross_entropy(logits, torch.from_numpy(labels)).backward()
    theirs_by_name = dict(model.named_parameters())
    found = ours.run(
      ours.net.trains if is_training else ours.net.infers, images, labels
    )
    assert len(found) == len(theirs_by_name)
    wanted = []
    for variable in found:
      source = naming.source(form, variable)
      wanted.append(source.to_slim(theirs_by_name[source.name].grad.numpy()))
    limit = proof.BATCH_TOLERANCE if is_training else proof.GRADIENT_TOLERANCE
    assert proof._lengths(wanted, [*found.values()]) < limit

  written = writing.write('out', 'torch', 'back.pth')
  assert written.network == name and written.form == form
  state = torch.load('back.pth', weights_only=True)
  again = network(name)
  again.load_state_dict(state)  # all of its names, and no other
  assert all(
    torch.equal(value, theirs.state_dict()[key])
    for key, value in state.items()
    if not key.endswith('num_batches_tracked')
  )


class Hostile:
  """Runs a command when it is unpickled."""

  def __reduce__(self):
    return os.mkdir, ('hacked',)


def test_a_pickle_with_code_is_refused(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  torch.save({'conv1.weight': Hostile()}, 'w.pth')
  with pytest.raises(ValueError, match='code, which is not run'):
    conversion.convert('w.pth', 'out')
  assert sorted(os.listdir()) == ['w.pth']
