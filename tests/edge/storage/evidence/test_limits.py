"""The limits: whose picture goes, which go last, and what a loss says."""

from pathlib import Path

import pytest

from edge.core.clock import Clock
from edge.core.ids import uuid7
from edge.core.verdict import Verdict
from edge.storage import EvidenceReader
from tests.support.archives import Labels, archive, keep
from tests.support.frames import frame, noise_frame
from tests.support.verdicts import a_verdict

NOON = 1_790_000_000.0
DAY_S = 86_400.0
SIDE = 350  # of noise whose PNG takes more than a third of a megabyte


def fail(number: int, camera: str = "top", at: float = NOON) -> Verdict:
    """A fail of a camera; numbers rise with time."""
    return a_verdict(camera=camera, captured_at=at, id=uuid7(int(at * 1000) + number))


def kept_ids(folder: Path) -> set[str]:
    """Ids of all records; each has its picture."""
    return {record.id for record in EvidenceReader(folder).records()}


def test_a_busy_camera_does_not_push_out_the_others(tmp_path: Path) -> None:
    """The camera with the most bytes loses its own oldest pictures."""
    rare = fail(0, "side")
    busy = [fail(number) for number in range(1, 9)]
    frames = [(noise_frame(n, SIDE), one) for n, one in enumerate([rare, *busy])]
    keep(archive(tmp_path, max_mb=1), frames)
    assert kept_ids(tmp_path) == {rare.id, busy[-1].id}


@pytest.mark.slow
def test_cameras_share_the_budget(tmp_path: Path) -> None:
    """Two busy cameras end with as much as each other."""
    both = [fail(number, ("top", "side")[number % 2]) for number in range(12)]
    keep(archive(tmp_path, max_mb=1.5), [(noise_frame(1, SIDE), one) for one in both])
    assert kept_ids(tmp_path) == {one.id for one in both[-4:]}


def test_labelled_pictures_go_last(tmp_path: Path) -> None:
    """While there is anything else to delete, they stay, however old they are."""
    verdicts = [fail(number) for number in range(8)]
    labels = Labels(verdicts[0].id)
    kept = archive(tmp_path, labels=labels, max_mb=1)
    keep(kept, [(noise_frame(1, SIDE), one) for one in verdicts])
    assert kept_ids(tmp_path) == {verdicts[0].id, *(one.id for one in verdicts[-1:])}
    assert kept.faults() == []


def test_the_loss_of_a_labelled_picture_is_a_fault(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Only when all but the newest are labelled. The newest picture is kept; the fault names the
    verdict and what to do."""
    verdicts = [fail(number) for number in range(4)]
    labels = Labels(*(one.id for one in verdicts[:3]))
    kept = archive(tmp_path, labels=labels, max_mb=1)
    keep(kept, [(noise_frame(1, SIDE), one) for one in verdicts])
    assert kept_ids(tmp_path) == {verdicts[2].id, verdicts[3].id}
    (fault,) = kept.faults()
    assert fault.startswith("2 labelled picture(s) were deleted before they were exported")
    assert verdicts[1].id in fault
    assert "export --labelled" in fault
    assert sum("was deleted before it was exported" in r.message for r in caplog.records) == 2


def test_a_label_that_comes_later_counts(tmp_path: Path) -> None:
    """A picture that is next to go, and is labelled now, stays."""
    labels = Labels()
    verdicts = [fail(number) for number in range(6)]
    kept = archive(tmp_path, labels=labels, max_mb=1)
    keep(kept, [(noise_frame(1, SIDE), one) for one in verdicts[:3]])
    labels.ids.add(verdicts[1].id)
    keep(kept, [(noise_frame(1, SIDE), one) for one in verdicts[3:]])
    assert verdicts[1].id in kept_ids(tmp_path)


def test_what_is_too_old_goes(tmp_path: Path) -> None:
    """Past `max_age_d`, by whole days; labelled pictures stay, and so do those of a clock that
    nobody had set."""
    now = Clock(now=lambda: NOON)
    old, labelled, unset = fail(1, at=NOON - 9 * DAY_S), fail(2, at=NOON - 8 * DAY_S), fail(3, at=5)
    fresh, newest = fail(4, at=NOON - 6 * DAY_S), fail(5)
    verdicts = [unset, old, labelled, fresh, newest]
    keep(archive(tmp_path), [(frame(), one) for one in verdicts[:-1]])
    kept = archive(tmp_path, labels=Labels(labelled.id), clock=now, max_age_d=7)
    keep(kept, [(frame(), newest)])
    assert kept_ids(tmp_path) == {unset.id, labelled.id, fresh.id, newest.id}


def test_a_clock_that_nobody_has_set_deletes_nothing(tmp_path: Path) -> None:
    """In 1970 nothing is old."""
    keep(archive(tmp_path), [(frame(), fail(1, at=NOON - 900 * DAY_S))])
    keep(archive(tmp_path, clock=Clock(now=lambda: 5.0), max_age_d=7), [(frame(), fail(2, at=5.0))])
    assert len(kept_ids(tmp_path)) == 2


class Disk:
    """A disk of some megabytes with another program on it."""

    def __init__(self, folder: Path, megabytes: float) -> None:
        self._folder, self.free = folder, megabytes * 2**20

    def __call__(self, _path: Path) -> int:
        """Free bytes."""
        files = (p for p in self._folder.rglob("*") if p.is_file())
        return int(self.free - sum(-(-p.stat().st_size // 4096) * 4096 for p in files))


def test_free_disk_is_left(tmp_path: Path) -> None:
    """Below `min_free_mb` the oldest go before a new picture is written."""
    verdicts = [fail(number) for number in range(6)]
    disk = Disk(tmp_path, 2.0)
    kept = archive(tmp_path, parts={"free": disk}, min_free_mb=1)
    keep(kept, [(noise_frame(1, SIDE), one) for one in verdicts])
    assert kept.counts.skipped == 0
    assert verdicts[-1].id in kept_ids(tmp_path)
    assert 2 <= len(kept_ids(tmp_path)) <= 4


def test_a_disk_that_others_fill_costs_no_labelled_picture(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Then new pictures are not kept, which is a fault, until there is room again."""
    verdicts = [fail(number) for number in range(4)]
    disk = Disk(tmp_path, 9.0)
    labels = Labels(verdicts[0].id)
    kept = archive(tmp_path, labels=labels, parts={"free": disk}, min_free_mb=1)
    keep(kept, [(frame(), verdicts[0])])
    disk.free = 0.5 * 2**20
    keep(kept, [(frame(), one) for one in verdicts[1:3]])
    assert kept_ids(tmp_path) == {verdicts[0].id}
    (fault,) = kept.faults()
    assert "less than 1 MB are free on its disk (archive.min_free_mb)" in fault
    assert len(caplog.records) == 1
    disk.free = 9 * 2**20
    keep(kept, [(frame(), verdicts[3])])
    assert kept_ids(tmp_path) == {verdicts[0].id, verdicts[3].id}
    assert kept.faults() == []
