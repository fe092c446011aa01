#!/bin/sh
# Writes constraints.txt: the newest version of every package of every extra, pinned, so that an
# installation next year equals one of today.
set -eu
python=${1:-python3}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$python" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --upgrade pip
"$folder/venv/bin/python" -m pip install --quiet '.[test,demo,bench]'
{
  echo "# All packages of all extras, pinned. Made by \`make constraints\`; do not edit."
  echo "# The extra tflite-runtime has its own file: it needs numpy 1."
  "$folder/venv/bin/python" -m pip freeze --exclude edge-inspect
  # the same release under its name on other processors
  "$folder/venv/bin/python" -m pip freeze | sed -n 's/^tensorflow[-_]cpu==/tensorflow==/p'
} > constraints.txt
echo "constraints.txt: $(grep -c == constraints.txt) packages"
