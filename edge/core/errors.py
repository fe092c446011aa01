"""The error classes. Each message names the place, the value and the fix."""

from typing import Literal

TriggerRefusal = Literal["malformed", "unknown", "busy", "flood", "stopping"]

EXIT_DONE = 0
EXIT_NO = 1
EXIT_USAGE = 2
EXIT_INTERNAL = 70


class EdgeInspectError(Exception):
    """An expected mistake or fault. Its text is the sentence that the user reads."""

    exit_code = EXIT_USAGE

    @property
    def sentences(self) -> list[str]:
        """One sentence a line."""
        return [str(self)]


class ConfigError(EdgeInspectError):
    """config.yaml is wrong. `problems` holds every mistake, in the file's order."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems

    @property
    def sentences(self) -> list[str]:
        return self.problems


class ModelError(EdgeInspectError):
    """A model file is missing, is damaged, or contradicts its description."""


class PictureError(EdgeInspectError):
    """A picture must not be judged."""


class CameraError(EdgeInspectError):
    """A camera cannot be opened or delivers no pictures.

    `kind` is the camera's state in `health`: `lost`, `silent`, or the failed picture check.
    """

    def __init__(self, text: str, kind: str = "lost") -> None:
        super().__init__(text)
        self.kind = kind


class TriggerError(EdgeInspectError):
    """A trigger was refused. `kind` is the reason in one word, for the answer's status."""

    def __init__(self, sentence: str, kind: TriggerRefusal) -> None:
        super().__init__(sentence)
        self.kind: TriggerRefusal = kind


class DatasetError(EdgeInspectError):
    """A data set does not serve for training or measuring."""


class MissingPartError(EdgeInspectError):
    """A library or program is not installed; the message says how to install it."""


class RefusedError(EdgeInspectError):
    """The command ran, and the answer is no: a gate refused or a check failed."""

    exit_code = EXIT_NO
