"""What a person sees while it works: bars on a terminal, one line an epoch in a log file."""

import sys
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol, Self

from trainer.core.optional_imports import optional_import


@dataclass(frozen=True, slots=True)
class Epoch:
    """What one pass over the train set gave. Losses are weighted means.

    `number` counts from 1; 0 is a network that brought weights, with a head fitted to it, before
    any pass.
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
    """Shows progress on standard output, as a context. Raises MissingPartError without rich."""

    def __init__(self) -> None:
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
        """Writes lines above the bar, as they are."""
        if self._live:
            self._progress.console.print(text, markup=False, highlight=False)
        else:
            sys.stdout.write(text + "\n")
            sys.stdout.flush()

    def start(self, parameters: int, epochs: int) -> None:
        """Training begins, of so many parameters, for at most so many epochs."""
        self._epochs = epochs
        self.say(f"training       {parameters:,} parameters, at most {epochs} epochs")

    def reading(self, done: int, total: int) -> None:
        """So many pictures of so many are read."""
        self._show("reading pictures", done, total)

    def working(self, what: str, done: int, total: int) -> None:
        """So many of so many are done of `what`; in a log file one line when it begins."""
        if not self._live and what != self._title:
            self._title = what
            self.say(f"{what} …")
        self._show(what, done, total)

    def batch(self, epoch: int, done: int, total: int) -> None:
        """So many batches of this epoch are done."""
        self._show(f"epoch {epoch}/{self._epochs}", done, total)

    def epoch(self, epoch: Epoch) -> None:
        """An epoch is over: one line that stays."""
        self.say(
            f"epoch {epoch.number:>3}/{self._epochs}  loss {epoch.loss:.4f}  "
            f"validation loss {epoch.validation_loss:.4f}  "
            f"AUROC {epoch.validation_auroc:.3f}" + ("  best" if epoch.best else "")
        )

    def _show(self, title: str, done: int, total: int) -> None:
        if not self._live:
            return
        if title != self._title:
            if self._task is not None:
                self._progress.remove_task(self._task)
            self._task, self._title = self._progress.add_task(title, total=total), title
        self._progress.update(self._task, completed=done)
