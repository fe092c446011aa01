"""Reads the data of a report from the folder of a run."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.core.errors import EdgeInspectError
from trainer.evaluation import Evaluation, Requirements, evaluate
from trainer.evaluation.finalize import SCORES, ScoredPicture
from trainer.networks import TrainedSpec, read_spec
from trainer.training.run_folder import BASELINE, CANDIDATES, HISTORY, MODEL
from trainer.training.seeds import SPREAD

AUDIT = "audit.json"


@dataclass(frozen=True, slots=True)
class RunData:
    """The data of a run.

    - `history`: the epochs.
    - `audit`, `candidates`, `seeds`: empty when their files are missing.
    - `baseline`: the run of the baseline on the same pictures; None without one.
    """

    run: Path
    spec: TrainedSpec
    evaluation: Evaluation
    test: tuple[ScoredPicture, ...]
    validation: tuple[ScoredPicture, ...]
    history: list[dict[str, Any]]
    audit: dict[str, Any]
    candidates: dict[str, Any]
    baseline: "RunData | None" = None
    seeds: dict[str, Any] = field(default_factory=dict)

    @property
    def scores(self) -> NDArray[np.float64]:
        """P(defective) of the test set, float64, (n,)."""
        return np.array([row.score for row in self.test])

    @property
    def defective(self) -> NDArray[np.bool_]:
        """The true classes of the test set, bool, (n,)."""
        return np.array([row.label != self.spec.ok_label for row in self.test])


def read_run_data(run: Path) -> RunData:
    """Reads the files of a run. Raises EdgeInspectError that names a missing file."""
    spec = read_spec(run / MODEL)
    if spec is None:
        raise EdgeInspectError(
            f"{run / MODEL}: not made by edge-train, so there is nothing to report; train one"
        )
    try:
        rows = [ScoredPicture.from_json(row) for row in _json(run / SCORES)]
    except (TypeError, ValueError) as error:
        raise EdgeInspectError(f"{run / SCORES}: {error}; train again") from error
    test = tuple(row for row in rows if row.set_name == "test")
    evaluation = evaluate(
        [row.score for row in test],
        [row.label for row in test],
        [row.group for row in test],
        spec.thresholds,
        spec.ok_label,
        requirements=Requirements.from_json(spec.training.get("wish")),
    )
    audit = _json(run / AUDIT) if (run / AUDIT).is_file() else spec.data.get("audit")
    return RunData(
        run=run,
        spec=spec,
        evaluation=evaluation,
        test=test,
        validation=tuple(row for row in rows if row.set_name == "validation"),
        history=_json(run / HISTORY) if (run / HISTORY).is_file() else [],
        audit=audit if isinstance(audit, dict) else {},
        candidates=_json(run / CANDIDATES) if (run / CANDIDATES).is_file() else {},
        seeds=_json(run / SPREAD) if (run / SPREAD).is_file() else {},
        baseline=read_run_data(run / BASELINE) if (run / BASELINE / MODEL).is_file() else None,
    )


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise EdgeInspectError(
            f"{path}: cannot be read ({error.strerror}); train again with this version"
        ) from error
    except ValueError as error:
        raise EdgeInspectError(f"{path}: is not JSON ({error}); train again") from error
