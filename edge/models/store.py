"""The model store: a folder with the installed versions, and the active version of each name.

    slots/<sha256>/   model.tflite, its signature, and version.json
    names/<name>.json the active and the previous version of a name
    probation/<name>.json the counts of a new version; only the daemon writes it
    shadow.json       the version that judges along; only the daemon writes it
    waiting.json      the activation that waits for its window; only the daemon writes it
    staging/          what is being written; it does not count
    lock              held by the one process that changes something

A slot appears by a rename when all of it is on the disk, and a switch is one replaced file. So a
process that is killed leaves the version that was asked, or the one before.
"""

import contextlib
import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from edge.core.errors import ModelError, RefusedError
from edge.core.messages import rfc3339
from edge.core.regular_file import read_at_most
from edge.core.text import one_line, typed
from edge.inspection import ModelFile
from edge.models import files
from edge.models.candidate import Candidate, verified
from edge.models.records import (
    NAME_RULE,
    NameRecord,
    ProbationRecord,
    ShadowRecord,
    Version,
    WaitingRecord,
    is_model_name,
)
from edge.models.signature import MAX_BYTES, SUFFIX, PublicKey

MAX_MODEL = 128 * 2**20  # bytes; the daemon has 1 GB for all its memory
_MODEL, _VERSION = "model.tflite", "version.json"
_SHORTEST = 8  # digits of a SHA-256 that name a version


@dataclass(frozen=True, slots=True)
class Switch:
    """A name's versions before and after; equal when nothing changed."""

    before: NameRecord
    after: NameRecord

    @property
    def changed(self) -> bool:
        return self.before.active != self.after.active


class ModelStore:
    """Safe between threads and processes. Its folder may be missing: nothing is installed then."""

    def __init__(
        self,
        folder: Path,
        keys: Callable[[], Sequence[PublicKey]],
        max_mb: float,
        now: Callable[[], float],
    ) -> None:
        """
        keys    reads the public keys that count; none: unsigned files are accepted
        max_mb  for all versions together
        now     seconds since the epoch
        """
        self.folder = folder
        self._keys, self._max_bytes, self._now = keys, int(max_mb * 2**20), now

    def versions(self) -> list[Version]:
        """The installed versions, by name and time of installation. A slot with a damaged record is
        left out: `install` writes it again. Raises RefusedError."""
        try:
            slots = list(self._slots.iterdir())
        except FileNotFoundError:
            return []
        except OSError as error:
            raise RefusedError(
                f"{self.folder}: the model store cannot be read ({error.strerror}); check the "
                "folder's owner (docs/models.md)"
            ) from error
        found = []
        for slot in slots:
            with contextlib.suppress(FileNotFoundError, RefusedError):
                version = Version.load(slot / _VERSION)
                if version.sha256 == slot.name:
                    found.append(version)
        return sorted(found, key=lambda one: (one.name, one.at, one.sha256))

    def record(self, name: str) -> NameRecord:
        """The record of a name, also of one that has none yet. Raises RefusedError."""
        try:
            record = NameRecord.load(self._record_path(name))
        except FileNotFoundError:
            return NameRecord(name=name)
        if record.name != name:
            raise RefusedError(
                f"{self._record_path(name)}: is the record of {record.name}; activate {name} again"
            )
        return record

    def find(self, text: str) -> Version:
        """The version that `name@version`, or 8 or more digits of its SHA-256, names. Raises
        RefusedError for none or several."""
        name, at, version = typed(text).partition("@")
        digits = text.lower()
        found = [
            one
            for one in self.versions()
            if (at and (one.name, one.version) == (name, version))
            or (not at and len(digits) >= _SHORTEST and one.sha256.startswith(digits))
        ]
        if len(found) == 1:
            return found[0]
        shown = one_line(text[:100])
        if found:
            digests = ", ".join(one.sha256[:12] for one in found)
            raise RefusedError(f"{shown}: names {len(found)} versions; name one of {digests}")
        raise RefusedError(
            f"{shown}: no such version is installed; name one that `edge-inspect models list` "
            "prints, as name@version or by 8 digits of its sha256"
        )

    def active(self, name: str) -> Version:
        """The active version of a name. Raises RefusedError."""
        record = self.record(name)
        if record.active is None:
            raise RefusedError(
                f"no version of the model {name} is active in {self.folder}; install one and "
                "activate it (edge-inspect models), or write a file with its folder: "
                f"model.path: ./{name}"
            )
        return self._of_slot(record.active, name)

    def version_of(self, record: NameRecord) -> Version | None:
        """The active version of a record; None when there is none, or it is gone or damaged."""
        if record.active is None:
            return None
        with contextlib.suppress(RefusedError):
            return self._of_slot(record.active, record.name)
        return None

    def title(self, record: NameRecord) -> str:
        """Which version a record makes the active one, for the journal."""
        if (version := self.version_of(record)) is not None:
            return f"{version.title} ({version.sha256[:12]})"
        return f"{record.name}: " + ("none" if record.active is None else record.active[:12])

    def path_of(self, sha256: str) -> Path:
        """The model file of a version, which need not be there."""
        return self._slots / sha256 / _MODEL

    def load(self, version: Version) -> ModelFile:
        """The model file of a version; hash and signature are checked first. Raises
        EdgeInspectError."""
        path = self.path_of(version.sha256)
        content = read_content(path)
        if hashlib.sha256(content).hexdigest() != version.sha256:
            raise RefusedError(
                f"{path}: {version.title} has changed since it was installed; install it again"
            )
        file, _ = verified(content, signature_beside(path), str(path), self._keys())
        inside = file.identity
        if (typed(inside.name), typed(inside.version)) != (version.name, version.version):
            raise RefusedError(
                f"{path}: holds {one_line(f'{inside.name}@{inside.version}')}, and its record says "
                f"{version.title}; install it again"
            )
        return file

    def read_candidate(self, path: Path) -> Candidate:
        """A file that is to be installed, with the signature beside it; its signature, name and
        counter are checked. Raises EdgeInspectError."""
        content, signature = read_content(path), signature_beside(path)
        file, counter = verified(content, signature, str(path), self._keys())
        if file.spec is None:
            raise RefusedError(
                f"{path}: holds no inspection.json, so that it has no name and version; convert it "
                "with edge-convert, or name the file itself in model.path"
            )
        name = typed(file.spec.name)
        if not is_model_name(name) or name.endswith(".tflite"):
            raise RefusedError(
                f"{path}: its name must {NAME_RULE}; convert it again with --model-name (got "
                f"{one_line(name[:100])})"
            )
        candidate = Candidate(file, name, counter, signature)
        self._refuse_older(candidate)
        return candidate

    def install(self, candidate: Candidate, by: str) -> Version:
        """Makes a slot of a checked candidate. Raises RefusedError, and then the store is as it
        was."""
        file = candidate.file
        assert file.spec is not None
        version = Version(
            sha256=file.sha256,
            name=candidate.name,
            version=typed(file.spec.version),
            size=len(file.content),
            labels=file.labels or (),
            ok_label=file.spec.ok_label,
            counter=candidate.counter,
            key_id=file.signed_by,
            at=rfc3339(self._now()),
            by=by,
        )
        contents = {_MODEL: file.content, _VERSION: version.data()}
        if candidate.signature is not None:
            contents[_MODEL + SUFFIX] = candidate.signature
        with self._changing("installed"):
            self._refuse_older(candidate)
            self._refuse_beyond_limit(version)
            slot = self._slots / version.sha256
            if slot.is_dir():  # again: each file has a verified content before and after
                for name, data in contents.items():
                    files.replace(slot / name, data)
            else:
                self._add_slot(slot, contents)
        return version

    def activate(self, version: Version, by: str) -> Switch:
        """Makes a version the active one of its name, which is one replaced file. Raises
        RefusedError."""
        with self._changing("activated"):
            version = self._of_slot(version.sha256, version.name)
            before = self._record_or_new(version.name)
            return self._write_switch(before, version.sha256, by, on_probation=True)

    def restore(self, switch: Switch) -> None:
        """Takes a switch back. Raises RefusedError."""
        with self._changing("taken back"):
            self._write(switch.before)

    def rollback(self, name: str, by: str) -> Switch:
        """Activates the version that was active before. Raises RefusedError."""
        with self._changing("rolled back"):
            before = self.record(name)
            if before.previous is None:
                raise RefusedError(
                    f"{name}: no version was active before; activate one by its name@version"
                )
            previous = self._of_slot(before.previous, name).sha256
            return self._write_switch(before, previous, by, on_probation=False)

    def remove(self, version: Version) -> None:
        """Deletes a version. Raises RefusedError for the active one."""
        with self._changing("removed"):
            record = self.record(version.name)
            if record.active == version.sha256:
                raise RefusedError(
                    f"{version.title}: is active; activate another version of {version.name} first"
                )
            if version.counter > record.counter:  # an older file must not come back
                self._write(record.replace(counter=version.counter))
            shadow = self.shadow()
            if shadow is not None and shadow.sha256 == version.sha256:
                raise RefusedError(
                    f"{version.title}: judges along; end that first: edge-inspect models shadow "
                    "--stop"
                )
            trash = self._staging / version.sha256
            files.remove_tree(trash)
            (self._slots / version.sha256).rename(trash)
            files.flush_folder(self._slots)
            files.remove_tree(trash)

    def probation(self, name: str) -> ProbationRecord | None:
        """The last probation of a name; None: there was none, or its file is damaged."""
        with contextlib.suppress(FileNotFoundError, RefusedError):
            return ProbationRecord.load(self._probation / f"{name}.json")
        return None

    def save_probation(self, record: ProbationRecord) -> None:
        """Without the lock: a command that installs must not stop the counts. Raises
        RefusedError."""
        try:
            files.make_folder(self._probation)
            files.replace(self._probation / f"{record.name}.json", record.data())
        except OSError as error:
            raise RefusedError(
                f"{self._probation}: the probation of {record.name} cannot be written "
                f"({error.strerror}); make room, or check the folder's owner (docs/models.md)"
            ) from error

    def shadow(self) -> ShadowRecord | None:
        """The version that judges along; None: there is none, or its file is damaged."""
        with contextlib.suppress(FileNotFoundError, RefusedError):
            return ShadowRecord.load(self._shadow)
        return None

    def save_shadow(self, record: ShadowRecord | None) -> None:
        """Without the lock, as `save_probation`. None: no version judges along. Raises
        RefusedError."""
        _save(self._shadow, record)

    def waiting(self) -> WaitingRecord | None:
        """The activation that waits for its window; None: none, or its file is damaged."""
        with contextlib.suppress(FileNotFoundError, RefusedError):
            return WaitingRecord.load(self._waiting)
        return None

    def save_waiting(self, record: WaitingRecord | None) -> None:
        """As `save_shadow`."""
        _save(self._waiting, record)

    def clean(self) -> None:
        """Deletes what a killed process left. Raises nothing: another process may be at work."""
        with contextlib.suppress(RefusedError), self._changing("cleaned", create=False):
            pass

    @property
    def _waiting(self) -> Path:
        return self.folder / "waiting.json"

    @property
    def _slots(self) -> Path:
        return self.folder / "slots"

    @property
    def _names(self) -> Path:
        return self.folder / "names"

    @property
    def _probation(self) -> Path:
        return self.folder / "probation"

    @property
    def _shadow(self) -> Path:
        return self.folder / "shadow.json"

    @property
    def _staging(self) -> Path:
        return self.folder / "staging"

    def _record_path(self, name: str) -> Path:
        return self._names / f"{name}.json"

    def _of_slot(self, sha256: str, name: str) -> Version:
        """Raises RefusedError."""
        slot = self._slots / sha256
        try:
            version = Version.load(slot / _VERSION)
        except FileNotFoundError as error:
            raise RefusedError(
                f"{slot}: the version {sha256[:12]} of {name} is gone; install it again, or "
                "activate another"
            ) from error
        if (version.sha256, version.name) != (sha256, name):
            raise RefusedError(f"{slot}: is not a version of {name}; install it again")
        return version

    def _record_or_new(self, name: str) -> NameRecord:
        """As `record`; a damaged one is replaced by the next switch. The slots still know their
        counters."""
        try:
            return self.record(name)
        except RefusedError:
            return NameRecord(name=name)

    def _highest_counter(self, name: str) -> int:
        installed = [one.counter for one in self.versions() if one.name == name]
        return max([self._record_or_new(name).counter, *installed])

    def _write_switch(
        self, before: NameRecord, sha256: str, by: str, *, on_probation: bool
    ) -> Switch:
        if before.active == sha256:
            return Switch(before, before)
        after = before.replace(
            active=sha256,
            previous=before.active,
            counter=self._highest_counter(before.name),
            at=rfc3339(self._now()),
            by=by,
            on_probation=on_probation and before.active is not None,
        )
        self._write(after)
        return Switch(before, after)

    def _write(self, record: NameRecord) -> None:
        files.replace(self._record_path(record.name), record.data())

    def _refuse_older(self, candidate: Candidate) -> None:
        highest = self._highest_counter(candidate.name)
        if candidate.counter < highest:
            raise RefusedError(
                f"{candidate.file.path}: its counter {candidate.counter} is lower than {highest}, "
                f"that of a version of {candidate.name} which this box has had; sign it again with "
                "a higher counter"
            )

    def _refuse_beyond_limit(self, version: Version) -> None:
        others = sum(one.size for one in self.versions() if one.sha256 != version.sha256)
        if others + version.size > self._max_bytes:
            raise RefusedError(
                f"{version.title}: with it the versions would take "
                f"{(others + version.size) / 2**20:.1f} MB, more than models.max_mb "
                f"({self._max_bytes / 2**20:g}); remove a version, or raise models.max_mb"
            )

    def _add_slot(self, slot: Path, contents: dict[str, bytes]) -> None:
        staged = self._staging / slot.name
        files.make_folder(staged)
        for name, data in contents.items():
            files.write_new(staged / name, data)
        files.flush_folder(staged)
        staged.rename(slot)
        files.flush_folder(self._slots)

    @contextmanager
    def _changing(self, done: str, *, create: bool = True) -> Iterator[None]:
        """Holds the store's lock; leftovers of a killed process are gone, and what fails in the
        block leaves none. `done`: what is not done when it fails, for the message."""
        try:
            if create:
                files.make_folder(self.folder)
            with files.locked(self.folder / "lock") as ours:
                if not ours:
                    raise RefusedError(
                        f"{self.folder}: another process changes the model store now, nothing was "
                        f"{done}; try again when it has ended"
                    )
                for folder in (self._slots, self._names, self._staging):
                    files.make_folder(folder)
                self._sweep()
                try:
                    yield
                finally:
                    with contextlib.suppress(OSError):
                        self._sweep()
        except OSError as error:
            raise RefusedError(
                f"{self.folder}: cannot be changed ({error.strerror}), nothing was {done}; make "
                "room, or check the folder's owner (docs/models.md)"
            ) from error

    def _sweep(self) -> None:
        for left in self._staging.iterdir():
            files.remove_tree(left)
        for folder in (self._names, *self._slots.iterdir()):
            for part in folder.glob(f".*{files.PART}"):
                part.unlink()


def read_content(path: Path) -> bytes:
    """The bytes of a model file, at most MAX_MODEL. Raises ModelError."""
    try:
        return read_at_most(path, MAX_MODEL)
    except OSError as error:
        raise ModelError(
            f"{path}: the model file cannot be read ({error.strerror}); check the path and the file"
        ) from error


def signature_beside(path: Path) -> bytes | None:
    """The signature file beside a model file; None: there is none. Raises RefusedError."""
    beside = path.with_name(path.name + SUFFIX)
    try:
        return read_at_most(beside, MAX_BYTES)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RefusedError(f"{beside}: cannot be read ({error.strerror}); copy it again") from error


def _save(path: Path, record: ShadowRecord | WaitingRecord | None) -> None:
    """None: deletes the file. Raises RefusedError."""
    try:
        if record is None:
            path.unlink(missing_ok=True)
        else:
            files.replace(path, record.data())
    except OSError as error:
        raise RefusedError(
            f"{path}: cannot be written ({error.strerror}); make room, or check the folder's owner "
            "(docs/models.md)"
        ) from error
