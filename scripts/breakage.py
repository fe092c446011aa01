"""Mutation tests: breaks the code in one place at a time and runs the tests. One test must fail.

    python -m scripts.breakage               runs all breakages and prints a table
    python -m scripts.breakage --only NAME   runs the breakages whose name contains NAME
    python -m scripts.breakage --check       only lists the breakages that do not match the code

Exit code 1 when no test notices a breakage, or when one does not match the code.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from scripts.breakages import BREAKAGES, Breakage
from scripts.code_edit import NoMatchError

ROOT = Path(__file__).parent.parent


def main() -> int:
    """Runs or checks the chosen breakages."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default="", help="a part of the name")
    parser.add_argument(
        "--check", action="store_true", help="only compare the breakages with the code"
    )
    arguments = parser.parse_args()
    chosen = [b for b in BREAKAGES if arguments.only in b.name]
    misfits = [text for b in chosen if (text := misfit(b, ROOT))]
    print(
        "\n".join(
            [*misfits, f"{len(chosen) - len(misfits)} of {len(chosen)} breakages match the code"]
        )
    )
    if misfits or arguments.check:
        return 1 if misfits else 0
    return _run(chosen)


def misfit(breakage: Breakage, root: Path) -> str:
    """Why a breakage does not match the code and tests below `root`; empty when it does."""
    missing = [test for test in breakage.tests.split() if not (root / test).exists()]
    try:
        breakage.edit.apply(root)
    except NoMatchError as error:
        return f"{breakage.name!r}: {error}"
    return f"{breakage.name!r}: there is no {', '.join(missing)}" if missing else ""


def _run(chosen: list[Breakage]) -> int:
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy"
        subprocess.run(["git", "clone", "-q", "--no-local", ROOT, copy], check=True)
        tests = sorted({test for b in chosen for test in b.tests.split()})
        if not _passes(copy, tests):
            print("the tests fail without a breakage")
            return 1
        rows = [(breakage, _noticed(breakage, copy)) for breakage in chosen]
    print("\n| broken on purpose | in | noticed by |\n|---|---|---|")
    for breakage, noticed in rows:
        print(f"| {breakage.name} | `{breakage.edit.function}` | {noticed or '**no test**'} |")
    return 0 if all(noticed for _, noticed in rows) else 1


def _passes(copy: Path, tests: list[str]) -> bool:
    done = subprocess.run([sys.executable, "-m", "pytest", "-q", *tests], cwd=copy, check=False)
    return done.returncode == 0


def _noticed(breakage: Breakage, copy: Path) -> str:
    """The first failed test; empty when all pass."""
    file, broken = breakage.edit.apply(copy)
    original = file.read_text(encoding="utf-8")
    file.write_text(broken, encoding="utf-8")
    try:
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-x", "-q", *breakage.tests.split()],
            cwd=copy,
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        file.write_text(original, encoding="utf-8")
    failed = [line for line in done.stdout.splitlines() if line.startswith("FAILED")]
    test = failed[0].split(" ")[1].partition("[")[0] if failed else ""
    print(f"{'noticed' if test else 'NOT NOTICED'}: {breakage.name} {test}", flush=True)
    return f"`{test}`" if test else ""


if __name__ == "__main__":
    sys.exit(main())
