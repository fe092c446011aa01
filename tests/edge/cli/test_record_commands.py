"""`history`, `show`, `label` and `estimate`: on the files, and through the socket of a daemon."""

import csv
import io
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edge.__main__ import main
from edge.core.clock import Clock
from edge.storage import history_path
from edge.web import LocalSocket
from tests.conftest import WriteConfig
from tests.support.records import RecordsOfABox, write_history

NOBODY, GROUP = 65534, 4242


class Command:
    """A box with a config.yaml, and its command line."""

    def __init__(self, config: Path, box: RecordsOfABox, capsys: pytest.CaptureFixture[str]):
        self.box, self._config, self._capsys = box, config, capsys

    def __call__(self, *argv: str) -> tuple[int, str, str]:
        """Exit code, stdout and stderr."""
        outbox = self.box.folder / "outbox.db"
        for file in outbox.parent.glob("history.db*"):
            file.unlink()
        write_history(history_path(outbox), self.box.history.rows)
        return self.again(*argv)

    def again(self, *argv: str) -> tuple[int, str, str]:
        """The same without writing the history anew."""
        code = main([argv[0], "-c", str(self._config), *argv[1:]])
        out, err = self._capsys.readouterr()
        return code, out, err


@pytest.fixture(params=["files", "socket"])
def run(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    write_config: WriteConfig,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Command]:
    """The commands on the files, and through a daemon's socket."""
    box = RecordsOfABox(tmp_path / "state")
    config = write_config(archive={"enabled": True, "path": str(box.archive.path)})
    if request.param == "files":
        yield Command(config, box, capsys)
        return
    box.folder.mkdir()
    outbox = box.folder / "outbox.db"
    serving = LocalSocket(box.folder / "api.sock", box.service(), outbox, Clock())
    serving.start()
    yield Command(config, box, capsys)
    serving.close()
    serving.join(10)


def test_history_as_a_table(run: Command) -> None:
    """One line a verdict, newest first, with what a person said, and no escape sequences."""
    first = run.box.judge("fail", part="P1\x1b[31m".replace("\x1b", "\u202e"))
    second = run.box.judge("pass", ago_s=10)
    assert run("label", first[:18], "dent")[0] == 0
    code, out, err = run("history")
    assert (code, err) == (0, "")
    head, *lines = out.splitlines()
    assert head.split()[0] == "time"
    assert head.split()[2:] == ["camera", "verdict", "score", "label", "truth", "part", "id"]
    assert [line.split()[3] for line in lines] == ["pass", "fail"]
    assert lines[0].endswith(second[:18])
    assert "dent" in lines[1]
    assert r"P1\u202e[31m" in lines[1]
    assert len({line.rindex(" ") for line in lines}) == 1  # the columns stand in line


def test_history_as_json_and_csv(run: Command) -> None:
    """A result body a line with `truth`; a CSV that a sheet reads, with a head."""
    name = run.box.judge("fail", part='P1, "large"')
    run.box.judge("error", ago_s=10)
    run("label", name, "dent")
    lines = run("history", "--json")[1].splitlines()
    bodies: list[dict[str, Any]] = [json.loads(line) for line in lines]
    assert bodies[1] == {**run.box.history.rows[0].body, "truth": "dent"}
    assert bodies[0]["truth"] is None
    rows = list(csv.DictReader(io.StringIO(run("history", "--csv")[1])))
    assert [(row["verdict"], row["truth"], row["part"]) for row in rows] == [
        ("error", "", ""),
        ("fail", "dent", 'P1, "large"'),
    ]
    assert rows[1]["id"] == name
    assert rows[1]["sha256"] == "ab" * 32


def test_history_says_that_there_is_more(run: Command) -> None:
    """By default the newest 100; the sentence on stderr names the option."""
    for n in range(101):
        run.box.judge("pass", ago_s=1000 - n)
    code, out, err = run("history")
    assert (code, len(out.splitlines())) == (0, 101)
    assert err == ("edge-inspect: these are the newest 100; there are more: --limit N, 0 for all\n")
    code, out, err = run("history", "--limit", "0", "--json")
    assert (len(out.splitlines()), err) == (101, "")


def test_history_without_a_verdict(run: Command) -> None:
    """Nothing on stdout, a sentence on stderr, exit code 0."""
    run.box.judge("pass")
    found = run("history", "--verdict", "fail", "--json")
    assert found == (0, "", "edge-inspect: no verdict that is remembered fits\n")


@pytest.mark.parametrize(
    ("argv", "code", "words"),
    [
        (("history", "--since", "gestern"), 2, "--since: must be a time such as 2026-11-30, "),
        (("history", "--recipe", "x"), 2, "--recipe: must be a whole number from 0 to 65535"),
        (("show", "0199f000"), 1, "no verdict with this id is remembered and no picture"),
        (("show", "part7"), 1, "'part7' is no id; give the id of a verdict"),
        (("show", "0199f000", "-o", "x.gif"), 1, "-o x.gif: must end in .png, .jpg"),
        (("label", "0199f000"), 2, "label: give the ids and then the label"),
        (("label", "0199f000", "dent"), 1, "no verdict with this id is remembered"),
        (("label", "0199f000", "a/b"), 2, "the label a/b holds /"),
        (("label", "--undo", "0199f000"), 1, "no verdict with this id is remembered"),
        (("estimate", "--since", "x"), 2, "--since: must be a time such as"),
    ],
)
def test_mistakes_are_one_sentence(
    run: Command, argv: tuple[str, ...], code: int, words: str
) -> None:
    """On stderr, with the fix; no traceback."""
    found, out, err = run(*argv)
    assert (found, out) == (code, "")
    assert words in err
    assert len(err.splitlines()) == 1


def test_show_prints_all_and_draws(run: Command, tmp_path: Path) -> None:
    """The picture gets a bar with verdict and score above it; the rest of it stays."""
    name = run.box.judge("fail", part="P1")
    path = run.box.keep(name)
    run("label", name, "dent", "--by", "kim", "--note", "deep")
    target = tmp_path / "seen.png"
    code, out, _ = run("show", name[:18], "-o", str(target))
    assert code == 0
    for words in (
        f"id         {name}",
        "verdict    fail, label scratch, score 0.900000 (fail from 0.6, review from 0.4)",
        "truth      dent",
        "labelled dent by kim, ",
        ": deep",
        f"picture    {path}",
        "kept       because of: verdict; pass_sample was 0",
        "part P1, number 1",
    ):
        assert words in out
    kept, drawn = cv2.imread(str(path)), cv2.imread(str(target))
    assert kept is not None
    assert drawn is not None
    height, width = kept.shape[0] * 5, kept.shape[1] * 5
    assert drawn.shape[1] == width
    assert drawn.shape[0] > height
    assert np.array_equal(drawn[-height:], kept.repeat(5, axis=0).repeat(5, axis=1))
    bar = drawn[:-height]
    assert (bar == (0, 0, 255)).all(axis=2).any()  # in the colour of `fail`


def test_show_as_json(run: Command) -> None:
    """All of it, for programs."""
    name = run.box.judge("pass")
    shown = json.loads(run("show", name, "--json")[1])
    assert shown["id"] == name
    assert shown["result"]["verdict"] == "pass"
    assert shown["truth"] is None


def test_show_without_a_picture(run: Command, tmp_path: Path) -> None:
    """The text says why there is none; drawing it is refused with exit code 1."""
    name = run.box.judge("fail")
    code, out, _ = run("show", name)
    assert code == 0
    assert "picture    its picture was kept at 2026-11-30 " in out
    assert "and the budget has removed it" in out
    code, _, err = run("show", name, "-o", str(tmp_path / "x.png"))
    assert code == 1
    assert "the budget has removed it" in err


def test_label_and_undo(run: Command) -> None:
    """One line a verdict; an unknown label is noted once; undo says what it took back."""
    names = [run.box.judge("fail", ago_s=60 - n) for n in range(2)]
    code, out, err = run("label", *names, "rust")
    assert (code, err) == (0, "")
    *given, note = out.splitlines()
    assert given == [f"{name} is labelled rust (judged fail, camera top)" for name in names]
    assert note == (
        "note: the model knows no label 'rust' (it knows ok, scratch); the label is kept all the "
        "same, and training makes a class of it"
    )
    code, out, _ = run("label", "--undo", names[0])
    assert out == f"{names[0]} is no longer labelled rust (judged fail, camera top)\n"
    assert [one.id for one in run.box.labels.all()] == [names[1]]


def test_estimate(run: Command) -> None:
    """Sentences for people, the same as JSON for programs."""
    for n in range(50):
        name = run.box.judge("pass", ago_s=3000 - n, pass_sample=0.2)
        if n < 10:
            run.box.keep(name, "sample", pass_sample=0.2)
    names = [row.body["id"] for row in run.box.history.rows[:10]]
    run("label", *names, "ok")
    code, out, _ = run("estimate")
    assert code == 0
    assert out.startswith("escapes ")
    found = json.loads(run("estimate", "--json")[1])
    assert (found["passes"], found["looks"], found["defective"]) == (50, 10, 0)
    assert found["escape_rate"]["rate"] == 0


def test_a_damaged_history_is_one_sentence(
    tmp_path: Path, write_config: WriteConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    """It names the file and the fix; no traceback."""
    config = write_config()
    (tmp_path / "state").mkdir(exist_ok=True)
    (tmp_path / "state" / "history.db").write_bytes(b"SQLite format 3\0" + b"\xff" * 5000)
    code = main(["history", "-c", str(config)])
    assert code in (1, 2)
    assert "history.db: " in capsys.readouterr().err


def test_a_user_who_may_not_read_passwords(
    tmp_path: Path, write_config: WriteConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    """The commands need none of the secrets that config.yaml names."""
    write_config(mqtt={"username": "box", "password_file": "missing"})
    code = main(["history", "-c", str(tmp_path / "config.yaml")])
    assert (code, capsys.readouterr().err) == (
        0,
        "edge-inspect: no verdict that is remembered fits\n",
    )


@contextmanager
def another_user(group: int) -> Iterator[None]:
    """This process as a user of this group alone."""
    groups = os.getgroups()
    os.setgroups([])
    os.setegid(group)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)


def as_the_service_leaves_it(folder: Path) -> None:
    """Owner, group and permissions of the state folder as systemd and the daemon set them."""
    for path in (folder, *folder.rglob("*")):
        os.chown(path, 0, GROUP)
        if not path.is_socket():
            path.chmod(0o750 if path.is_dir() else 0o640)
    for path in folder.parents:
        if path != Path("/") and not path.stat().st_mode & 0o001:
            path.chmod(0o755)
    (folder / "labels.jsonl").chmod(0o660)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs a second user: run as root")
def test_a_user_of_the_group(run: Command) -> None:
    """Reads history and pictures, labels and takes back; writes nothing else."""
    name = run.box.judge("fail")
    run.box.keep(name)
    run.box.labels.prepare()
    for command in ("history", "estimate"):  # also loads all modules: nobody may not read them
        assert run(command)[0] == 0
    as_the_service_leaves_it(run.box.folder)
    with another_user(GROUP):
        for argv in (
            ("history", "--json"),
            ("show", name),
            ("label", name, "dent"),
            ("label", "--undo", name),
            ("estimate",),
        ):
            code, out, err = run.again(*argv)
            assert (code, err) == (0, ""), argv
            assert out
    assert [one.what for one in run.box.labels.actions(name)] == ["label", "undo"]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs a second user: run as root")
def test_a_user_outside_the_group(run: Command) -> None:
    """The sentence names the group and the command."""
    run.box.judge("fail")
    run.box.labels.prepare()
    run("history")
    as_the_service_leaves_it(run.box.folder)
    with another_user(NOBODY):
        code, out, err = run.again("history")
    assert (code, out) == (1, "")
    assert "your user may not read it; add yourself to the group edge-inspect" in err
