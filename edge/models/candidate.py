"""The check of a model file's signature, before anything in the file is interpreted."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from edge.core.errors import RefusedError
from edge.inspection import ModelFile, parse_model_file
from edge.models.signature import SUFFIX, PublicKey, verify


@dataclass(frozen=True, slots=True)
class Candidate:
    """A checked file that may be installed. `signature`: the content of its signature file."""

    file: ModelFile
    name: str
    counter: int
    signature: bytes | None


def verified(
    content: bytes, signature: bytes | None, path: str, keys: Sequence[PublicKey]
) -> tuple[ModelFile, int]:
    """The model file and its counter. Without `keys` a signature is not looked at, and the counter
    is 0. Raises RefusedError and ModelError."""
    if not keys:
        return parse_model_file(content, path), 0
    if signature is None:
        raise RefusedError(
            f"{path}: is not signed, and models.keys asks for it; put the file {path}{SUFFIX} "
            "beside it, which `minisign -S` writes"
        )
    signed = verify(content, signature, path, keys)
    return replace(parse_model_file(content, path), signed_by=signed.key_id), signed.counter
