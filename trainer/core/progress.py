"""Progress on standard output: bars on a terminal, one line an epoch in a log file."""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol, Self

from trainer.core.optional_imports import optional_import

MIN_SHARE_TO_ESTIMATE = 0.05  # of a task: before, its start dominates the estimate


@dataclass(frozen=True, slots=True)
class Epoch:
    """The figures of one pass over the train set. Losses are weighted means.

    `number` counts from 1. Epoch 0 is a pretrained network with a fitted head, before any pass.
    """

    number: int
    loss: float
    accuracy: float
    validation_loss: float
    validation_accuracy: float
    validation_auroc: float
    best: bool


class TrainingObserver(Protocol):
    """Receives the progress of a training; tests pass one that prints nothing."""

    def start(self, parameters: int, epochs: int) -> None: ...
    def batch(self, epoch: int, done: int, total: int) -> None: ...
    def epoch(self, epoch: Epoch) -> None: ...


class Display:
    """A context manager that shows progress. Raises MissingPartError without rich."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        rich = optional_import("rich.progress")
        console = optional_import("rich.console").Console(file=sys.stdout, soft_wrap=True)
        self._live: bool = console.is_terminal
        self._progress: Any = rich.Progress(
            rich.TextColumn("{task.description}"),
            rich.BarColumn(),
            rich.MofNCompleteColumn(),
            rich.TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not self._live,
        )
        self._task: Any = None
        self._title = ""
        self._epochs = 0

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def say(self, text: str) -> None:
        """Writes `text` above the bar, without markup."""
        if self._live:
            self._progress.console.print(text, markup=False, highlight=False)
        else:
            sys.stdout.write(text + "\n")
            sys.stdout.flush()

    def start(self, parameters: int, epochs: int) -> None:
        """Announces a training: the number of parameters and the largest number of epochs."""
        self._epochs = epochs
        self.say(f"training       {parameters:,} parameters, at most {epochs} epochs")

    def reading(self, done: int, total: int) -> None:
        """Shows how many of `total` pictures are read."""
        self._show("reading pictures", done, total)

    def working(self, what: str, done: int, total: int) -> None:
        """Shows `done` of `total` for the step `what`; a log file gets one line at its start."""
        if not self._live and what != self._title:
            self._title = what
            self.say(f"{what} …")
        self._show(what, done, total)

    def stage(self, task: str) -> Callable[[str, int, int], None]:
        """One bar for all steps of `task`, a function of the step, the parts done and all parts.

        So the bar's estimate is for the whole task. A log file gets one line a step, with it.
        """
        started = self._now()
        last: list[str] = []

        def show(step: str, done: int, total: int) -> None:
            if self._live:
                self._show(task, done, total, f"{task}: {step}")
            elif [step] != last:
                last[:] = [step]
                known = done >= MIN_SHARE_TO_ESTIMATE * total and done > 0
                left = (self._now() - started) * (total - done) / done if known else None
                self.say(f"{task}: {step} …" + (f" (about {left:.0f} s left)" if left else ""))

        return show

    def batch(self, epoch: int, done: int, total: int) -> None:
        """Shows how many of the `total` batches of this epoch are done."""
        self._show(f"epoch {epoch}/{self._epochs}", done, total)

    def epoch(self, epoch: Epoch) -> None:
        """Writes one permanent line about a finished epoch."""
        self.say(
            f"epoch {epoch.number:>3}/{self._epochs}  loss {epoch.loss:.4f}  "
            f"validation loss {epoch.validation_loss:.4f}  "
            f"AUROC {epoch.validation_auroc:.3f}" + ("  best" if epoch.best else "")
        )

    def _show(self, title: str, done: int, total: int, description: str = "") -> None:
        if not self._live:
            return
        if title != self._title:
            if self._task is not None:
                self._progress.remove_task(self._task)
            self._task, self._title = self._progress.add_task(title, total=total), title
        self._progress.update(
            self._task, completed=done, total=total, description=description or title
        )
