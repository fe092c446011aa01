"""Signatures that Debian's minisign and PyNaCl make, and what is refused."""

import base64
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nacl.signing import SigningKey

from edge.core.errors import EdgeInspectError, RefusedError
from edge.models import PublicKey, Signed, read_public_key, verify
from tests.support.signing import SignedBy

VECTORS = Path(__file__).parent / "vectors"
CONTENT = (VECTORS / "signed.bin").read_bytes()
PLANT, NEXT = (read_public_key(VECTORS / f"{name}.pub") for name in ("plant", "next"))


def of(name: str, keys: tuple[PublicKey, ...] = (PLANT,), content: bytes = CONTENT) -> Signed:
    """The verified signature of a vector."""
    return verify(content, (VECTORS / name).read_bytes(), "m.tflite", keys)


def test_minisigns_own_files_are_verified() -> None:
    """Hashed and legacy; a comment without a counter counts as 0; of two keys either counts."""
    assert PLANT.id == "B650C29438A6D511"  # as minisign wrote it in the comment
    assert of("hashed.minisig") == Signed(PLANT.id, 7)
    assert of("legacy.minisig") == Signed(PLANT.id, 8)
    assert of("uncounted.minisig") == Signed(PLANT.id, 0)
    assert of("next.minisig", (PLANT, NEXT)) == Signed(NEXT.id, 0)


def test_a_key_that_no_longer_counts_is_refused() -> None:
    """The sentence names both keys."""
    with pytest.raises(RefusedError, match=f"key {NEXT.id}, which is not among .*{PLANT.id}"):
        of("next.minisig")


@pytest.mark.parametrize("name", ["hashed.minisig", "legacy.minisig"])
def test_every_flipped_byte_of_the_content_is_refused(name: str) -> None:
    """One bit of the signed file."""
    for place in range(len(CONTENT)):
        changed = bytearray(CONTENT)
        changed[place] ^= 1
        with pytest.raises(RefusedError, match="was changed after it was signed"):
            of(name, content=bytes(changed))


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_a_changed_signature_file_is_refused_in_a_sentence(data: st.DataObject) -> None:
    """Any byte after the first line, which is a free comment: refused, or the same meaning."""
    original = (VECTORS / "hashed.minisig").read_bytes()
    changed = bytearray(original)
    place = data.draw(st.integers(original.index(b"\n") + 1, len(original) - 2))
    changed[place] = data.draw(st.integers(0, 255).filter(lambda byte: byte != original[place]))
    try:
        found = verify(CONTENT, bytes(changed), "m.tflite", [PLANT])
    except RefusedError:
        return
    assert found == Signed(PLANT.id, 7)  # padding bits of base64


def test_a_raised_counter_is_refused() -> None:
    """The trusted comment is signed too."""
    text = (VECTORS / "hashed.minisig").read_bytes().replace(b"counter:7", b"counter:9")
    with pytest.raises(RefusedError, match=r"m\.tflite\.minisig: its trusted comment was changed"):
        verify(CONTENT, text, "m.tflite", [PLANT])


@given(st.binary(max_size=600))
@settings(max_examples=200, deadline=None)
def test_random_bytes_are_no_signature(data: bytes) -> None:
    """Whatever the bytes: one sentence, no traceback."""
    with pytest.raises(RefusedError):
        verify(CONTENT, data, "m.tflite", [PLANT])


@given(st.binary(max_size=300), st.integers(0, 2**63 - 1), st.booleans())
@settings(max_examples=100, deadline=None)
def test_what_pynacl_signs_is_verified(content: bytes, counter: int, hashed: bool) -> None:
    """Signing and verifying agree for any content and counter."""
    signer = SignedBy(SigningKey.generate())
    text = signer.sign(content, f"counter:{counter}", hashed=hashed)
    assert verify(content, text, "m", [signer.public]) == Signed(signer.public.id, counter)


@pytest.mark.parametrize(
    "comment", ["counter:", "counter:-1", "counter:1 counter:2", "counter:1.5", f"counter:{2**63}"]
)
def test_a_counter_that_is_no_whole_number_is_refused(comment: str) -> None:
    """It would otherwise count as 0, without protection."""
    signer = SignedBy(SigningKey.generate())
    with pytest.raises(RefusedError, match="must have one counter: and a whole number"):
        verify(b"x", signer.sign(b"x", comment), "m", [signer.public])


def test_words_that_only_contain_counter_are_no_counter() -> None:
    """A product may be called so."""
    signer = SignedBy(SigningKey.generate())
    signed = verify(b"x", signer.sign(b"x", "encounter:9 counters:8"), "m", [signer.public])
    assert signed.counter == 0


def test_the_mark_of_the_other_kind_is_refused() -> None:
    """A hashed signature does not fit as a legacy one, nor the reverse."""
    signer = SignedBy(SigningKey.generate())
    for hashed, mark in ((True, b"Ed"), (False, b"ED"), (True, b"Ex")):
        lines = signer.sign(b"x", hashed=hashed).split(b"\n")
        lines[1] = base64.b64encode(mark + base64.b64decode(lines[1])[2:])
        with pytest.raises(RefusedError, match="was changed after it was signed"):
            verify(b"x", b"\n".join(lines), "m", [signer.public])


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"untrusted comment: x\nnothing\n", b"RWQ="])
def test_a_file_that_is_no_public_key(content: bytes, tmp_path: Path) -> None:
    """The sentence names the file and what to name instead."""
    (tmp_path / "plant.pub").write_bytes(content)
    with pytest.raises(EdgeInspectError, match=r"plant\.pub: is no public key of minisign"):
        read_public_key(tmp_path / "plant.pub")


def test_a_public_key_may_be_the_line_alone(tmp_path: Path) -> None:
    """As `minisign -P` takes it."""
    (tmp_path / "plant.pub").write_text((VECTORS / "plant.pub").read_text().splitlines()[1])
    assert read_public_key(tmp_path / "plant.pub") == PLANT
    with pytest.raises(EdgeInspectError, match="cannot be read"):
        read_public_key(tmp_path / "none.pub")
