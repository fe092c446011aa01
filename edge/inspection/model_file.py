"""The model file: a .tflite with labels, preprocessing, thresholds and golden pictures appended.

The appendix is a ZIP archive, like TFLite's own metadata: interpreters ignore it, and `unzip -l`
lists it. The reader trusts no size: it checks the limits before it inflates a byte.
"""

import hashlib
import io
import json
import posixpath
import re
import struct
import zipfile
import zlib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import Field, model_validator

from edge.core.errors import ModelError
from edge.core.record import Items, Model, Pattern
from edge.core.regular_file import read_named
from edge.core.terms import Decoding, Kernels, OutputKind
from edge.core.text import fault_in, one_line, parse_json
from edge.core.validation import ValidationError
from edge.core.verdict import ModelIdentity
from edge.inspection.decision import Thresholds
from edge.inspection.preprocessing import InputSpec
from edge.inspection.tflite_check import is_intact

Schema = Literal["edge-inspect/model/1", "edge-inspect/model/2"]
SCHEMA: Schema = "edge-inspect/model/1"
SCHEMA_WITH_RULE: Schema = "edge-inspect/model/2"  # the input has a decoding rule
LABELS = "labels.txt"
INSPECTION = "inspection.json"
GOLDEN = "golden/"
MAX_FILE = 512 * 2**20
MAX_MEMBER = 32 * 2**20
MAX_MEMBERS = 256
MAX_UNPACKED = 64 * 2**20  # all members together
_NEWER = (
    "it was made by a newer edge-inspect: update this one, or convert the model with the version "
    "that runs on the box"
)
# The archive's comment, which ends the file: a checksum of all before it.
_SUM_MARK = b"sha256:"
_NO_SUM = _SUM_MARK + b"0" * 64
_OURS = re.compile(rb"PK\x03\x04.{26}(labels\.txt|inspection\.json)", re.DOTALL)

_DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    NotImplementedError,
    OSError,
    ValueError,
)


class OutputSpec(Model):
    """The meaning of the output row."""

    kind: OutputKind
    temperature: Annotated[float, Field(gt=0)] = 1.0


class GoldenPicture(Model):
    """A test picture and the score that it must give on the box."""

    file: Annotated[str, Pattern(r"golden/[^/\\]+", "lie in golden/")]
    label: str
    score: Annotated[float, Field(ge=0, le=1)]


class InspectionSpec(Model):
    """inspection.json: the settings with which the model was tested.

    - `kernels`: the operator code of the test. Other code rounds int8 differently, and the
      differences add up in deep networks.
    - `decoding`: only in older files of model/1: `reduced` when a test showed the same verdicts on
      JPEGs at reduced scale. Since model/2 the rule is `input.decoding`.
    - The dictionaries are for people and reports; the daemon ignores them.
    """

    schema_: Annotated[Schema, Field(alias="schema")] = SCHEMA
    name: Annotated[str, Field(min_length=1, max_length=200)]
    version: Annotated[str, Field(min_length=1, max_length=200)]
    ok_label: str = "ok"
    input: InputSpec
    output: OutputSpec
    kernels: Kernels = "quickest"
    decoding: Decoding = "whole"
    thresholds: Thresholds
    metrics: dict[str, Any] = Field(default={})
    quantisation: dict[str, Any] = Field(default={})
    data: dict[str, Any] = Field(default={})
    tools: dict[str, str] = Field(default={})
    golden: Items[GoldenPicture] = ()

    @model_validator(mode="after")
    def _check_schema(self) -> Self:
        ruled = self.schema_ == SCHEMA_WITH_RULE
        if ruled != (self.input.decoding is not None) or (ruled and self.decoding != "whole"):
            raise ValueError(
                f"{SCHEMA_WITH_RULE} has input.decoding and no decoding, {SCHEMA} the reverse"
            )
        return self


def schema_of(spec: InputSpec) -> Schema:
    """The schema of a model file with this input."""
    return SCHEMA if spec.decoding is None else SCHEMA_WITH_RULE


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A model file in memory. `spec` and `labels` are None for a plain .tflite.

    `signed_by`: the id of the key whose signature was verified; None: unsigned, or not verified.
    """

    path: str
    content: bytes
    sha256: str
    labels: tuple[str, ...] | None
    spec: InspectionSpec | None
    golden: dict[str, bytes] = field(default_factory=dict)
    signed_by: str | None = None

    def __repr__(self) -> str:
        """Without its megabytes."""
        return f"ModelFile({self.path!r}, sha256={self.sha256!r})"

    @property
    def identity(self) -> ModelIdentity:
        if self.spec is None:
            return ModelIdentity(Path(self.path).stem, "0", self.sha256)
        return ModelIdentity(self.spec.name, self.spec.version, self.sha256)


def load_model_file(path: Path) -> ModelFile:
    """Reads and checks a model file. Raises ModelError with the file's name and the fix."""
    try:
        size = path.stat().st_size
        if size > MAX_FILE:
            raise ModelError(f"{path}: {size} bytes is too large for a model (at most {MAX_FILE})")
        content = read_named(path, MAX_FILE)
    except OSError as error:
        raise ModelError(
            f"{path}: the model file cannot be read ({error.strerror}); put one there "
            "that edge-convert made (run `make demo` for one to try), or point model.path at one"
        ) from error
    return parse_model_file(content, str(path))


def parse_model_file(content: bytes, path: str) -> ModelFile:
    """Checks the bytes of a model file. `path`: for messages. Raises ModelError."""
    if content[4:8] != b"TFL3":
        raise ModelError(
            f"{path}: not a TFLite model (no TFL3 mark at byte 4); point model.path at a .tflite "
            "file made by edge-convert"
        )
    _check_sum(content, path)
    if not is_intact(content):
        raise ModelError(
            f"{path}: the model is damaged or truncated (it ends after {len(content)} bytes); "
            "copy it again"
        )
    sha256 = hashlib.sha256(content).hexdigest()
    packed = zipfile.is_zipfile(io.BytesIO(content))
    if packed:
        _refuse_cut_comment(content, path)
    members = _read_members(content, path) if packed else {}
    # A packed model without inspection.json would run as a plain one, unlike its test.
    lost = {match.decode() for match in _OURS.findall(content)} - members.keys()
    if lost:
        raise ModelError(
            f"{path}: the files appended to the model are damaged or truncated "
            f"({', '.join(sorted(lost))}); copy it again"
        )
    labels = _read_labels(members, path)
    spec = _read_spec(members, path)
    if spec is not None and labels is None:
        raise ModelError(f"{path}: {LABELS} is missing from the file; convert the model again")
    if spec is not None and labels is not None and spec.ok_label not in labels:
        raise ModelError(
            f"{path}: the good class {spec.ok_label!r} is not among its labels {list(labels)}; "
            "convert the model again"
        )
    golden = {name: data for name, data in members.items() if name.startswith(GOLDEN)}
    return ModelFile(path, content, sha256, labels, spec, golden)


def pack_model_file(
    tflite: bytes, labels: tuple[str, ...], spec: InspectionSpec, golden: dict[str, bytes]
) -> bytes:
    """The bytes of a model file. Equal arguments give equal bytes."""
    values = spec.to_dict()
    if spec.kernels == "quickest":
        del values["kernels"]  # older boxes do not know the key
    if spec.decoding == "whole":
        del values["decoding"]  # nor this key
    members = {
        LABELS: "".join(f"{label}\n" for label in labels).encode(),
        INSPECTION: (
            json.dumps(values, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"
        ).encode(),
        **dict(sorted(golden.items())),
    }
    buffer = io.BytesIO(tflite)
    with zipfile.ZipFile(buffer, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.comment = _NO_SUM
        for name, data in members.items():
            info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            info.external_attr = 0o644 << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, data)
    return _with_sum(buffer.getvalue())


def _with_sum(packed: bytes) -> bytes:
    """Fills in the checksum at the end of an archive that has room for it in its comment."""
    body = packed[: -len(_NO_SUM)]
    return body + _SUM_MARK + hashlib.sha256(body).hexdigest().encode()


def _check_sum(content: bytes, path: str) -> None:
    """Raises ModelError when the file ends with a checksum, and it is wrong. Files of earlier
    versions have none. A flipped byte damages the mark or the digits, never both."""
    body, mark = content[: -len(_NO_SUM)], content[-len(_NO_SUM) :]
    digits = mark[len(_SUM_MARK) :]
    if not mark.startswith(_SUM_MARK) and re.fullmatch(rb"[0-9a-f]{64}", digits) is None:
        return
    if mark != _SUM_MARK + hashlib.sha256(body).hexdigest().encode():
        raise ModelError(
            f"{path}: the file was changed or damaged after it was made (its checksum is wrong); "
            "copy it again"
        )


def _refuse_cut_comment(content: bytes, path: str) -> None:
    """`zipfile` reads an archive whose comment is cut off."""
    end = content.rfind(b"PK\x05\x06")
    size = int.from_bytes(content[end + 20 : end + 22], "little")
    if end + 22 + size > len(content):
        raise ModelError(f"{path}: the file is truncated (its checksum is cut off); copy it again")


def _read_members(content: bytes, path: str) -> dict[str, bytes]:
    members: dict[str, bytes] = {}
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            infos = archive.infolist()
            if len(infos) > MAX_MEMBERS:
                raise ModelError(f"{path}: {len(infos)} files inside, at most {MAX_MEMBERS}")
            _refuse_ambiguous([info.filename for info in infos], content, path)
            for info in infos:
                known = info.filename in (LABELS, INSPECTION) or info.filename.startswith(GOLDEN)
                if not known or info.is_dir():
                    continue  # other tools may add files
                _refuse_costly(info, path)
                room = MAX_UNPACKED - sum(map(len, members.values()))
                with archive.open(info) as member:
                    members[info.filename] = member.read(room + 1)
                if len(members[info.filename]) > room:
                    raise ModelError(
                        f"{path}: the files inside are more than {MAX_UNPACKED >> 20} MB unpacked; "
                        "convert the model again"
                    )
    except _DAMAGED as error:
        raise ModelError(
            f"{path}: the files appended to the model are damaged ({error}); copy it again"
        ) from error
    except RuntimeError as error:  # zipfile: an encrypted member
        raise ModelError(f"{path}: a file inside is encrypted; convert the model again") from error
    return members


def _refuse_ambiguous(names: list[str], content: bytes, path: str) -> None:
    """Programs differ in which of two equal names, or of two archives, they read."""
    normal = Counter(posixpath.normpath(name.replace("\\", "/")).lstrip("/") for name in names)
    headers = Counter(match.decode() for match in _OURS.findall(content))
    twice = [name for name, count in (*normal.items(), *headers.items()) if count > 1]
    if twice:
        raise ModelError(
            f"{path}: {one_line(min(twice))} stands more than once in the files appended to the "
            "model, and readers would take different ones; convert the model again"
        )


def _refuse_costly(info: zipfile.ZipInfo, path: str) -> None:
    name = f"{path}: {one_line(info.filename)} inside"
    if info.file_size > MAX_MEMBER:
        raise ModelError(
            f"{name} is too large ({info.file_size} bytes, at most {MAX_MEMBER}); convert the "
            "model again"
        )
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ModelError(
            f"{name} is compressed by method {info.compress_type}, not by deflate; convert the "
            "model again"
        )


def _read_labels(members: dict[str, bytes], path: str) -> tuple[str, ...] | None:
    if LABELS not in members:
        return None
    try:
        labels = tuple(members[LABELS].decode().split("\n"))
    except UnicodeDecodeError as error:
        raise ModelError(
            f"{path}: {LABELS} inside is not UTF-8; convert the model again"
        ) from error
    labels = tuple(label.strip() for label in labels if label.strip())
    for label in labels:
        if (fault := fault_in(label)) is not None:
            raise ModelError(f"{path}: {LABELS} inside: a label {fault}; convert the model again")
    if len(labels) < 2 or len(set(labels)) != len(labels):
        raise ModelError(
            f"{path}: {LABELS} inside holds {list(labels)}; "
            "write one label per line, at least two, all different"
        )
    return labels


def _read_spec(members: dict[str, bytes], path: str) -> InspectionSpec | None:
    if INSPECTION not in members:
        return None
    try:
        raw = parse_json(members[INSPECTION])
    except ValueError as error:
        raise ModelError(
            f"{path}: {INSPECTION} inside is not JSON ({error}); convert the model again"
        ) from error
    schema = raw.get("schema") if isinstance(raw, dict) else None
    if schema not in get_args(Schema):
        raise ModelError(
            f"{path}: {INSPECTION} has schema {schema!r}, this version reads {SCHEMA!r} and "
            f"{SCHEMA_WITH_RULE!r}; " + (_NEWER if _is_newer(schema) else "convert the model again")
        )
    try:
        return InspectionSpec.read(raw)
    except ValidationError as error:
        first = error.problems[0]
        where = one_line(first.key)  # a key may hold any text
        if first.kind == "unknown":
            raise ModelError(
                f"{path}: {INSPECTION} says {where!r}, which this version does not know; {_NEWER}"
            ) from error
        raise ModelError(
            f"{path}: {INSPECTION}: {where}: {first.sentence}; convert the model again"
        ) from error


def _is_newer(schema: object) -> bool:
    """Whether it is a later version of the same schema."""
    family, _, number = str(schema).rpartition("/")
    ours, _, own = SCHEMA_WITH_RULE.rpartition("/")
    return family == ours and number.isdecimal() and int(number) > int(own)
