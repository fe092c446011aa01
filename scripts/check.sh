#!/bin/sh
# The checks before a commit: linters, import rules, types of changed files, fast tests. TensorFlow
# and a broker are not needed. BIN: folder of the programs; JOBS: pytest workers.
set -eu
bin=${BIN:-.venv/bin}
base=$(git merge-base HEAD origin/main 2>/dev/null || git merge-base HEAD main 2>/dev/null || echo HEAD)

"$bin/ruff" check --quiet .
"$bin/ruff" format --check --quiet .
imports=$("$bin/lint-imports" --no-logo 2>&1) || { echo "$imports"; exit 1; }

# Types of files that differ from main, and of new files. The rest comes from .mypy_cache.
changed=$({ git diff --name-only --diff-filter=d "$base" -- '*.py'; git ls-files -o --exclude-standard -- '*.py'; } |
  grep -v '^studies/' | sort -u)
if [ -n "$changed" ]; then
  # shellcheck disable=SC2086  # a list, to be split
  "$bin/mypy" $changed
fi

"$bin/python" -m pytest -q -n "${JOBS:-2}" --dist worksteal \
  -m 'not slow and not serial and not campaign and not train and not broker' \
  tests/edge tests/edge_bench tests/support tests/loss benchmarks
