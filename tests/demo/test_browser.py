"""demo/index.html in headless Chromium says what ONNX Runtime says here."""

import contextlib
import importlib.util
import io
import os
import pathlib
import shutil
import threading

import numpy as np
import pytest
from PIL import Image

import export_inference_graph
from datasets import dataset_factory
from datasets.records.examples import Examples
from demo import serve
from engine.config.export import FORMATS
from engine.export import standalone
from tests import builders

pytestmark = pytest.mark.browser
SECONDS = 120
NEEDED = {
  'chromium and chromium-driver, packages of Debian': (
    shutil.which('chromium') and shutil.which('chromedriver')
  ),
  "what pip install '.[browser]' installs": all(
    map(importlib.util.find_spec, ('selenium', *FORMATS['onnx'].modules))
  ),
  'what npm ci --prefix demo --ignore-scripts installs': all(
    (serve.RUNTIME / name).is_file() for name in serve.RUNTIME_FILES
  ),
}


@pytest.fixture(scope='module')
def browser():
  missing = [name for name, there in NEEDED.items() if not there]
  if missing:
    pytest.skip(f'A browser test needs {", and ".join(missing)}.')
  from selenium import webdriver

  options = webdriver.ChromeOptions()
  options.binary_location = shutil.which('chromium')
  options.add_argument('--headless=new')
  options.add_argument('--disable-dev-shm-usage')  # small in containers
  if os.geteuid() == 0:
    options.add_argument('--no-sandbox')  # Chromium has none for root
  options.set_capability('goog:loggingPrefs', {'browser': 'ALL'})
  service = webdriver.ChromeService(shutil.which('chromedriver'))
  with webdriver.Chrome(options, service) as driver:
    driver.set_script_timeout(SECONDS)
    yield driver


@contextlib.contextmanager
def page(browser, folder):
  """The page of a model, once it is loaded."""
  with serve.server(folder, port=0) as server:
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
      browser.get('http://{}:{}/'.format(*server.server_address))
      wait(browser, lambda: not browser.find_element('id', 'status').text)
      yield
    finally:
      server.shutdown()
      thread.join()
  assert [line['message'] for line in browser.get_log('browser')] == []


def wait(browser, what):
  from selenium.webdriver.support.ui import WebDriverWait

  return WebDriverWait(browser, SECONDS).until(lambda _: what())


def shown(browser):
  """The rows that the page has: [(name, percent)]."""
  return [
    (
      row.find_element('class name', 'name').text,
      float(row.find_element('class name', 'share').text.rstrip(' %')),
    )
    for row in browser.find_elements('css selector', '#rows li')
  ]


def choose(browser, path):
  """Puts a file in; returns what the network was fed, and what it said."""
  browser.execute_script('window.answered = undefined')
  browser.find_element('id', 'file').send_keys(os.path.abspath(path))
  found = wait(
    browser,
    lambda: browser.execute_script(
      'return window.answered && ["fed", "values"].map(name => '
      'Array.from(window.answered[name]))'
    ),
  )
  return [np.array(values) for values in found]


def drop(browser, name, data):
  """Drops a file onto the page."""
  browser.execute_script(
    """
    const file = new File([new Uint8Array(arguments[1])], arguments[0]);
    const dataTransfer = new DataTransfer();
    dataTransfer.items.add(file);
    document.getElementById('place').dispatchEvent(
      new DragEvent('drop', {dataTransfer, bubbles: true, cancelable: true}));
    """,
    name,
    [*data],
  )


def exported(run, folder):
  printed = builders.call(
    export_inference_graph,
    checkpoint_path=run,
    format='onnx',
    output_dir=folder,
  )
  assert printed.status == 0, printed.err
  return os.path.join(folder, 'onnx')


def test_a_digit(browser, workplace):
  printed = builders.train(
    model_name='resnet_v2_tiny',
    max_number_of_steps=150,
    batch_size=64,
    train_dir='run',
  )
  assert printed.status == 0, printed.err
  folder = exported('run', 'out')
  model = standalone.Model(folder)
  names = model.told['class_names']
  examples = Examples(dataset_factory.get_dataset('digits', 'test'))
  digits = [examples.example(number) for number in range(0, 360, 60)]
  right = 0
  with page(browser, folder):
    for digit in digits:
      pathlib.Path('digit.png').write_bytes(digit.data)
      fed, values = choose(browser, 'digit.png')
      image = fed.astype(np.uint8).reshape(1, 32, 32, 3)
      wanted = model(image)['probabilities'][0]
      np.testing.assert_allclose(values, wanted, atol=1e-4)
      rows = shown(browser)
      assert rows[0][0] == names[wanted.argmax()]
      np.testing.assert_allclose(
        [share / 100 for _, share in rows], -np.sort(-wanted), atol=6e-4
      )
      right += rows[0][0] == names[digit.label]
    assert right >= len(digits) - 1
    check_odd_files(browser)


def check_odd_files(browser):
  """An image of the model's size is fed as it is; others are fitted."""
  noise = np.random.default_rng(1).integers(0, 256, (32, 32, 3), np.uint8)
  Image.fromarray(noise).save('ä <b>.png')
  fed, _ = choose(browser, 'ä <b>.png')
  np.testing.assert_array_equal(fed.reshape(32, 32, 3), noise)
  # Its centre is cut, by the orientation of EXIF, and white shows through it.
  wide = Image.new('RGB', (60, 180), 'red')
  wide.paste('blue', (0, 60, 60, 120))
  exif = Image.Exif()
  exif[0x0112] = 6
  wide.save('turned.jpg', exif=exif, quality=100, subsampling=0)
  fed, _ = choose(browser, 'turned.jpg')
  inner = fed.reshape(32, 32, 3)[:, 2:-2]
  np.testing.assert_allclose(inner, np.full_like(inner, [0, 0, 254]), atol=2)
  Image.new('RGBA', (50, 50), (0, 0, 0, 0)).save('clear.png')
  assert choose(browser, 'clear.png')[0].min() == 255
  # Dropped, and not an image.
  status = browser.find_element('id', 'status')
  browser.execute_script('window.answered = undefined')
  file = io.BytesIO()
  Image.fromarray(noise).save(file, 'png')
  drop(browser, 'dropped.png', file.getvalue())
  wait(browser, lambda: browser.execute_script('return window.answered'))
  assert status.text.startswith('dropped.png: ')
  drop(browser, 'notes.txt', b'no image')
  wait(browser, lambda: 'wrong' in status.get_attribute('class'))
  assert status.text == 'notes.txt is no image that this browser can read.'


def test_a_mask(browser, workplace, shapes):
  printed = builders.train(
    **builders.shape_flags(shapes, max_number_of_steps=60)
  )
  assert printed.status == 0, printed.err
  folder = exported('run', 'out')
  model = standalone.Model(folder)
  Image.fromarray(builders.shape(1)[0]).save('shape.png')
  with page(browser, folder):
    fed, values = choose(browser, 'shape.png')
    image = fed.astype(np.uint8).reshape(1, 33, 33, 3)
    wanted = model(image)['classes'][0]
    np.testing.assert_array_equal(values.reshape(33, 33), wanted)
    counts = np.bincount(wanted.ravel(), minlength=len(builders.SHAPE_NAMES))
    assert np.count_nonzero(counts) > 1
    rows = shown(browser)
    assert [name for name, _ in rows] == [
      builders.SHAPE_NAMES[i]
      for i in np.argsort(-counts, kind='stable')
      if counts[i]
    ]
    check_overlay(browser, wanted)


def check_overlay(browser, wanted):
  """The colours lie where the mask has their classes; background is clear."""
  seen, laid = (
    np.array(
      browser.execute_script(
        'const canvas = document.getElementById(arguments[0]);'
        'const {width, height} = canvas;'
        "return Array.from(canvas.getContext('2d')"
        '.getImageData(0, 0, width, height).data)',
        name,
      )
    ).reshape(-1, 4)
    for name in ('seen', 'mask')
  )
  side = int(len(laid) ** 0.5)
  places = (np.arange(side) + 0.5) * 33 // side
  labels = wanted[places.astype(int)][:, places.astype(int)].ravel()
  clear = (labels == 0) & (builders.SHAPE_NAMES[0] == 'background')
  assert (laid[clear, 3] == 0).all() and (laid[~clear, 3] == 255).all()
  told = browser.execute_script(
    "return fetch('model.json').then(answer => answer.json())"
  )
  colours = np.array([[*bytes.fromhex(each[1:])] for each in told['colours']])
  grey = seen[:, :3] @ [0.3, 0.59, 0.11]
  blended = 0.45 * grey[:, None] + 0.55 * colours[labels]
  np.testing.assert_allclose(laid[~clear, :3], blended[~clear], atol=3)
