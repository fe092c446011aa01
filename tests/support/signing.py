"""Signs as minisign does, with keys that live only in a test."""

import base64
import hashlib
from pathlib import Path

from nacl.signing import SigningKey

from edge.models import PublicKey


class SignedBy:
    """A key pair."""

    def __init__(self, key: SigningKey) -> None:
        data = bytes(key.verify_key)
        self._key, self._id = key, data[:8]  # minisign draws it
        self.public = PublicKey(f"{int.from_bytes(self._id, 'little'):016X}", data)

    def sign(self, content: bytes, comment: str = "", *, hashed: bool = True) -> bytes:
        """The signature file."""
        message = hashlib.blake2b(content).digest() if hashed else content
        by = self._key.sign(message).signature
        seal = self._key.sign(by + comment.encode()).signature
        first = base64.b64encode((b"ED" if hashed else b"Ed") + self._id + by).decode()
        lines = ("untrusted comment: test", first, f"trusted comment: {comment}")
        return "\n".join((*lines, base64.b64encode(seal).decode(), "")).encode()

    def write_public(self, path: Path) -> Path:
        """The public key's file."""
        line = base64.b64encode(b"Ed" + self._id + self.public.data).decode()
        path.write_text(f"untrusted comment: test\n{line}\n")
        return path
