"""`python -m tests.loss` (make lossfinder): plays rounds and prints a table. When a rule was
broken, the exit code is 1 and the folder of the round is kept with its schedule."""

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from tests.loss.disk import PRIVATE_MOUNTS, can_mount
from tests.loss.schedule import KINDS

_LEVELS = ("strict", "balanced")


def main(argv: list[str] | None = None) -> int:
    """Plays all rounds in `--jobs` processes and prints their results."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    if unknown := set(filter(None, arguments.kinds.split(","))) - KINDS.keys():
        parser.error(f"no such fault: {', '.join(sorted(unknown))}; there are {', '.join(KINDS)}")
    if arguments.worker is not None:
        from tests.loss.worker import work

        work(arguments)
        return 0
    mounts = can_mount()
    seed = arguments.seed if arguments.seed is not None else random.SystemRandom().randrange(10**6)
    keep = Path(arguments.keep or tempfile.mkdtemp(prefix="lossfinder-"))
    keep.mkdir(parents=True, exist_ok=True)
    print(
        f"lossfinder: {arguments.rounds} rounds from seed {seed}, {arguments.level}, "
        f"{'with' if mounts else 'without'} its own file systems",
        flush=True,
    )
    since = time.monotonic()
    results = list(_results(arguments, seed, keep, mounts=mounts))
    print(f"\n{_table(results)}\n")
    broken = [r for r in results if r["broken"]]
    for result in broken:
        print(f"seed {result['seed']}: kept in {result['folder']}")
        for sentence in result["broken"]:
            print(f"  {sentence}")
    print(
        f"{len(results)} rounds in {time.monotonic() - since:.0f} s, {len(broken)} with a broken "
        f"rule, {sum(len(r['lost']) for r in results)} verdicts lost"
    )
    if not broken and not arguments.keep:
        shutil.rmtree(keep)
    return 1 if broken or len(results) < arguments.rounds else 0


def _results(arguments: argparse.Namespace, seed: int, keep: Path, *, mounts: bool) -> Any:
    """Runs the workers and yields their results as they come."""
    command = [*(PRIVATE_MOUNTS if mounts else []), sys.executable, "-m", "tests.loss"]
    reader, writer = os.pipe()
    workers = [
        subprocess.Popen(
            [
                *command,
                *("--worker", str(number), "--jobs", str(arguments.jobs), "--pipe", str(writer)),
                *("--rounds", str(arguments.rounds), "--seed", str(seed), "--keep", str(keep)),
                *("--level", arguments.level, "--broken", arguments.broken),
                *("--kinds", arguments.kinds, "--mounts", str(int(mounts))),
                *(["--first"] if arguments.first else []),
                *(["--any-age"] if arguments.any_age else []),
            ],
            pass_fds=[writer],
        )
        for number in range(arguments.jobs)
    ]
    os.close(writer)
    count = 0
    try:
        with os.fdopen(reader) as lines:
            for line in lines:
                result = json.loads(line)
                count += 1
                _progress(count, arguments.rounds, result)
                yield result
                if arguments.first and result["broken"]:
                    break
    finally:
        for worker in workers:
            worker.terminate()
        for worker in workers:
            worker.wait(120)


def _progress(count: int, rounds: int, result: dict[str, Any]) -> None:
    verdict = "BROKEN" if result["broken"] else "ok"
    kinds = ", ".join(result["kinds"])
    print(
        f"{count}/{rounds} seed {result['seed']} {verdict} {result['seconds']:.1f} s "
        f"{result['stored']} stored, {result['duplicates']} twice: {kinds}",
        flush=True,
    )


def _table(results: list[dict[str, Any]]) -> str:
    """A row for each kind of fault, and one for all; a round counts in each of its kinds."""
    columns = (
        "given",
        "stored",
        "duplicates",
        "dropped",
        "parked",
        "salvage_lost",
        "unwritten",
        "unheld",
        "unstored",
    )
    rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for result in results:
        for kind in result["kinds"]:
            rows[kind].append(result)
    head = (
        "| fault | rounds | given | stored | twice | dropped | parked | gone with a damaged file, "
        "reported | not written by a lying disk | in memory, disk refused | "
        "not yet stored at a kill | oldest of these, ms | lost | broken rules |"
    )
    lines = [head, "|---" * 14 + "|"]
    for kind, found in [*sorted(rows.items()), ("all rounds", results)]:
        sums = [sum(r[c] for r in found) for c in columns]
        cells = [kind, len(found), *sums]
        cells.append(f"{max((r['window_ms'] for r in found), default=0):.0f}")
        cells += [sum(len(r["lost"]) for r in found), sum(len(r["broken"]) for r in found)]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.loss", description=__doc__)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--seed", type=int, help="of the first round; they count up from it")
    parser.add_argument("--level", choices=_LEVELS, default="strict")
    parser.add_argument("--jobs", type=int, default=2, help="rounds at a time")
    parser.add_argument("--kinds", default="", help="only these faults, with commas between them")
    parser.add_argument("--keep", default="", help="where broken rounds are kept")
    parser.add_argument("--first", action="store_true", help="stop at the first broken round")
    parser.add_argument("--broken", default="", help="a box that is broken on purpose")
    parser.add_argument("--any-age", action="store_true", help="balanced: judges no time")
    for name in ("--worker", "--pipe", "--mounts"):
        parser.add_argument(name, type=int, help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    sys.exit(main())
