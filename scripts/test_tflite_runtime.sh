#!/bin/sh
# Runs the inference tests under tflite-runtime 2.14, and ai-edge-litert for comparison. They need a
# separate virtual environment with numpy 1. Wheels exist up to Python 3.11 only.
set -eu
python=${PYTHON:-python3}
venv=${VENV:-.venv-tflite-runtime}
if ! "$python" -c 'import sys; sys.exit(sys.version_info >= (3, 12))'; then
  echo "tflite-runtime: no wheel for $("$python" --version); its tests run on Python 3.11 (Debian 12)"
  exit 0
fi
if [ ! -e "$venv/installed" ] || [ setup.cfg -nt "$venv/installed" ]; then
  "$python" -m venv "$venv"
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    -c constraints-tflite-runtime.txt -e '.[tflite-runtime]' pytest hypothesis pytest-randomly jsonschema
  touch "$venv/installed"
fi
EDGE_TEST_RUNTIME=tflite-runtime "$venv/bin/python" -m pytest -m inference tests/edge/inspection tests/edge/cli
