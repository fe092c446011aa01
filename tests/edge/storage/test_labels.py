"""What people say of parts: appended, never overwritten, undone by a line."""

import json
import os
import resource
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.core.errors import RefusedError
from edge.storage import Label, Labels, label_problem

AT = "2026-11-30T12:00:00.000Z"
ONE, TWO = "0199f000-0000-7000-8000-000000000001", "0199f000-0000-7000-8000-000000000002"


def label(name: str = ONE, word: str = "scratch", **facts: object) -> Label:
    """A label of a verdict."""
    return Label(name, word, AT, "kim", **facts)  # type: ignore[arg-type]


def lines(path: Path) -> list[dict[str, object]]:
    """The file's lines."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the labels are."""
    return tmp_path / "state" / "labels.jsonl"


def test_a_label_with_its_facts_comes_back(path: Path) -> None:
    """Another process reads the same label, with all facts of the verdict."""
    said = label(
        note="deep",
        verdict="pass",
        score=0.125,
        camera="top",
        part="P7",
        captured_at=AT,
        pass_sample=0.005,
        sampled=True,
        model="ab" * 32,
    )
    Labels(path).add([said])
    assert Labels(path).of(ONE) == said
    assert Labels(path).all() == [said]


def test_the_last_label_counts_and_none_is_overwritten(path: Path) -> None:
    """Both lines stay in the file; an undo is a third one, after which the first label counts."""
    labels = Labels(path)
    labels.add([label(word="scratch")])
    labels.add([label(word="ok")])
    counts = labels.of(ONE)
    assert counts is not None
    assert counts.label == "ok"
    before = path.read_bytes()
    assert [one.label for one in labels.undo([ONE], at=AT, by="lee", note="wrong part")] == ["ok"]
    assert path.read_bytes().startswith(before)
    counts = labels.of(ONE)
    assert counts is not None
    assert counts.label == "scratch"
    assert [(action.what, action.label, action.by) for action in labels.actions(ONE)] == [
        ("label", "scratch", "kim"),
        ("label", "ok", "kim"),
        ("undo", None, "lee"),
    ]


def test_undo_of_several_changes_all_or_none(path: Path) -> None:
    """One verdict without a label: the sentence names it, and nothing is undone."""
    labels = Labels(path)
    labels.add([label(ONE)])
    with pytest.raises(RefusedError, match=f"{TWO}: has no label"):
        labels.undo([ONE, TWO], at=AT, by="kim")
    assert labels.of(ONE) is not None


def test_another_process_sees_each_label_at_once(path: Path) -> None:
    """Each question reads what was appended since the last one."""
    daemon, command = Labels(path), Labels(path)
    assert daemon.of(ONE) is None
    command.add([label(ONE)])
    assert daemon.of(ONE) is not None
    daemon.add([label(TWO)])
    assert len(command.all()) == 2


@pytest.mark.parametrize(
    "damaged",
    [
        b"no json\n",
        b"[1]\n",
        b"null\n",
        b"\xff\xfe\n",
        b'{"schema":"edge-inspect/label/2","id":"x","at":"","by":"","note":null,"label":"a"}\n',
        b'{"schema":"edge-inspect/label/1","id":["x"],"at":"","by":"","note":null,"label":"a"}\n',
        b"[" * 100_000 + b"\n",
    ],
)
def test_a_damaged_line_costs_that_line_only(path: Path, damaged: bytes) -> None:
    """The lines before and after it are read, it is counted, and it stays in the file."""
    Labels(path).add([label(ONE)])
    with path.open("ab") as file:
        file.write(damaged)
    Labels(path).add([label(TWO)])
    labels = Labels(path)
    assert [one.id for one in labels.all()] == [ONE, TWO]
    assert labels.damaged == 1
    assert damaged in path.read_bytes()


def test_a_torn_line_does_not_spoil_the_next(path: Path) -> None:
    """A power cut leaves half a line: the next label begins a line of its own."""
    labels = Labels(path)
    labels.add([label(ONE)])
    with path.open("ab") as file:
        file.write(b'{"schema":"edge-insp')
    assert [one.id for one in labels.all()] == [ONE]
    labels.add([label(TWO)])
    for reader in (labels, Labels(path)):
        assert [one.id for one in reader.all()] == [ONE, TWO]
        assert reader.damaged == 1


def test_protected_until_it_is_exported(path: Path) -> None:
    """A picture with a label that was not exported goes last; so does one labelled again."""
    labels = Labels(path)
    assert not labels.protected(ONE)
    labels.add([label(ONE)])
    assert labels.protected(ONE)
    labels.mark_exported([ONE], at=AT, by="kim", note="set1")
    assert not labels.protected(ONE)
    assert labels.of(ONE) is not None
    labels.add([label(ONE, "ok")])
    assert labels.protected(ONE)
    labels.undo([ONE], at=AT, by="kim")
    labels.undo([ONE], at=AT, by="kim")
    assert not labels.protected(ONE)


def test_the_group_may_write_whatever_the_umask(path: Path) -> None:
    """A member of the group labels while the daemon is stopped."""
    before = os.umask(0o077)
    try:
        Labels(path).prepare()
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    assert path.read_bytes() == b""


def test_a_link_or_folder_in_its_place_is_refused(path: Path) -> None:
    """What stands there stays as it is."""
    path.parent.mkdir()
    other = path.with_name("other")
    other.write_text("mine")
    path.symlink_to(other)
    with pytest.raises(RefusedError, match="cannot be opened"):
        Labels(path).add([label()])
    with pytest.raises(RefusedError, match="cannot be opened"):
        Labels(path).all()
    assert other.read_text() == "mine"
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(RefusedError, match="regular file"):
        Labels(path).all()


@contextmanager
def limited(size: int) -> Iterator[None]:
    """No file may become larger, as on a full disk."""
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.getsignal(signal.SIGXFSZ)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_a_full_disk_writes_all_or_none(path: Path) -> None:
    """Two labels, room for one and a half: none is written, and the sentence says so."""
    labels = Labels(path)
    labels.add([label(ONE, "first")])
    before = path.read_bytes()
    size = len(before)
    with limited(size + size * 3 // 2), pytest.raises(RefusedError, match="nothing is labelled"):
        labels.add([label(ONE), label(TWO)])
    assert path.read_bytes() == before
    assert [one.label for one in labels.all()] == ["first"]


@pytest.mark.slow
def test_processes_that_append_at_once_lose_nothing(path: Path) -> None:
    """Three processes with 50 labels each: 150 whole lines."""
    program = (
        "import sys; from pathlib import Path; from edge.storage import Label, Labels\n"
        "for n in range(50):\n"
        f"    Labels(Path(sys.argv[1])).add([Label(f'{{sys.argv[2]}}-{{n}}', 'a', '{AT}', 'k')])\n"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", program, str(path), str(n)]) for n in range(3)
    ]
    assert [process.wait(60) for process in running] == [0, 0, 0]
    labels = Labels(path)
    assert len(labels.all()) == len(lines(path)) == 150
    assert labels.damaged == 0


@pytest.mark.slow
@given(
    st.lists(
        st.tuples(st.sampled_from([ONE, TWO]), st.none() | st.sampled_from(["a", "b", "c"])),
        max_size=20,
    )
)
def test_labels_are_a_stack_for_each_verdict(
    tmp_path_factory: pytest.TempPathFactory, actions: list[tuple[str, str | None]]
) -> None:
    """Whatever was labelled and undone, the label that counts is the newest one not undone."""
    path = tmp_path_factory.mktemp("labels") / "labels.jsonl"
    labels = Labels(path)
    expected: dict[str, list[str]] = {ONE: [], TWO: []}
    for name, word in actions:
        if word is not None:
            labels.add([label(name, word)])
            expected[name].append(word)
        elif expected[name]:
            labels.undo([name], at=AT, by="kim")
            expected[name].pop()
    for reader in (labels, Labels(path)):
        for name, words in expected.items():
            found = reader.of(name)
            assert (found.label if found else None) == (words[-1] if words else None)


@pytest.mark.parametrize("word", ["", " a", "a ", "a/b", "..", ".a", "a\\b", "x" * 65])
def test_a_label_must_serve_as_a_folder(word: str) -> None:
    """`export` makes a folder of each label."""
    assert label_problem(word)


@pytest.mark.parametrize("word", ["ok", "scratch", "긁힘", "dent 2", "a.b"])
def test_words_of_people_are_labels(word: str) -> None:
    """Other scripts, blanks and dots inside are good."""
    assert label_problem(word) is None
