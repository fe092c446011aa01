"""One of the processes that play rounds side by side."""

import argparse
import json
import os
import shutil
import signal
import tempfile
import threading
import time
import traceback
from dataclasses import asdict
from pathlib import Path

from tests.loss.boxes import Boxes
from tests.loss.oracle import Judgement
from tests.loss.rig import Rig
from tests.loss.rounds import Round
from tests.loss.schedule import Schedule, draw
from tests.support.plant import draw_many

_PICTURES = 8


def work(arguments: argparse.Namespace) -> None:
    """Plays every `jobs`-th round and writes each result as a JSON line to the pipe."""
    asked = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: asked.set())  # the round in hand is ended in order
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the mother passes it on
    keep = Path(arguments.keep)
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=memory) as name:
        root = Path(name)
        draw_many(root / "pictures", _PICTURES)
        boxes = Boxes(root)
        try:
            for number in range(arguments.worker, arguments.rounds, arguments.jobs):
                if asked.is_set():
                    break
                schedule = draw(
                    arguments.seed + number,
                    mounts=bool(arguments.mounts),
                    kinds=[k for k in arguments.kinds.split(",") if k],
                )
                result = play(root, boxes, schedule, arguments, keep)
                try:
                    os.write(arguments.pipe, json.dumps(result).encode() + b"\n")
                except BrokenPipeError:
                    break
        finally:
            boxes.close()


def play(
    root: Path, boxes: Boxes, schedule: Schedule, arguments: argparse.Namespace, keep: Path
) -> dict[str, object]:
    """One round; its folder is kept when a rule was broken."""
    folder = root / f"round-{schedule.seed}"
    since = time.monotonic()
    try:
        rig = Rig(
            folder,
            boxes,
            root / "pictures",
            schedule,
            level=arguments.level,
            broken=arguments.broken,
            mounts=bool(arguments.mounts),
            any_age=arguments.any_age,
        )
        judgement = Round(rig).play()
    except Exception:  # noqa: BLE001  outermost loop: the other rounds are to be played
        judgement = Judgement(broken=[f"the lossfinder itself failed: {traceback.format_exc()}"])
    result = {
        "seed": schedule.seed,
        "kinds": sorted(schedule.kinds()),
        "seconds": time.monotonic() - since,
        "folder": "",
        **asdict(judgement),
    }
    if judgement.broken:
        kept = keep / folder.name
        result["folder"] = str(kept)
        (folder / "schedule.json").write_text(json.dumps(schedule.plain(), indent=1))
        (folder / "result.json").write_text(json.dumps(result, indent=1))
        shutil.rmtree(kept, ignore_errors=True)
        shutil.copytree(folder, kept)
    shutil.rmtree(folder)
    return result
