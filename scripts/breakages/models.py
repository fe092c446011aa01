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
    Breakage(
        "the sheet of own pictures counts the verdicts of a version before the active one",
        Edit(
            "edge.cli.model_sheet:_Judges._before",
            'self._active is None or model.get("sha256") == self._active_sha256',
            "True",
        ),
        "tests/edge/cli/test_model_sheet.py",
    ),
    Breakage(
        "the sheet of own pictures runs at the daemon's priority",
        Edit("edge.cli.model_commands:run_model_command", "run_when_idle()", "None"),
        "tests/edge/cli/test_model_sheet.py",
    ),
    Breakage(
        "a candidate judges along while frames wait for a worker",
        Edit("edge.plant.shadow:Shadow.offer", "not whole or self._is_busy()", "not whole"),
        "tests/edge/plant/test_shadow.py",
    ),
    Breakage(
        "a candidate begins though frames wait for a worker by now",
        Edit(
            "edge.plant.shadow:Shadow._judge",
            "self._is_busy() or first.config != candidate.hash",
            "first.config != candidate.hash",
        ),
        "tests/edge/plant/test_shadow.py",
    ),
    Breakage(
        "a part that a newer one replaced is not counted as skipped",
        Edit(
            "edge.plant.shadow:Shadow.offer",
            "self._counts.skipped += len(self._waiting.verdicts)",
            "pass",
        ),
        "tests/edge/plant/test_shadow.py",
    ),
    Breakage(
        "a candidate judges a frame once for each region's verdict",
        Edit(
            "edge.plant.shadow:Shadow._judge",
            "self._last is not None and self._last[0] == item.key",
            "False",
        ),
        "tests/edge/plant/test_shadow.py",
    ),
    Breakage(
        "a candidate that is active now stays in memory",
        Edit(
            "edge.plant.shadow:Shadow.run_once",
            "self._candidate = self._last = None",
            "self._last = None",
        ),
        "tests/edge/plant/test_shadow.py",
    ),
    Breakage(
        "the figures against two active versions are added",
        Edit(
            "edge.plant.shadow:Shadow._judge",
            "self._counts.active not in (None, first.model.sha256)",
            "False",
        ),
        "tests/edge/plant/test_shadow.py",
    ),
]
