"""The one family of errors: each carries the place, the value and the mend, and its exit code."""

from typing import Literal

TriggerRefusal = Literal["malformed", "unknown", "busy", "flood", "stopping"]

EXIT_DONE = 0
EXIT_NO = 1
EXIT_USAGE = 2
EXIT_INTERNAL = 70


class EdgeInspectError(Exception):
    """A mistake or fault that we can name. `str()` of it is the sentence the user reads."""

    exit_code = EXIT_USAGE


class ConfigError(EdgeInspectError):
    """config.yaml cannot be used. `problems` holds every mistake, in the file's order."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class ModelError(EdgeInspectError):
    """A model file that is missing, broken, or does not fit what is said of it."""


class PictureError(EdgeInspectError):
    """A picture that must not be judged."""


class CameraError(EdgeInspectError):
    """A camera that cannot be opened or does not deliver. `kind` is the state that `health` shows
    of it: `lost`, `silent`, or what made its pictures untrustworthy for too long."""

    def __init__(self, text: str, kind: str = "lost") -> None:
        super().__init__(text)
        self.kind = kind


class TriggerError(EdgeInspectError):
    """A trigger that is not taken. `kind` says why in one word, for the status of an answer."""

    def __init__(self, sentence: str, kind: TriggerRefusal) -> None:
        super().__init__(sentence)
        self.kind: TriggerRefusal = kind


class DatasetError(EdgeInspectError):
    """A data set that cannot be trained on or measured with."""


class MissingPartError(EdgeInspectError):
    """A library or program that is not installed; the sentence says how to install it."""


class RefusedError(EdgeInspectError):
    """It ran, and the answer is no: a gate refused, a check failed."""

    exit_code = EXIT_NO
