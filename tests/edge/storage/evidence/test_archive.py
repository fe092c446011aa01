"""Pictures kept as evidence: which ones, within the budget, never delaying a verdict."""

import contextlib
import resource
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.core.errors import RefusedError
from edge.core.verdict import Outcome
from tests.support.archives import archive, keep
from tests.support.frames import frame, noise_frame
from tests.support.verdicts import verdict


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the archive is; it makes the folder itself."""
    return tmp_path / "state" / "archive"


@pytest.mark.parametrize(("outcome", "count"), [("fail", 1), ("review", 1), ("pass", 0)])
def test_only_the_verdicts_that_matter(folder: Path, outcome: Outcome, count: int) -> None:
    """By default pictures of fail and review are kept and those of pass are not."""
    kept = archive(folder)
    keep(kept, [(frame(red=200), verdict(outcome))])
    assert kept.counts.kept == count
    assert len(list(folder.glob("*/*.png"))) == count


def test_name_says_day_verdict_camera_and_id(folder: Path) -> None:
    """The file's name leads from the picture to its verdict, and its pixels are the frame's."""
    judged = replace(verdict("fail"), captured_at=1_700_000_000.0)
    keep(archive(folder), [(frame(red=200), judged)])
    (path,) = folder.glob("*/*.png")
    assert path.parent.name == "2023-11-14"
    assert path.name == f"fail-top-{judged.id}.png"
    pixels = cv2.imread(str(path))
    assert pixels is not None
    assert (pixels == (90, 60, 200)).all()


def test_frame_without_a_picture_keeps_nothing(folder: Path) -> None:
    """An error verdict without pixels has no evidence to keep."""
    kept = archive(folder, keep=["error"])
    keep(kept, [(frame(red=None, fault="lost"), verdict("error"))])
    assert (kept.counts.kept, kept.counts.skipped) == (0, 0)


def test_busy_archive_skips_and_counts(folder: Path) -> None:
    """When pictures come faster than they are written, they are skipped and counted at once."""
    kept = archive(folder)
    for _ in range(70):
        kept.keep([frame()], verdict("fail"))
    assert kept.counts.skipped == 6


def test_budget_deletes_the_oldest_first(folder: Path) -> None:
    """Past max_mb the oldest pictures go, empty days too; the newest stay."""
    big = [noise_frame(seq, side=400) for seq in range(6)]
    for seq, shown in enumerate(big):  # a new archive each time, as after restarts
        judged = replace(verdict("fail", number=seq), captured_at=1_700_000_000.0 + 86400 * seq)
        keep(archive(folder, max_mb=1), [(shown, judged)])
    files = sorted(folder.glob("*/*.png"))
    total = sum(path.stat().st_size for path in files)
    assert 0 < total <= 2**20
    days = sorted(day.name for day in folder.iterdir())
    assert days == [f"2023-11-{14 + seq}" for seq in range(6 - len(files), 6)]


@pytest.mark.slow
def test_one_picture_above_the_budget_is_kept(folder: Path) -> None:
    """A single picture larger than the budget is still evidence."""
    keep(archive(folder, max_mb=1), [(noise_frame(1, side=1500), verdict("fail"))])
    assert len(list(folder.glob("*/*.png"))) == 1


@contextlib.contextmanager
def full_disk() -> Iterator[None]:
    """No file of this process may grow past 2,000 bytes, as on a disk that is full.

    Only around the action: what pytest itself writes to a log file must not meet the limit.
    """
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_full_disk_is_logged_once_and_leaves_no_half_picture(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """On a full disk the archive says so once, counts, leaves no half file and goes on."""
    kept = archive(folder)
    pictures = [(noise_frame(seq, side=300), verdict("fail", number=seq)) for seq in range(3)]
    with full_disk():
        keep(kept, pictures)
    assert kept.counts.skipped == 3
    assert sum("cannot be kept" in record.message for record in caplog.records) == 1
    assert list(folder.glob("*/*.png")) == []


def test_full_disk_that_is_mended(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A file in the archive's place is a fault; once it is gone, pictures are kept again."""
    folder.parent.mkdir()
    folder.touch()
    kept = archive(folder)
    keep(kept, [(frame(), verdict("fail"))])
    assert (kept.counts.kept, kept.counts.skipped) == (0, 1)
    folder.unlink()
    keep(kept, [(frame(), verdict("fail", number=1))])
    assert (kept.counts.kept, kept.counts.skipped) == (1, 1)


def test_a_kept_picture_is_found_by_its_id(folder: Path) -> None:
    """By the id of the verdict alone, byte by byte; an id of which nothing is kept, of whatever
    time, is refused in a sentence."""
    kept = archive(folder)
    judged = replace(
        verdict("fail"), id="018bcfe5-6800-7000-8000-00000000000a", captured_at=1_700_000_000.0
    )
    keep(kept, [(frame(red=200), judged)])
    (path,) = folder.glob("*/*.png")
    assert np.array_equal(kept.find(judged.id), cv2.imread(str(path)))  # type: ignore[arg-type]
    for missing in (
        "018bcfe5-6800-7000-8000-00000000000b",
        "ffffffff-ffff-7000-8000-000000000000",
        "00000000-0000-7000-8000-000000000000",
    ):
        with pytest.raises(RefusedError, match=missing):
            kept.find(missing)
