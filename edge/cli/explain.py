"""`edge-inspect explain`: judges a kept picture again and says whether the score is the same."""

import re
from pathlib import Path

import cv2

from edge.cli.explanation import Explainer, Explanation, thresholds_text
from edge.cli.rejudging import recorded_thresholds
from edge.config import load_config
from edge.core.clock import Clock
from edge.core.errors import EXIT_DONE, EXIT_NO, EdgeInspectError, RefusedError
from edge.core.output import write_output
from edge.core.text import escape
from edge.storage import EvidenceReader, EvidenceRecord

_ID = re.compile(r"[0-9a-f]{8}[0-9a-f-]{0,28}")


def explain(ids: list[str], config_path: Path) -> int:
    """Prints what became of each verdict. Exit code 1 unless all scores are the same to the last
    bit. Raises EdgeInspectError."""
    config = load_config(config_path, check_files=False)
    reader = EvidenceReader(config.archive.path)
    cv2.setNumThreads(1)  # as the daemon
    explainer = Explainer(config, Clock().root)
    code = EXIT_DONE
    for record in [_record(reader, name, config.archive.path) for name in ids]:
        found = explainer.explain(record)
        write_output("\n".join(_lines(found)) + "\n")
        if not found.same:
            code = EXIT_NO
    return code


def _record(reader: EvidenceReader, name: str, path: Path) -> EvidenceRecord:
    if _ID.fullmatch(name) is None:
        raise EdgeInspectError(
            f"{escape(name)[:60]}: is no id of a verdict; give one as in the result, or its first "
            "8 digits or more"
        )
    ids = sorted(set(reader.ids(name))) if len(name) < 36 else [name]
    if len(ids) > 1:
        raise RefusedError(f"{name}: {len(ids)} verdicts begin so; give more digits")
    record = reader.find(ids[0]) if ids else None
    if record is None:
        raise RefusedError(
            f"{name}: no picture of this verdict is kept in {path}; archive.keep, near_threshold "
            "and pass_sample say which are, and max_mb, max_age_d and min_free_mb remove the oldest"
        )
    return record


def _lines(found: Explanation) -> list[str]:
    record = found.record
    result = record.result or {}
    lines = [
        f"{record.id}: {record.verdict}, camera {record.camera}, {result.get('captured_at', '')}"
    ]
    for number, frame in enumerate(record.frames):
        lines.append(f"  picture   {record.path(number)} ({frame.encoding})")
    if found.model is not None:
        identity = result.get("model") or {}
        name = f"{identity.get('name')} {identity.get('version')}"
        lines += [
            f"  model     {name}, judged again by {found.model}",
            f"  limits    {thresholds_text(recorded_thresholds(record))}",
        ]
    if found.score is not None:
        lines.append(f"  recorded  {found.score!r} {record.verdict} {_frames(found.scores)}")
    if found.again is not None:
        again = found.again.judgement
        lines.append(f"  now       {again.score!r} {again.outcome} {_frames(found.again.scores)}")
    lines.append(f"  {_conclusion(found)}")
    mark = "although: " if found.same else "because: "
    lines += [f"  {mark}{reason}" for reason in found.reasons]
    lines += [f"  note: {note}" for note in found.notes]
    return [line.rstrip() for line in lines]


def _frames(scores: tuple[float, ...]) -> str:
    return "" if len(scores) < 2 else f"(frames {', '.join(map(repr, scores))})"


def _conclusion(found: Explanation) -> str:
    if found.same:
        return "same score to the last bit"
    if found.again is None or found.score is None:
        return "cannot be compared"
    return f"differs by {abs(found.again.judgement.score - found.score):.3g}"
