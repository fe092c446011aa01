"""Breakages of edge/models, and the tests that must notice them."""

from scripts.breakages.breakage import Breakage
from scripts.code_edit import Edit

MODELS = [
    Breakage(
        "a version that was changed in its folder judges",
        Edit(
            "edge.models.store:ModelStore.load",
            "hashlib.sha256(content).hexdigest() != version.sha256",
            "False",
        ),
        "tests/edge/models/test_store.py",
    ),
    Breakage(
        "an older signed version is installed",
        Edit(
            "edge.models.store:ModelStore._refuse_older",
            "candidate.counter < highest",
            "False",
        ),
        "tests/edge/models/test_store.py",
    ),
    Breakage(
        "a changed trusted comment counts",
        Edit(
            "edge.models.signature:verify",
            "not _is_signed(by + comment.encode(), seal, key)",
            "False",
        ),
        "tests/edge/models/test_signature.py",
    ),
    Breakage(
        "a version that a rollback brought back is on probation",
        Edit(
            "edge.models.store:ModelStore.rollback",
            "self._write_switch(before, previous, by, on_probation=False)",
            "self._write_switch(before, previous, by, on_probation=True)",
        ),
        "tests/edge/models/test_store.py",
    ),
]
