#!/bin/sh
# What a developer runs before a commit: linters, import rules, types of the changed files, fast tests.
# Needs neither TensorFlow nor a broker. BIN: where the programs are; JOBS: workers of pytest.
set -eu
bin=${BIN:-.venv/bin}
base=$(git merge-base HEAD origin/main 2>/dev/null || git merge-base HEAD main 2>/dev/null || echo HEAD)

"$bin/ruff" check --quiet .
"$bin/ruff" format --check --quiet .
imports=$("$bin/lint-imports" --no-logo 2>&1) || { echo "$imports"; exit 1; }

# Types of what differs from main, and of new files. The cache in .mypy_cache keeps the rest.
changed=$({ git diff --name-only --diff-filter=d "$base" -- '*.py'; git ls-files -o --exclude-standard -- '*.py'; } |
  grep -v '^studies/' | sort -u)
if [ -n "$changed" ]; then
  # shellcheck disable=SC2086  # a list, to be split
  "$bin/mypy" $changed
fi

"$bin/python" -m pytest -q -n "${JOBS:-2}" --dist worksteal \
  -m 'not slow and not serial and not campaign and not train and not broker' \
  tests/edge tests/edge_bench tests/support tests/loss benchmarks
