"""The numbers of triggers go on after every kind of end, and none is used twice."""

import json
import os
import threading
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from edge.storage.trigger_numbers import TriggerNumbers


def opened(folder: Path, boot: str = "boot-1", *, create: bool = True) -> TriggerNumbers:
    """The numbers of an outbox in a folder."""
    return TriggerNumbers(folder / "outbox.db", boot, create=create)


def take(numbers: TriggerNumbers, camera: str, count: int) -> list[int]:
    """Numbers of new triggers."""
    return [numbers.next(camera) for _ in range(count)]


@pytest.mark.parametrize("boot", ["boot-1", "boot-2"])
def test_after_an_end_in_order_they_go_on(tmp_path: Path, boot: str) -> None:
    """Each camera's without a gap, also after a reboot."""
    numbers = opened(tmp_path)
    assert take(numbers, "top", 3) == [1, 2, 3]
    assert take(numbers, "side", 1) == [1]
    numbers.close()
    again = opened(tmp_path, boot)
    assert take(again, "top", 2) == [4, 5]
    assert take(again, "side", 1) == [2]
    assert take(again, "new", 1) == [1]


def test_after_a_kill_they_go_on(tmp_path: Path) -> None:
    """`kill -9` right after a trigger: the kernel has its number."""
    child = os.fork()
    if child == 0:
        take(opened(tmp_path), "top", 1234)
        os.kill(os.getpid(), 9)
    os.waitpid(child, 0)
    assert opened(tmp_path).next("top") == 1235


def test_after_a_power_cut_they_go_on_behind_all_that_may_be_used(tmp_path: Path) -> None:
    """The file on the disk is older than the last trigger, by half a minute."""
    numbers = opened(tmp_path)
    take(numbers, "top", 10)
    path = tmp_path / "outbox.db.triggers"
    flushed = path.read_bytes()
    take(numbers, "top", 300)
    path.write_bytes(flushed)
    assert opened(tmp_path, "boot-2").next("top") > 310


def test_a_power_cut_after_an_end_in_order(tmp_path: Path) -> None:
    """What the end in order flushed does not count any more as soon as the next process runs."""
    numbers = opened(tmp_path)
    take(numbers, "top", 10)
    numbers.close()
    again = opened(tmp_path, "boot-2")
    flushed = (tmp_path / "outbox.db.triggers").read_bytes()
    take(again, "top", 300)
    (tmp_path / "outbox.db.triggers").write_bytes(flushed)
    assert opened(tmp_path, "boot-3").next("top") > 310


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@example(ends=[("reboot", 1), ("stop", 0), ("stop", 1)], torn=0)
@given(
    ends=st.lists(
        st.tuples(st.sampled_from(["stop", "kill", "reboot"]), st.integers(0, 5)), max_size=8
    ),
    torn=st.integers(0, 7),
)
def test_no_number_comes_twice(
    tmp_path_factory: pytest.TempPathFactory, ends: list[tuple[str, int]], torn: int
) -> None:
    """Whatever ends follow each other; a power cut may tear the record that was being written."""
    folder, boot, used = tmp_path_factory.mktemp("numbers"), 1, [0]
    for step, (end, count) in enumerate(ends):
        numbers = opened(folder, f"boot-{boot}")
        for number in take(numbers, "top", count):
            assert number > used[-1]
            used.append(number)
        if end != "kill":
            boot += 1
        if end == "stop":
            numbers.close()
        elif end == "reboot" and step == torn and count:
            path = folder / "outbox.db.triggers"
            raw = bytearray(path.read_bytes())
            at = raw.rindex(f'"last":{{"top":{used[-1]}'.encode())
            raw[at] ^= 1
            path.write_bytes(raw)


def test_a_box_without_triggers_has_no_file(tmp_path: Path) -> None:
    """Until the first trigger of a camera that a reload adds."""
    numbers = opened(tmp_path, create=False)
    assert not list(tmp_path.iterdir())
    assert numbers.next("top") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["outbox.db.triggers"]


@pytest.mark.parametrize("kind", ["text", "link", "folder"])
def test_a_foreign_file_stays_as_it_is(
    tmp_path: Path, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Said once; the numbers go on in memory."""
    path = tmp_path / "outbox.db.triggers"
    (tmp_path / "text").write_text("mine")
    if kind == "text":
        path.write_text("mine")
    elif kind == "link":
        path.symlink_to("text")
    else:
        path.mkdir()
    numbers = opened(tmp_path)
    assert take(numbers, "top", 3) == [1, 2, 3]
    numbers.close()
    assert caplog.text.count("the numbers of triggers cannot be noted") == 1
    assert (tmp_path / "text").read_text() == "mine"
    assert kind == "folder" or path.read_text() == "mine"


def test_threads_get_different_numbers(tmp_path: Path) -> None:
    """Requests, pins and cameras trigger at the same time."""
    numbers, found = opened(tmp_path), list[int]()
    threads = [
        threading.Thread(target=lambda: found.extend(take(numbers, "top", 200))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == list(range(1, 801))


def test_more_cameras_than_a_record_holds(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A fault in the log, and no exception."""
    numbers = opened(tmp_path)
    for number in range(400):
        assert numbers.next(f"{number:064}") == 1
    assert "too many cameras" in caplog.text


def test_the_file_is_small_and_readable(tmp_path: Path) -> None:
    """Two records of one line each."""
    numbers = opened(tmp_path)
    take(numbers, "top", 100_000 // 100)
    lines = (tmp_path / "outbox.db.triggers").read_bytes().replace(b"\0", b"").splitlines()
    assert len(lines) == 2
    last = [json.loads(line.split(b" ", 4)[4])["last"]["top"] for line in lines]
    assert sorted(last) == [999, 1000]
