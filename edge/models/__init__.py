"""Model versions on the box: signatures, slots, and the active version of each name."""

from edge.models.signature import PublicKey, Signed, read_public_key, verify

__all__ = ["PublicKey", "Signed", "read_public_key", "verify"]
