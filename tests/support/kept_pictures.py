"""Pictures judged by a real model and kept as evidence, as the daemon does it."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from edge.config import load_config
from edge.core.clock import Clock
from edge.core.frame import Frame
from edge.core.image import open_picture
from edge.core.terms import Pixels
from edge.core.verdict import Verdict
from edge.pipeline import build_inspector, build_judge
from edge.storage.evidence.archive import Archive, NoLabels

NOON = 1_790_000_000.0


def judge_and_keep(
    config_path: Path, pictures: Sequence[Path | Pixels], camera: str = "top"
) -> list[Verdict]:
    """Judges pictures, files or pixels of a raw camera, by config.yaml and keeps them as its
    `archive:` says. Returns their verdicts."""
    config = load_config(config_path)
    judge = build_judge(config, build_inspector(config), Clock(), None)
    archive = Archive(config.archive, Clock(), NoLabels())
    verdicts = []
    for seq, picture in enumerate(pictures, start=1):
        frame = Frame(camera, seq, None, NOON + seq, 1000.0)
        if isinstance(picture, Path):
            frame = replace(frame, encoded=open_picture(picture))
        else:
            frame = replace(frame, pixels=picture)
        for verdict in judge.judge(frame):
            archive.keep([frame], verdict)
            verdicts.append(verdict)
    archive.close()
    archive.run()
    assert archive.counts.skipped == 0
    return verdicts
