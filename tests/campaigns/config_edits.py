"""Random edits of the config.yaml that comes with edge-inspect, each read by `config show`.

    python -m tests.campaigns.config_edits --count 10000 --seed 1

An edit changes bytes, characters, lines, values or keys, one to four times. Each must end with exit
code 0 or 2 and without a traceback, and each sentence must name line, column and fix. Prints the
counts, the slowest edit and the memory before and after. Exit code 1 when a promise is broken.
"""

import argparse
import contextlib
import io
import random
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import psutil
import yaml

from edge.__main__ import main as edge_inspect
from edge.config import Config
from edge.core.text import one_line

EXAMPLE = Path(__file__).parents[2] / "config.yaml"
WARM_UP = 0.2  # of the edits, before the memory is measured
GROWTH_MB = 8.0
SLOWEST_S = 5.0  # processor time
FIX = re.compile(
    r"must|; |add it|remove|write|correct|did you mean|put .* in quotes|check|save|set both"
)
HOSTILE = (
    "\x00", "\x1b[31m", "\u2028", "\u202e", "\ufeff", "\ufffe", "\u00a0", "\t", "\r",
    "\x85", "“", "”", "：", "{", "}", "[", "]", ":", "- ", "#", "&a ", "*a", "!!binary ",
    "!x ", "%", "@", "`", "|\n", ">\n", '"', "'", '"\\ud800"', '"\\x00"', "<<: ", "? ",
    "---\n", "...\n", "null", "~", "NO", "0755", "12:30", "1e3", ".nan", ".inf", "-1",
    "1" * 400, "2026-11-30", "가", "👩‍🏭", "x" * 70_000, "rtsp://u:p/w@h",
    "mqtt://u:pw@h:1883", "C:\\temp", "{{ x }}", "[[[[" * 20, "&x [*x]", "0.0.0.0",
)  # fmt: skip

Edit = Callable[[random.Random, str], str]


def _keys() -> list[str]:
    text = yaml.safe_dump(Config.model_json_schema())
    return sorted(set(re.findall(r"^ +([a-z_]{3,20}):", text, re.MULTILINE)))


KEYS = _keys()


def _insert(rng: random.Random, text: str) -> str:
    at = rng.randrange(len(text) + 1)
    return text[:at] + rng.choice(HOSTILE) + text[at:]


def _delete(rng: random.Random, text: str) -> str:
    at = rng.randrange(len(text) + 1)
    return text[:at] + text[at + rng.choice((1, 1, 3, 20, 200)) :]


def _flip(rng: random.Random, text: str) -> str:
    at = rng.randrange(len(text) + 1)
    return text[:at] + chr(rng.choice((rng.randrange(128), rng.randrange(0xD7FF)))) + text[at + 1 :]


def _lines(rng: random.Random, text: str) -> str:
    lines = text.split("\n")
    one, other = rng.randrange(len(lines)), rng.randrange(len(lines))
    match rng.randrange(5):
        case 0:
            lines.insert(one, lines[other])
        case 1:
            del lines[one]
        case 2:
            lines[one] = " " * rng.randrange(6) + lines[one]
        case 3:
            lines[one] = re.sub(r"^(\s*)# ?", r"\1", lines[one])  # a comment becomes a setting
        case _:
            lines[one], lines[other] = lines[other], lines[one]
    return "\n".join(lines)


def _value(rng: random.Random, text: str) -> str:
    """Another value for a key."""
    found = list(re.finditer(r"^[^#\n]*?\w: *([^#\n]+)", text, re.MULTILINE))
    if not found:
        return text
    start, end = rng.choice(found).span(1)
    return text[:start] + rng.choice(HOSTILE) + text[end:]


def _key(rng: random.Random, text: str) -> str:
    """Another known key in the place of one, with its value."""
    found = list(re.finditer(r"^[ -]*(\w+):", text, re.MULTILINE))
    if not found:
        return text
    start, end = rng.choice(found).span(1)
    return text[:start] + rng.choice(KEYS) + text[end:]


EDITS: tuple[Edit, ...] = (_insert, _delete, _flip, _lines, _lines, _value, _value, _key)
ENCODINGS = ("utf-8",) * 12 + ("utf-8-sig", "utf-16", "utf-16-le", "latin-1")


def edited(rng: random.Random, text: str) -> bytes:
    """The example after one to four edits, as the bytes of a file."""
    if rng.random() < 0.7:  # without comments, most edits hit something
        text = re.sub(r"^\s*#.*\n|\s+#.*$", "", text, flags=re.MULTILINE)
    for _ in range(rng.choice((1, 1, 2, 4))):
        text = rng.choice(EDITS)(rng, text)
    if rng.random() < 0.1:
        text = text.replace("\n", "\r\n")
    data = text.encode(rng.choice(ENCODINGS), "replace")
    if rng.random() < 0.05:
        at = rng.randrange(len(data) + 1)
        data = data[:at] + bytes([rng.randrange(256)]) + data[at:]
    return data


def run(path: Path) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of `config show`, in this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = edge_inspect(["config", "show", "-c", str(path)])
    return code, out.getvalue(), err.getvalue()


def broken_promises(path: Path, code: int, out: str, err: str) -> list[str]:
    """What is wrong with the answer; empty when nothing is."""
    if code == 0:
        return ["sentences although it is accepted"] if err else []
    found = [] if code == 2 else [f"exit code {code}"]
    if "Traceback" in err or not err:
        found.append("a traceback, or no sentence")
    if out:
        found.append("output although it is refused")
    for line in err.splitlines():
        place = re.match(rf"{re.escape(str(path))}:[1-9]\d*:[1-9]\d*: .", line)
        if place is None or not FIX.search(line) or one_line(line) != line:
            found.append(f"no place, no fix, or not one line: {line[:200]}")
        if len(line) > 1500:
            found.append(f"a sentence of {len(line)} characters")
    return found


def main() -> int:
    """Runs the campaign. Returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    rng, text = random.Random(arguments.seed), EXAMPLE.read_text(encoding="utf-8")
    codes: Counter[int] = Counter()
    broken: list[str] = []
    slowest_s, before_mb = 0.0, 0.0
    process = psutil.Process()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "config.yaml"
        for number in range(arguments.count):
            data = edited(rng, text)
            path.write_bytes(data)
            started = time.process_time()
            code, out, err = run(path)
            slowest_s = max(slowest_s, time.process_time() - started)
            codes[code] += 1
            broken += [f"edit {number}: {one}" for one in broken_promises(path, code, out, err)]
            if number == int(arguments.count * WARM_UP):
                before_mb = process.memory_info().rss / 2**20
    grown_mb = process.memory_info().rss / 2**20 - before_mb
    print(f"{arguments.count} edits: {codes[0]} accepted, {codes[2]} refused, "
          f"{sum(codes.values()) - codes[0] - codes[2]} others; slowest {slowest_s:.2f} s; memory "
          f"{before_mb:.0f} MB and {grown_mb:+.1f} MB")  # fmt: skip
    if grown_mb > GROWTH_MB:
        broken.append(f"memory grew by {grown_mb:.1f} MB")
    if slowest_s > SLOWEST_S:
        broken.append(f"an edit took {slowest_s:.1f} s")
    print("\n".join(broken[:20]) or "holds  exit codes, places, fixes, time and memory")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
