"""Folders: a file counts as judged while its verdict is in memory, and a disk that does not answer
is a fault."""

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import pytest

from edge.capture.camera import CameraRead, ReaderLedger
from edge.capture.sources.folder import FolderCamera
from edge.core.clock import Clock, StopEvent
from edge.core.errors import CameraError, EdgeInspectError
from tests.conftest import WritePicture
from tests.edge.capture.dropfolder import names
from tests.edge.capture.reader_harness import MakeHarness
from tests.support.clock import FakeClock, Patience


class Ledger:
    """Receipts in memory and on disk, and a disk that may refuse."""

    def __init__(self) -> None:
        self.memory: set[str] = set()
        self.disk: set[str] = set()
        self.refuses = False

    def judged(self, camera: str, receipt: str) -> bool:
        """In either place."""
        return receipt in self.memory or self.stored(camera, receipt)

    def stored(self, camera: str, receipt: str) -> bool:
        """On disk."""
        assert camera == "top"
        if self.refuses:
            raise EdgeInspectError("outbox.db: the outbox cannot be read (Input/output error)")
        return receipt in self.disk

    def hand_out(self, camera: str, receipt: str) -> None:
        """Nothing."""

    def prune(self, camera: str, present: Collection[str]) -> None:
        """Nothing."""


def read_all(
    drop: Path,
    ledger: ReaderLedger,
    environment: Clock,
    clock: FakeClock,
    move_to: Path | None = None,
) -> list[CameraRead]:
    """One opening of the camera; no verdict is stored meanwhile."""
    camera = FolderCamera(
        drop,
        lambda receipt: ledger.judged("top", receipt),
        environment,
        stored=lambda receipt: ledger.stored("top", receipt),
        hand_out=lambda receipt: ledger.hand_out("top", receipt),
        move_to=move_to,
    )
    patience, reads = Patience(clock, 40), []
    while (look := camera.read(patience)) is not None:
        reads.append(look)
    return reads


def test_a_verdict_in_memory_counts(
    drop: Path, environment: Clock, clock: FakeClock, write_picture: WritePicture, tmp_path: Path
) -> None:
    """After a reload a file is not judged again, though its verdict waits for the disk. It is not
    moved before that is stored: a killed daemon must find it."""
    path, ledger = write_picture("drop/a.png"), Ledger()
    (look,) = read_all(drop, ReaderLedger(ledger), environment, clock)
    assert look.receipt is not None
    ledger.memory.add(look.receipt)
    after_reload = ReaderLedger(ledger)
    assert read_all(drop, after_reload, environment, clock, tmp_path / "done") == []
    assert path.exists()
    ledger.disk.add(look.receipt)
    ledger.memory.clear()
    assert read_all(drop, after_reload, environment, clock, tmp_path / "done") == []
    assert not path.exists()


def test_a_file_on_its_way_is_not_handed_out_again(
    drop: Path, environment: Clock, clock: FakeClock, write_picture: WritePicture
) -> None:
    """The folder was out of reach and is opened again while its files wait in the mailbox."""
    write_picture("drop/a.png")
    (drop / "bad.png").write_text("no picture")
    same_reader = ReaderLedger(Ledger())
    assert set(names(read_all(drop, same_reader, environment, clock))) == {"a.png", "bad.png"}
    assert read_all(drop, same_reader, environment, clock) == []


def test_files_wait_while_the_disk_does_not_say_which_are_judged(
    drop: Path, environment: Clock, clock: FakeClock, write_picture: WritePicture
) -> None:
    """A lost camera with a sentence, no second verdict and no unexpected fault."""
    write_picture("drop/a.png")
    ledger = Ledger()
    ledger.refuses = True
    with pytest.raises(CameraError, match=r"cannot be read; they wait.*Input/output error"):
        read_all(drop, ReaderLedger(ledger), environment, clock)
    ledger.refuses = False
    assert names(read_all(drop, ReaderLedger(ledger), environment, clock)) == ["a.png"]


def test_what_was_handed_out_long_ago_takes_no_memory() -> None:
    """Its verdict is stored since."""
    ledger = ReaderLedger(Ledger())
    for number in range(5000):
        ledger.hand_out("top", str(number))
    assert not ledger.judged("top", "0")
    assert ledger.judged("top", "4999")


class RateInterval:
    """A source whose disk does not answer for some seconds."""

    live = False

    def __init__(self, clock: FakeClock, hangs_s: float) -> None:
        self.clock, self.hangs_s = clock, hangs_s
        self.seen: list[str] = []
        self.check: Callable[[], None] = lambda: None
        self.state: Callable[[], str] = lambda: ""

    def read(self, stop: StopEvent) -> CameraRead | None:
        """Idle for an hour, then a call that hangs, then idle again."""
        assert not stop.wait(3600.0)
        self.check()
        self.seen.append(self.state())
        self.clock.at += self.hangs_s
        self.check()
        self.seen.append(self.state())
        stop.wait(1.0)
        self.seen.append(self.state())
        return None

    def close(self) -> None:
        """Nothing."""


@pytest.mark.parametrize(
    ("hangs_s", "states"), [(9.0, ["live", "live", "live"]), (11.0, ["live", "silent", "live"])]
)
def test_a_folder_that_does_not_answer_is_silent(
    make_harness: MakeHarness, clock: FakeClock, hangs_s: float, states: list[str]
) -> None:
    """Health says it, as of a driver that hangs; waiting for a file is no silence. The watchdog is
    fed: a restart would not bring the share back."""
    harness = make_harness("folder:/mnt/share")
    share, reader = RateInterval(clock, hangs_s), harness.reader
    stuck: list[float] = []

    def check() -> None:
        reader.check()
        stuck.append(reader.stuck_s())

    share.check = check
    share.state = lambda: reader.state
    assert harness.run(share) == []
    assert share.seen == states
    assert stuck == [0.0, 0.0]
    assert reader.distrusted == ({"silent": 1} if "silent" in states else {})


def test_a_folder_that_does_not_open_is_silent(make_harness: MakeHarness, clock: FakeClock) -> None:
    """Also the first look may never come back: the box is ready all the same."""
    harness = make_harness("folder:/mnt/share")
    reader = harness.reader
    seen: list[tuple[str, str]] = []

    class Hangs(RateInterval):
        def read(self, stop: StopEvent) -> CameraRead | None:
            """The end."""
            return None

    class Slow(list[Any]):
        def pop(self, _at: Any = 0) -> RateInterval:
            """Opening takes its time."""
            clock.at += 11.0
            reader.check()
            seen.append((reader.state, reader.why))
            return Hangs(clock, 0.0)

    harness.cameras = Slow([None])
    reader.run()
    assert seen == [("silent", "no answer for 11.0 s from /mnt/share")]
    assert reader.state == "finished"
