"""TFLite, which LiteRT runs: float32, float16 weights, or all in int8."""

import json
import os
import tempfile
import zipfile
from typing import Any

import tensorflow as tf
from tensorflow.lite.python.convert import mlir_quantize

from engine.common import logs
from engine.export import calibration, standalone, tensorflow_formats
from engine.export.artefact import Artefact


def _float32(converter: Any, artefact: Artefact) -> bytes:
  return converter.convert()


def _float16(converter: Any, artefact: Artefact) -> bytes:
  """Weights in half the bytes; they are computed with in float32."""
  converter.optimizations = [tf.lite.Optimize.DEFAULT]
  converter.target_spec.supported_types = [tf.float16]
  return converter.convert()


def _int8(converter: Any, artefact: Artefact) -> bytes:
  """All in integers, weights by a scale for each channel.

  What goes in and out stays as it is: it is quantized inside.
  """
  batches = list(artefact.calibration())
  converter.optimizations = [tf.lite.Optimize.DEFAULT]
  converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
  converter.representative_dataset = lambda: iter([batches[:1]])
  converter._experimental_calibrate_only = True
  return mlir_quantize(calibration.calibrate(converter.convert(), batches))


_QUANTIZATIONS = {None: _float32, 'float16': _float16, 'int8': _int8}


def write(artefact: Artefact, folder: str) -> None:
  """Writes model.tflite, whose signature has the names of inputs and outputs.

  It is a ZIP file too, with model.json and labels.txt, as TFLite's tools have
  associated files.
  """
  with tempfile.TemporaryDirectory(dir=folder) as saved:
    tensorflow_formats.write_saved_model(artefact, saved)
    converter = tf.lite.TFLiteConverter.from_saved_model(saved)
    with logs.stderr_hidden(-1):  # the converter writes there in any case
      data = _QUANTIZATIONS[artefact.quantize](converter, artefact)
  path = os.path.join(folder, standalone.FILES['tflite'])
  with open(path, 'wb') as file:
    file.write(data)
  with zipfile.ZipFile(path, 'a') as associated:
    associated.writestr(
      standalone.DESCRIPTION, json.dumps(artefact.told, indent=2)
    )
    names = ''.join(f'{name}\n' for name in artefact.told['class_names'])
    associated.writestr('labels.txt', names)
