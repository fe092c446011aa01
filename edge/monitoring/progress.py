"""Whether all threads of the daemon make progress, as the supervisor saw it last."""


class Progress:
    """Written by the supervisor, read by the output `alive`. Safe between threads."""

    def __init__(self) -> None:
        self.stalled = ""

    def report(self, stalled: str) -> None:
        """`stalled` names what makes no progress; empty when everything does."""
        self.stalled = stalled

    def alive(self) -> bool:
        """Whether everything makes progress."""
        return not self.stalled
