"""The folder of one training run: the names of its files, its start and its end."""

import os
import shutil
from pathlib import Path

from edge.core.errors import EdgeInspectError

MODEL = "model.keras"
EVALUATION = "evaluation.json"
HISTORY = "history.json"
CANDIDATES = "candidates.json"  # with --network auto: the candidates and the chosen one
BASELINE = "baseline"  # folder of the baseline for the comparison in the report
MERGED = "data"  # with several data sets: links to their pictures, as one data set
PREVIEW = "preview.png"  # training pictures as the network saw them
UNFINISHED = ".unfinished"  # state of a stopped run: pictures and the last epoch


def prepare_run(run: Path, dataset: Path) -> Path:
    """Makes the folder of a run, or finds an earlier run in it, before the training.

    Returns the folder for the state of a stopped run; `finish_run` removes it. An earlier run
    stays unchanged until the new one is complete. Raises EdgeInspectError when the folder holds
    other files, cannot be written, or lies in the data set.
    """
    if run.resolve().is_relative_to(dataset.resolve()):
        raise EdgeInspectError(
            f"{run}: lies inside the data set {dataset}, where it would be taken for a class; "
            "give -o another folder"
        )
    try:
        run.mkdir(parents=True, exist_ok=True)
        others = [entry.name for entry in run.iterdir() if not entry.name.startswith(".")]
        ours = (run / MODEL).is_file() or (run / UNFINISHED).is_dir()
        if others and not ours:
            raise EdgeInspectError(
                f"{run}: is no folder of a run (it holds {sorted(others)[0]}); "
                "give -o a new or empty folder"
            )
        probe = run / f".probe.{os.getpid()}"
        probe.touch()
        probe.unlink()
        (run / UNFINISHED).mkdir(exist_ok=True)
    except OSError as error:
        raise EdgeInspectError(
            f"{run}: cannot be written ({error.strerror}); give -o a folder that can"
        ) from error
    return run / UNFINISHED


def finish_run(run: Path) -> None:
    """Removes the state of a stopped run."""
    shutil.rmtree(run / UNFINISHED, ignore_errors=True)
