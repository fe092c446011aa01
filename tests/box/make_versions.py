"""Writes model files, signed and not, and a public key, for the steps of tests/box/models.py. Runs
in the box: `python -m tests.box.make_versions FOLDER`."""

import sys
from pathlib import Path

from nacl.signing import SigningKey

from tests.support.model_versions import version_of_redness
from tests.support.signing import SignedBy


def main(folder: Path) -> None:
    """redness@1 to @3, each with a signature; `3.tflite` has none, `other.tflite` that of a key
    which nobody knows."""
    folder.mkdir(parents=True)
    key, other = (SignedBy(SigningKey(bytes([n]) * 32)) for n in (1, 2))
    key.write_public(folder / "plant.pub")
    for number, reject_at in ((1, 0.6), (2, 0.65), (3, 0.7)):
        content = version_of_redness(str(number), reject_at=reject_at)
        (folder / f"{number}.tflite").write_bytes(content)
        if number < 3:
            signature = key.sign(content, f"counter:{number}")
            (folder / f"{number}.tflite.minisig").write_bytes(signature)
        else:
            (folder / "other.tflite").write_bytes(content)
            (folder / "other.tflite.minisig").write_bytes(other.sign(content, "counter:9"))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
