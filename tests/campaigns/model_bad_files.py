"""Every bad model file, and every wrong switch, against a daemon that judges meanwhile.

    python -m tests.campaigns.model_bad_files

Prints a table: what was tried, and the sentence that refused it. Exit code 1 when something is
accepted, when a refusal is no single sentence, when another version judges afterwards, or when a
verdict is missing.
"""

import argparse
import io
import json
import resource
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from nacl.signing import SigningKey

from edge.config import load_config
from edge.models import open_store
from tests.support.model_versions import version_of_redness
from tests.support.mosquitto import Mosquitto
from tests.support.plant import Daemon, Plant, draw_many
from tests.support.signing import SignedBy

_COUNTER = 5  # of the version that judges
_RATE = 50  # pictures a second
_ROOM = 1000  # bytes that a full disk takes: less than the model file


@dataclass(frozen=True, slots=True)
class Attempt:
    """One wrong thing. `arguments`: of `edge-inspect models`."""

    name: str
    arguments: tuple[str, ...]
    full_disk: bool = False


class Box:
    """A daemon that judges by a signed redness@1, and files for it."""

    def __init__(self, folder: Path, broker: Mosquitto) -> None:
        self.folder = folder
        self._plant_key, self._other = (
            SignedBy(SigningKey.generate()),
            SignedBy(SigningKey.generate()),
        )
        key = self._plant_key.write_public(folder / "plant.pub")
        draw_many(folder / "parts", 100)
        camera = {"id": "top", "source": f"replay:{folder / 'parts'}", "rate": _RATE}
        self.daemon = Daemon(
            folder,
            {
                "station": "line1",
                "model": {"path": "redness"},
                "models": {
                    "path": str(folder / "versions"),
                    "keys": [str(key)],
                    "probation": {"parts": 0},
                },
                "cameras": [{**camera, "loop": 1_000_000}],
                "mqtt": {"host": "127.0.0.1", "port": broker.port},
            },
        )

    def write(
        self,
        name: str,
        content: bytes,
        *,
        counter: int = _COUNTER + 1,
        signed: bytes | None = None,
        other_key: bool = False,
    ) -> str:
        """A model file, with its signature beside it. `signed`: what is signed in its place."""
        path = self.folder / f"{name}.tflite"
        path.write_bytes(content)
        key = self._other if other_key else self._plant_key
        signature = key.sign(content if signed is None else signed, f"counter:{counter}")
        path.with_name(path.name + ".minisig").write_bytes(signature)
        return str(path)

    def attempts(self) -> Iterator[Attempt]:
        """Everything that must be refused."""
        good = version_of_redness("2")
        flipped = bytearray(good)
        flipped[len(good) // 2] ^= 1
        yield self._install("one flipped byte, signed before", bytes(flipped), signed=good)
        yield self._install("one flipped byte, signed after", bytes(flipped))
        yield self._install("truncated", good[: len(good) // 2])
        unsigned = self.folder / "unsigned.tflite"
        unsigned.write_bytes(good)
        yield Attempt("unsigned", ("install", str(unsigned)))
        yield self._install("another key", good, other_key=True)
        yield self._install("a lower counter", good, counter=_COUNTER - 1)
        yield self._install("other labels", version_of_redness("2", labels=("ok", "blue")))
        yield self._install("another input size", version_of_redness("2", width=17))
        yield self._install("a golden picture fails", version_of_redness("2", golden_score=0.5))
        huge = self.folder / "huge.tflite"
        with huge.open("wb") as file:
            file.truncate(2 * 2**30)
        yield Attempt("2 GB", ("install", str(huge)))
        yield self._install("a ZIP bomb in it", _with_bomb(good))
        yield self._install("a name out of the folder", version_of_redness("2", name="../../etc"))
        full = self.write("full", good)
        yield Attempt("a full disk in mid-install", ("install", full), full_disk=True)
        yield Attempt("a version that is not installed", ("activate", "redness@9"))
        yield Attempt("back, without a version before", ("rollback",))
        yield Attempt("remove the active version", ("remove", "redness@1"))

    def models(self, attempt: Attempt) -> "subprocess.CompletedProcess[str]":
        """`edge-inspect models`."""
        command = [sys.executable, "-m", "edge", "models", *attempt.arguments]
        return subprocess.run(
            [*command, "-c", str(self.daemon.config)],
            capture_output=True,
            text=True,
            check=False,
            preexec_fn=_fill_disk if attempt.full_disk else None,
        )

    def _install(self, name: str, content: bytes, **how: object) -> Attempt:
        stem = name.replace(" ", "-").replace(",", "")
        return Attempt(name, ("install", self.write(stem, content, **how)))  # type: ignore[arg-type]

    def two_at_once(self) -> tuple[int, int]:
        """How many of two installs were done, and how many were refused."""
        files = [self.write(f"twin{n}", version_of_redness(f"twin{n}")) for n in range(2)]
        command = [sys.executable, "-m", "edge", "models", "install"]
        running = [
            subprocess.Popen(
                [*command, file, "-c", str(self.daemon.config)], stderr=subprocess.PIPE
            )
            for file in files
        ]
        codes = [process.wait() for process in running]
        for process in running:
            process.communicate()
        return codes.count(0), sum(code != 0 for code in codes)

    def active(self) -> str:
        """The version that judges."""
        return open_store(load_config(self.daemon.config)).active("redness").version


def _with_bomb(content: bytes) -> bytes:
    """A member of 100 MB that takes 100 KB."""
    data = io.BytesIO(content)
    with zipfile.ZipFile(data, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("golden/bomb.png", bytes(100 * 2**20))
    return data.getvalue()


def _fill_disk() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (_ROOM, _ROOM))


@contextmanager
def running_box() -> Iterator[tuple[Box, Plant]]:
    """A box that judges, and its plant."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        broker = Mosquitto(folder / "broker")
        broker.start()
        plant = Plant(broker.port)
        box = Box(folder, broker)
        first = box.write("first", version_of_redness("1"), counter=_COUNTER)
        for arguments in (("install", first), ("activate", "redness@1")):
            done = box.models(Attempt("", arguments))
            if done.returncode:
                raise SystemExit(done.stderr)
        box.daemon.start()
        try:
            yield box, plant
        finally:
            box.daemon.close()
            plant.close()
            broker.kill()


def judge(box: Box, attempt: Attempt, report: Callable[[str], None]) -> bool:
    """Tries it, and reports a row. Whether it was refused in one sentence."""
    done = box.models(attempt)
    said = done.stderr.strip().replace(str(box.folder), "…")
    lines = [line for line in said.splitlines() if not line.startswith("INFO:")]
    right = done.returncode != 0 and len(lines) == 1 and "Traceback" not in said
    right &= box.active() == "1"
    report(f"| {attempt.name} | {' '.join(lines) or 'ACCEPTED'} |{'' if right else ' WRONG'}")
    return right


def main() -> int:
    """Prints the table. Exit code 1 when a rule is broken."""
    argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0]).parse_args()
    wrong = 0
    with running_box() as (box, plant):
        plant.wait_for_results(20)
        print("| tried | answer |\n|---|---|")
        for attempt in box.attempts():
            wrong += not judge(box, attempt, lambda row: print(row, flush=True))
        done, refused = box.two_at_once()
        print(f"| two installs at once | {done} done, {refused} refused |")
        wrong += done == 0
        box.daemon.wait_for_stored(box.daemon.last_seq() + 20)
        code = box.daemon.stop()
        stored = box.daemon.last_seq()
        results = plant.wait_for_results(stored)
        missing = stored - len(results)
        others = {body["model"]["version"] for body in results.values()} - {"1"}
    errors = sum(body["verdict"] == "error" for body in results.values())
    print(json.dumps({"verdicts": stored, "missing": missing, "by another version": len(others)}))
    print(f"{errors} verdicts `error`; the daemon ended with {code}; {wrong} rules broken")
    return int(bool(wrong or missing or others or code))


if __name__ == "__main__":
    sys.exit(main())
