"""The archive deletes only what it wrote, the oldest first whatever the clock says, and leaves no
half picture."""

import os
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.core.errors import RefusedError
from edge.core.ids import uuid7
from edge.core.verdict import Verdict
from edge.storage.evidence.files import write_evidence
from tests.support.archives import archive, keep
from tests.support.frames import frame, noise_frame
from tests.support.verdicts import verdict

NOON = 1_700_000_000.0  # 2023-11-14
DAY = 86_400.0
BIG = [noise_frame(seq, side=400) for seq in range(3)]  # three of them are above a megabyte


def at(time: float) -> Verdict:
    """A fail at this time by the box's clock."""
    return replace(verdict("fail"), id=uuid7(int(time * 1000)), captured_at=time)


def names(folder: Path) -> set[str]:
    """Of all pictures in day folders."""
    return {path.name for path in folder.glob("*/*.png")}


def contents(folder: Path) -> dict[str, bytes | None]:
    """Of every entry below the folder; None for folders and links."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        if path.is_file() and not path.is_symlink()
        else None
        for path in folder.rglob("*")
    }


def old_name(number: int = 1) -> str:
    """A name as the archive gives it, of a picture that is older than all in these tests."""
    return f"fail-top-{uuid7(1_600_000_000_000 + number)}.jpg"


def foreign(archive_path: Path, elsewhere: Path) -> dict[str, Callable[[], object]]:
    """Other people's pictures, made below the archive's folder."""
    day = archive_path / "2020-09-13"
    data = b"x" * 2**20

    def put(path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def link(path: Path, target: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(target)

    def folder_link() -> None:
        put(elsewhere / old_name())
        link(archive_path / "2020-09-14", elsewhere)

    def picture_link() -> None:
        put(elsewhere / "original.jpg")
        link(day / old_name(), elsewhere / "original.jpg")

    return {
        "in-the-archive": lambda: put(archive_path / "holiday.jpg"),
        "our-name-in-the-archive": lambda: put(archive_path / old_name()),
        "in-a-folder": lambda: put(archive_path / "holiday" / "1.jpg"),
        "our-name-in-a-folder": lambda: put(archive_path / "labelled" / old_name()),
        "in-a-day": lambda: put(day / "IMG_0001.jpg"),
        "nearly-our-name": lambda: put(day / "fail-top-1.jpg"),
        "upper-case": lambda: put(day / old_name().replace(".jpg", ".JPG")),
        "below-a-day": lambda: put(day / "copies" / old_name()),
        "folder-with-our-name": lambda: put(day / old_name() / "x"),
        "link-to-a-folder": folder_link,
        "link-to-a-picture": picture_link,
        "part-of-another-program": lambda: put(day / ".upload.jpg.part"),
    }


@pytest.mark.parametrize("kind", foreign(Path("a"), Path("b")))
def test_other_peoples_pictures_stay(tmp_path: Path, kind: str) -> None:
    """Older than ours and larger than the budget: they are neither deleted nor counted."""
    folder, elsewhere = tmp_path / "archive", tmp_path / "elsewhere"
    foreign(folder, elsewhere)[kind]()
    before = {**contents(folder), **{f"../{n}": c for n, c in contents(elsewhere).items()}}
    ours = [at(NOON + number) for number in range(2)]
    for judged in ours:
        keep(archive(folder, max_mb=1), [(frame(red=200), judged)])
    assert {f"fail-top-{judged.id}.png" for judged in ours} <= names(folder)
    for number, shown in enumerate(BIG):  # past the budget
        keep(archive(folder, max_mb=1), [(shown, at(NOON + 10 + number))])
    assert not {f"fail-top-{judged.id}.png" for judged in ours} & names(folder)
    after = {**contents(folder), **{f"../{n}": c for n, c in contents(elsewhere).items()}}
    assert {name: after.get(name, b"gone") for name in before} == before


def test_a_link_in_the_place_of_a_day_is_not_written_through(tmp_path: Path) -> None:
    """The picture goes into a folder of our own."""
    folder, elsewhere = tmp_path / "archive", tmp_path / "elsewhere"
    elsewhere.mkdir()
    folder.mkdir()
    (folder / "2023-11-14").symlink_to(elsewhere)
    kept = archive(folder)
    judged = at(NOON)
    keep(kept, [(frame(red=200), judged)])
    assert not list(elsewhere.iterdir())
    assert (folder / "2023-11-14.2" / f"fail-top-{judged.id}.png").is_file()
    assert len(kept.find(judged.id))


def test_a_picture_is_not_read_through_a_link(tmp_path: Path) -> None:
    """A client that may ask for a verdict's picture must not get another file of the box."""
    (tmp_path / "secret").write_text("s3cret")
    judged = at(NOON)
    kept = archive(tmp_path / "archive")
    keep(kept, [(frame(red=200), judged)])
    (path,) = (tmp_path / "archive").glob("*/*.png")
    path.unlink()
    path.symlink_to(tmp_path / "secret")
    with pytest.raises(RefusedError):
        kept.find(judged.id)


@pytest.mark.parametrize("restart", [False, True])
def test_a_clock_of_1970_does_not_make_the_newest_the_oldest(tmp_path: Path, restart: bool) -> None:
    """A box without a clock chip starts at 1970, more than once: what was stored last stays."""
    folder = tmp_path / "archive"
    times = [NOON, NOON + 1, 5.0, 6.0, 2.0, NOON + 2, NOON + DAY, 4.0]
    kept = archive(folder, max_mb=1)
    stored = []
    for number, time in enumerate(times):
        if restart:
            kept = archive(folder, max_mb=1)
        judged = at(time)
        stored.append(f"fail-top-{judged.id}.png")
        keep(kept, [(BIG[number % 3], judged)])
        found = names(folder)
        assert found == set(stored[-len(found) :])
        assert len(found) >= 1
        assert len(kept.find(judged.id))


_TIMES = st.lists(
    st.tuples(st.sampled_from([0.0, 3.0, NOON, NOON + DAY, NOON + 2 * DAY]), st.integers(0, 3)),
    max_size=12,
)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(times=_TIMES, restarts=st.lists(st.booleans(), min_size=12, max_size=12))
def test_whatever_the_clock_does_the_last_stored_stay(
    times: list[tuple[float, int]], restarts: list[bool]
) -> None:
    """Jumps over days and back, with restarts: what is left is always the end of the series."""
    with TemporaryDirectory() as name:
        folder = Path(name) / "archive"
        kept = archive(folder, max_mb=1)
        stored: list[str] = []
        last = -1.0
        for (time, jump), restart in zip(times, restarts):
            if restart:
                kept = archive(folder, max_mb=1)
            # ids within a minute are ordered by the clock, which runs forwards there
            now = time + jump * 100.0
            if abs(now - last) <= 60:
                now = last + 0.01
            last = now
            judged = at(now)
            stored.append(f"fail-top-{judged.id}.png")
            keep(kept, [(BIG[len(stored) % 3], judged)])
            found = names(folder)
            assert found == set(stored[-len(found) :])


def test_pictures_around_midnight_make_no_further_folders(tmp_path: Path) -> None:
    """Two cameras, one of which is slower: their days alternate."""
    folder = tmp_path / "archive"
    midnight = datetime(2023, 11, 15, tzinfo=UTC).timestamp()
    kept = archive(folder)
    times = [midnight + shift for shift in (-0.3, 0.1, -0.1, 0.2, -0.05, 0.4)]
    for time in times:
        judged = at(time)
        keep(kept, [(frame(red=200), judged)])
        assert len(kept.find(judged.id))
    assert sorted(path.name for path in folder.iterdir()) == ["2023-11-14", "2023-11-15"]


def test_folders_of_the_version_before_are_the_oldest(tmp_path: Path) -> None:
    """They have no mark: by their names, and before all new ones."""
    folder = tmp_path / "archive"
    for day in ("2023-11-12", "2023-11-13"):
        (folder / day).mkdir(parents=True)
        (folder / day / old_name(int(day[-2:]))).write_bytes(b"x" * 100_000)
    left = []
    for number in range(4):
        keep(archive(folder, max_mb=1), [(BIG[number % 3], at(5.0 + number))])
        left.append(sorted(path.name for path in folder.iterdir()))
    assert left[0] == ["1970-01-01", "2023-11-12", "2023-11-13"]
    assert left[-1] == ["1970-01-01"]


class _Killed(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("step", ["fsync", "rename"])
def test_a_kill_leaves_no_half_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Before the picture has its name, it is whole and flushed. What is left of it goes at the next
    start."""
    folder = tmp_path / "archive"
    keep(archive(folder), [(frame(red=100), at(NOON))])

    def killed(*_: object, **__: object) -> None:
        raise _Killed

    with monkeypatch.context() as patched:
        patched.setattr(os, step, killed)
        with pytest.raises(_Killed):
            keep(archive(folder), [(frame(red=200), at(NOON + 1))])
    assert len(names(folder)) == 1
    assert len(list(folder.glob("*/.*.part"))) >= 1
    keep(archive(folder), [(frame(red=200), at(NOON + 2))])
    assert len(names(folder)) == 2
    assert not list(folder.glob("*/.*.part"))


def test_a_picture_is_flushed_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then a power cut leaves the whole picture or none; the record has its name first, the
    verdict's own picture last, and the folder follows."""
    steps: list[str] = []
    real_fsync, real_rename = os.fsync, os.rename

    def fsync(file: int) -> None:
        steps.append("flush " + Path(f"/proc/self/fd/{file}").readlink().name)
        real_fsync(file)

    def rename(source: str, target: str, **where: int) -> None:
        steps.append(f"rename {target}")
        real_rename(source, target, **where)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "rename", rename)
    write_evidence(tmp_path, ("a.json", b"{}"), [("a.jpg", b"x"), ("a.2.jpg", b"y")])
    assert steps == [
        "flush .a.json.part",
        "flush .a.2.jpg.part",
        "flush .a.jpg.part",
        "rename a.json",
        "rename a.2.jpg",
        "rename a.jpg",
        f"flush {tmp_path.name}",
    ]
