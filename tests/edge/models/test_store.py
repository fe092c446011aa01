"""The model store: what installing, activating, rolling back and removing leave behind."""

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from nacl.signing import SigningKey

from edge.core.errors import EdgeInspectError, ModelError, RefusedError
from edge.models import ModelStore, ProbationRecord, Version
from edge.models.files import locked
from tests.support.model_versions import version_of_redness, write_version
from tests.support.models import MODELS
from tests.support.signing import SignedBy

NOON = 1_796_040_000.0


class Box:
    """A store and the files that somebody copies to it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.inbox = folder / "versions", folder / "inbox"
        self.inbox.mkdir()
        self.keys: list[SignedBy] = []
        self.now = NOON
        self.store = self.store_of(10)

    def store_of(self, max_mb: float) -> ModelStore:
        """The same folder with another limit."""
        keys = lambda: [key.public for key in self.keys]  # noqa: E731
        return ModelStore(self.folder, keys, max_mb, lambda: self.now)

    def install(self, version: str = "2", comment: str | None = None, **changes: object) -> Version:
        """Writes a version, signs it by the last key when there is a comment, and installs it."""
        path = write_version(self.inbox / f"{version}.tflite", version, **changes)
        if comment is not None:
            signature = self.keys[-1].sign(path.read_bytes(), comment)
            path.with_name(f"{path.name}.minisig").write_bytes(signature)
        self.now += 1
        return self.store.install(self.store.read_candidate(path), "kim")

    def files(self) -> set[str]:
        """All files of the store."""
        return {str(one.relative_to(self.folder)) for one in self.folder.rglob("*")}


@pytest.fixture
def box(tmp_path: Path) -> Box:
    """A box without versions and keys."""
    return Box(tmp_path)


@contextmanager
def full_disk_after(size: int) -> Iterator[None]:
    """No file can grow beyond `size` bytes, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_version_counts_once_it_is_activated(box: Box) -> None:
    """Installing changes nothing that judges."""
    first = box.install("1")
    assert [one.title for one in box.store.versions()] == ["redness@1"]
    with pytest.raises(RefusedError, match="no version of the model redness is active"):
        box.store.active("redness")
    switch = box.store.activate(first, "kim")
    assert switch.changed
    assert box.store.active("redness") == first
    assert box.store.load(first).identity.sha256 == first.sha256
    assert not box.store.activate(first, "kim").changed


def test_rollback_goes_to_the_version_before_and_forth(box: Box) -> None:
    """Twice is back again; without a version before it is refused."""
    first, second = box.install("1"), box.install("2")
    box.store.activate(first, "kim")
    with pytest.raises(RefusedError, match="no version was active before"):
        box.store.rollback("redness", "kim")
    box.store.activate(second, "kim")
    assert box.store.rollback("redness", "lee").after.by == "lee"
    assert box.store.active("redness") == first
    box.store.rollback("redness", "kim")
    assert box.store.active("redness") == second


def test_a_switch_can_be_taken_back(box: Box) -> None:
    """For a reload that refuses the new version."""
    first, second = box.install("1"), box.install("2")
    box.store.activate(first, "kim")
    switch = box.store.activate(second, "kim")
    box.store.restore(switch)
    assert box.store.active("redness") == first
    assert box.store.record("redness") == switch.before


def test_only_a_new_version_with_one_before_it_is_on_probation(box: Box) -> None:
    """Not the first, for there is none to go back to, and not one that a rollback brought back."""
    first, second = box.install("1"), box.install("2")
    assert not box.store.activate(first, "kim").after.on_probation
    assert box.store.activate(second, "kim").after.on_probation
    assert not box.store.rollback("redness", "kim").after.on_probation


def test_a_probation_survives_a_restart(box: Box) -> None:
    """Its record is kept by name; a damaged one counts as none, so that the counts begin again."""
    version = box.install("1")
    assert box.store.probation("redness") is None
    record = ProbationRecord(
        name="redness",
        sha256=version.sha256,
        at="2026-12-01T06:00:00.000Z",
        parts=200,
        false_returns=0.01,
        past_parts=1000,
        past_hits={"pass": 900, "error": 0},
        slow_ms=12.5,
        seen=30,
        hits={"pass": 28},
    )
    box.store.save_probation(record)
    assert box.store_of(10).probation("redness") == record
    path = box.folder / "probation" / "redness.json"
    path.write_bytes(path.read_bytes()[:40])
    assert box.store.probation("redness") is None


def test_names_do_not_disturb_each_other(box: Box) -> None:
    """Each has its own active version."""
    red, caps = box.install("1"), box.install("1", name="caps")
    box.store.activate(red, "kim")
    box.store.activate(caps, "kim")
    assert box.store.active("redness") == red
    assert box.store.active("caps") == caps


def test_a_version_is_found_by_name_and_by_digits(box: Box) -> None:
    """Eight digits at least; two versions of one title are named by their digits."""
    one = box.install("1")
    assert box.store.find("redness@1") == one
    assert box.store.find(one.sha256[:8].upper()) == one
    for text in (one.sha256[:7], "redness", "redness@", "redness@2", "../redness@1", ""):
        with pytest.raises(RefusedError, match="no such version is installed"):
            box.store.find(text)
    twin = box.install("1", reject_at=0.7)
    with pytest.raises(RefusedError, match=f"names 2 versions; name one of {one.sha256[:12]}"):
        box.store.find("redness@1")
    assert box.store.find(twin.sha256) == twin


def test_the_active_version_is_not_removed(box: Box) -> None:
    """Others are, with all their files."""
    first, second = box.install("1"), box.install("2")
    box.store.activate(first, "kim")
    with pytest.raises(RefusedError, match="redness@1: is active"):
        box.store.remove(first)
    box.store.remove(second)
    assert box.store.versions() == [first]
    assert not [name for name in box.files() if second.sha256 in name]
    with pytest.raises(RefusedError, match="no such version"):
        box.store.find("redness@2")


def test_rolling_back_to_a_removed_version_is_refused(box: Box) -> None:
    """The active one stays."""
    first, second = box.install("1"), box.install("2")
    box.store.activate(first, "kim")
    box.store.activate(second, "kim")
    box.store.remove(first)
    with pytest.raises(RefusedError, match="is gone; install it again"):
        box.store.rollback("redness", "kim")
    assert box.store.active("redness") == second


@pytest.mark.parametrize("place", [0, 40, 1000, -1])
def test_a_flipped_byte_in_a_slot_is_refused_at_the_load(box: Box, place: int) -> None:
    """A worn card, or a hand. Installing again repairs the slot."""
    version = box.install("1")
    path = box.store.path_of(version.sha256)
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    with pytest.raises(RefusedError, match="has changed since it was installed"):
        box.store.load(version)
    box.install("1")
    assert box.store.load(version).identity.version == "1"


def test_a_damaged_record_is_refused_and_repaired_by_a_switch(box: Box) -> None:
    """Of a name: by the next activation."""
    version = box.install("1")
    box.store.activate(version, "kim")
    record = box.folder / "names" / "redness.json"
    record.write_text('{"schema":')
    with pytest.raises(RefusedError, match=r"redness\.json: the record .* cannot be read"):
        box.store.active("redness")
    box.store.activate(version, "kim")
    assert box.store.active("redness") == version


def test_a_slot_that_says_it_is_another_version_is_refused(box: Box) -> None:
    """version.json is not signed: what the signed file says counts."""
    version = box.install("1")
    record = box.store.path_of(version.sha256).with_name("version.json")
    record.write_text(record.read_text().replace('"name":"redness"', '"name":"caps"'))
    forged = box.store.find(version.sha256[:8])
    with pytest.raises(RefusedError, match="holds redness@1, and its record says caps@1"):
        box.store.load(forged)


def test_a_second_process_is_refused_while_the_first_changes_something(box: Box) -> None:
    """It does not wait, and changes nothing."""
    version = box.install("1")
    before = box.files()
    with locked(box.folder / "lock") as ours:
        assert ours
        with pytest.raises(RefusedError, match="another process changes the model store now"):
            box.install("2")
        with pytest.raises(RefusedError, match="nothing was activated"):
            box.store.activate(version, "kim")
        assert box.store.versions() == [version]  # reading goes on
    assert box.files() == before
    box.install("2")


@pytest.mark.parametrize("size", [0, 100, 1000])
def test_a_full_disk_leaves_the_store_as_it_was(box: Box, size: int) -> None:
    """Whatever does not fit: slot or record."""
    first = box.install("1")
    box.store.activate(first, "kim")
    second = box.install("2", reject_at=0.7)
    before = box.files()
    path = write_version(box.inbox / "3.tflite", "3")
    candidate = box.store.read_candidate(path)
    with full_disk_after(size), pytest.raises(RefusedError, match="nothing was installed"):
        box.store.install(candidate, "kim")
    if size < 100:
        with full_disk_after(size), pytest.raises(RefusedError, match="nothing was activated"):
            box.store.activate(second, "kim")
    assert box.files() == before
    assert box.store.active("redness") == first


def test_the_limit_counts_all_versions(box: Box) -> None:
    """`models.max_mb`. The same file again takes no more room."""
    box.install("1")
    size = len(version_of_redness("1"))
    box.store = box.store_of(1.5 * size / 2**20)
    box.install("1")
    with pytest.raises(RefusedError, match=r"redness@2: .* more than models\.max_mb"):
        box.install("2")


@pytest.mark.parametrize(
    "name", ["../up", "/etc/x", ".hidden", "a/b", "a b", "_x", "x" * 49, "caps.tflite", "a@b"]
)
def test_a_name_that_is_no_file_name_is_refused(box: Box, name: str) -> None:
    """It names a file of the store and stands in model.path; nothing climbs out of the folder."""
    with pytest.raises(EdgeInspectError, match=r"its name must be|inspection\.json: name"):
        box.install("1", name=name)
    assert not box.folder.exists()


def test_a_name_may_be_of_any_script(box: Box) -> None:
    """Hangul, also as macOS stores it."""
    version = box.install("1", name="\u1102\u1161\u1109\u1161")  # NFD
    assert version.title == "나사@1"
    box.store.activate(box.store.find("나사@1"), "kim")
    assert box.store.load(box.store.active("나사")).labels == ("ok", "red")


def test_a_plain_model_has_no_name(box: Box) -> None:
    """It runs by its path only."""
    with pytest.raises(RefusedError, match=r"plain\.tflite: holds no inspection\.json"):
        box.store.read_candidate(MODELS / "plain.tflite")


@pytest.mark.parametrize("kind", ["huge", "truncated", "text", "missing", "folder"])
def test_what_is_no_model_is_refused_in_a_sentence(box: Box, kind: str) -> None:
    """A file of 2 GB is not even read."""
    path = box.inbox / "x.tflite"
    whole = version_of_redness("2")
    if kind == "huge":
        with path.open("wb") as file:
            file.truncate(2 * 2**30)
    elif kind == "folder":
        path.mkdir()
    elif kind != "missing":
        path.write_bytes(b"hello" if kind == "text" else whole[: len(whole) // 2])
    with pytest.raises(ModelError, match=r"x\.tflite: "):
        box.store.read_candidate(path)


def test_with_keys_a_version_must_be_signed_at_each_load(box: Box) -> None:
    """Unsigned, changed, and signed by a key that no longer counts."""
    unsigned = box.install("1")
    box.keys = [SignedBy(SigningKey.generate())]
    with pytest.raises(RefusedError, match=r"is not signed, and models\.keys asks for it"):
        box.store.load(unsigned)
    with pytest.raises(RefusedError, match="is not signed"):
        box.install("2")
    signed = box.install("2", "counter:3")
    assert (signed.counter, signed.key_id) == (3, box.keys[0].public.id)
    assert box.store.load(signed).signed_by == box.keys[0].public.id
    box.keys = [SignedBy(SigningKey.generate())]
    with pytest.raises(RefusedError, match=r"which is not among models\.keys"):
        box.store.load(signed)


def test_a_key_change_needs_no_new_version(box: Box) -> None:
    """Two keys count at once; the same file signed anew takes the place of the old signature."""
    old, new = SignedBy(SigningKey.generate()), SignedBy(SigningKey.generate())
    box.keys = [old]
    version = box.install("1", "counter:1")
    box.store.activate(version, "kim")
    box.keys = [old, new]
    assert box.store.load(version).signed_by == old.public.id
    again = box.install("1", "counter:1")  # signed by the last key
    box.keys = [new]
    assert box.store.load(again).signed_by == new.public.id
    assert box.store.active("redness").sha256 == version.sha256


def test_a_lower_counter_is_refused_but_not_a_rollback(box: Box) -> None:
    """Also after the version with the higher counter was removed."""
    box.keys = [SignedBy(SigningKey.generate())]
    old, new = box.install("1", "counter:4"), box.install("2", "counter:5")
    box.install("3", "counter:5")  # the same counter again
    with pytest.raises(RefusedError, match="its counter 4 is lower than 5"):
        box.install("4", "counter:4")
    with pytest.raises(RefusedError, match="its counter 0 is lower than 5"):
        box.install("5", "no word")
    box.store.activate(new, "kim")
    box.store.activate(old, "kim")  # by a person at the box
    for version in box.store.versions():
        if version.counter == 5:
            box.store.remove(version)
    with pytest.raises(RefusedError, match="its counter 4 is lower than 5"):
        box.install("4", "counter:4")
    box.install("6", "counter:0006")


def test_a_folder_that_is_none_is_a_sentence(tmp_path: Path) -> None:
    """Here a file stands in its place."""
    box = Box(tmp_path)
    box.folder.write_text("")
    with pytest.raises(RefusedError, match="the model store cannot be read"):
        box.install("1")
    box.store.clean()


def test_the_folders_group_may_go_on(box: Box) -> None:
    """Whatever the umask: a member of the group installs beside the service."""
    old = os.umask(0o077)
    try:
        version = box.install("1")
        box.store.activate(version, "kim")
    finally:
        os.umask(old)
    for path in [box.folder, *box.folder.rglob("*")]:
        wanted = 0o770 if path.is_dir() else 0o660 if path.name == "lock" else 0o640
        assert (path.name, path.stat().st_mode & 0o777) == (path.name, wanted)
