# Everything runs in .venv, which is made from pyproject.toml on first use.
PYTHON ?= python3
VENV := .venv
OLDEST := .venv-oldest
TORCH := .venv-torch
INSTALL := -m pip install --quiet --disable-pip-version-check

# What make demo shows, and where.
MODEL ?= runs/resnet_v2_101-digits
PORT ?= 8000

.PHONY: help train segment experiments demo test test-slow test-browser \
  test-oldest test-torch fuzz kills lint clean

help:  ## Show this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' \
	  $(MAKEFILE_LIST)

$(VENV)/installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	@echo 'Installing TensorFlow and what else pyproject.toml declares ...'
	$(VENV)/bin/python $(INSTALL) --editable '.[dev]'
	touch $@

$(VENV)/installed-%: $(VENV)/installed
	$(VENV)/bin/python $(INSTALL) --editable '.[$*]'
	touch $@

demo/node_modules/installed: demo/package-lock.json
	@command -v npm > /dev/null || { echo 'error: npm, which fetches the runtime of the browser, is not installed: it comes with Node.js.' >&2; exit 1; }
	npm ci --prefix demo --ignore-scripts --no-audit --no-fund
	touch $@

$(OLDEST)/installed: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info >= (3, 13) and \
	  "TensorFlow 2.16 needs Python 3.10 to 3.12: make test-oldest PYTHON=python3.12")'
	$(PYTHON) -m venv $(OLDEST)
	$(OLDEST)/bin/python $(INSTALL) --editable '.[test]' \
	  'tensorflow==2.16.*' 'tf-keras==2.16.*'
	touch $@

$(TORCH)/installed: pyproject.toml
	$(PYTHON) -m venv $(TORCH)
	$(TORCH)/bin/python $(INSTALL) --editable '.[test]' 'torch>=2.2'
	touch $@

train: $(VENV)/installed  ## Train resnet_v2_101 on handwritten digits and evaluate it
	$(VENV)/bin/python train_image_classifier.py --model_name=resnet_v2_101

segment: $(VENV)/installed  ## Train resnet_v1_18 with a U-Net to segment scenes of digits
	$(VENV)/bin/python train_image_classifier.py \
	  --flagfile=recipes/digit_scenes_resnet_v1_18.cfg

experiments: $(VENV)/installed  ## Run claims of the papers again, in half an hour
	$(VENV)/bin/python -m experiments.degradation
	$(VENV)/bin/python -m experiments.gradients
	$(VENV)/bin/python -m experiments.shortcuts
	$(VENV)/bin/python -m experiments.depth --recompute

demo: $(VENV)/installed demo/node_modules/installed  ## Try a model in the browser, on your own images
	$(VENV)/bin/python -m demo.serve --model=$(MODEL) --port=$(PORT)

test: $(VENV)/installed  ## Run the tests
	$(VENV)/bin/python -m pytest -q -n 2 --dist worksteal

test-slow: $(VENV)/installed  ## Run the tests that make test leaves out
	$(VENV)/bin/python -m pytest -q -n 2 --dist worksteal -m slow

test-browser: $(VENV)/installed-browser demo/node_modules/installed  ## Run models in headless Chromium, as make demo does
	$(VENV)/bin/python -m pytest -q -m browser tests/demo

test-oldest: $(OLDEST)/installed  ## Run the network tests on TensorFlow 2.16
	$(OLDEST)/bin/python -m pytest -q -n 2 tests/nets

test-torch: $(TORCH)/installed  ## Compare converted weights with PyTorch's own networks
	$(TORCH)/bin/python -m pytest -q -m torch tests/engine/checkpoints

fuzz: $(VENV)/installed  ## Read 14,850 damaged files, in two minutes
	FUZZ=150 $(VENV)/bin/python -m pytest -q -n 2 --dist worksteal \
	  tests/datasets/test_fuzz.py tests/engine/test_fuzz.py

kills: $(VENV)/installed  ## Kill a training 20 times, then workers of one, and compare with ones that were not
	KILLS=20 $(VENV)/bin/python -m pytest -q -m slow tests/test_kills.py \
	  tests/test_kills_together.py

lint: $(VENV)/installed  ## Check the style and the types
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

clean:  ## Remove environments, runs and caches
	rm -rf $(VENV) $(OLDEST) $(TORCH) runs build dist *.egg-info .mypy_cache \
	  .pytest_cache .ruff_cache demo/node_modules
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
