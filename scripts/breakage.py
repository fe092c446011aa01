"""Breaks the code on purpose, one place at a time, and runs the tests: each breakage must be
noticed. `python -m scripts.breakage` prints a table; exit code 1 when one goes unnoticed."""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from scripts.breakages import BREAKAGES, Breakage

ROOT = Path(__file__).parent.parent


def main() -> int:
    """Runs every breakage, or those whose name holds `--only`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="a part of the name")
    arguments = parser.parse_args()
    chosen = [b for b in BREAKAGES if arguments.only in b.name]
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy"
        subprocess.run(["git", "clone", "-q", "--no-local", ROOT, copy], check=True)
        tests = sorted({test for b in chosen for test in b.tests.split()})
        if not _passes(copy, tests):
            print("the tests fail already, without any breakage")
            return 1
        rows = [(breakage, _noticed(breakage, copy)) for breakage in chosen]
    print("\n| broken on purpose | in | noticed by |\n|---|---|---|")
    for breakage, noticed in rows:
        print(f"| {breakage.name} | `{breakage.file}` | {noticed or '**nobody**'} |")
    return 0 if all(noticed for _, noticed in rows) else 1


def _passes(copy: Path, tests: list[str]) -> bool:
    done = subprocess.run([sys.executable, "-m", "pytest", "-q", *tests], cwd=copy, check=False)
    return done.returncode == 0


def _noticed(breakage: Breakage, copy: Path) -> str:
    """The first test that failed; empty when all passed."""
    file = copy / breakage.file
    original = file.read_text()
    if breakage.good not in original:
        raise SystemExit(f"breakage: {breakage.file} no longer holds {breakage.good!r}")
    file.write_text(original.replace(breakage.good, breakage.bad, 1))
    try:
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-x", "-q", *breakage.tests.split()],
            cwd=copy,
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        file.write_text(original)
    failed = [line for line in done.stdout.splitlines() if line.startswith("FAILED")]
    test = failed[0].split(" ")[1].partition("[")[0] if failed else ""
    print(f"{'noticed' if test else 'NOT NOTICED'}: {breakage.name} {test}", flush=True)
    return f"`{test}`" if test else ""


if __name__ == "__main__":
    sys.exit(main())
