"""The states of the outbox's writer. `TRANSITIONS` has every legal transition between them.

State               The disk                               A `strict` verdict may be sent
NORMAL              takes commits                          after its commit
DEGRADED            refuses commits                        at once, from memory
RECOVERING          a damaged file is being rebuilt        at once, from memory
CLOSING             takes the last commits                 after its commit
CLOSING_DEGRADED    as DEGRADED or RECOVERING, at the end  at once, from memory
CLOSED              the thread has ended                   no verdict comes any more

A `balanced` verdict may be sent at once in every state.
"""

from enum import Enum, auto


class WriterState(Enum):
    """See the table of this module."""

    NORMAL = auto()
    DEGRADED = auto()
    RECOVERING = auto()
    CLOSING = auto()
    CLOSING_DEGRADED = auto()
    CLOSED = auto()


class WriterEvent(Enum):
    """What changes the state.

    COMMIT_FAILED: the disk refused a commit, or our own code failed in it.
    REBUILD_STARTED: the store has begun to rebuild a damaged file.
    CAUGHT_UP: a commit succeeded, and every verdict is on disk.
    CLOSE: the daemon stops; the buffered verdicts are written.
    END: the thread has no more work.
    """

    COMMIT_FAILED = auto()
    REBUILD_STARTED = auto()
    CAUGHT_UP = auto()
    CLOSE = auto()
    END = auto()


_S, _E = WriterState, WriterEvent

TRANSITIONS: dict[tuple[WriterState, WriterEvent], WriterState] = {
    (_S.NORMAL, _E.COMMIT_FAILED): _S.DEGRADED,
    (_S.NORMAL, _E.REBUILD_STARTED): _S.RECOVERING,
    (_S.NORMAL, _E.CLOSE): _S.CLOSING,
    (_S.DEGRADED, _E.COMMIT_FAILED): _S.DEGRADED,  # `fault` becomes the newer reason
    (_S.DEGRADED, _E.REBUILD_STARTED): _S.DEGRADED,  # `fault` stays: the disk is the reason
    (_S.DEGRADED, _E.CAUGHT_UP): _S.NORMAL,
    (_S.DEGRADED, _E.CLOSE): _S.CLOSING_DEGRADED,
    (_S.RECOVERING, _E.COMMIT_FAILED): _S.DEGRADED,
    (_S.RECOVERING, _E.REBUILD_STARTED): _S.RECOVERING,  # reported repeatedly while it lasts
    (_S.RECOVERING, _E.CAUGHT_UP): _S.NORMAL,
    (_S.RECOVERING, _E.CLOSE): _S.CLOSING_DEGRADED,
    (_S.CLOSING, _E.COMMIT_FAILED): _S.CLOSING_DEGRADED,
    (_S.CLOSING, _E.REBUILD_STARTED): _S.CLOSING_DEGRADED,
    (_S.CLOSING, _E.CLOSE): _S.CLOSING,
    (_S.CLOSING, _E.END): _S.CLOSED,
    (_S.CLOSING_DEGRADED, _E.COMMIT_FAILED): _S.CLOSING_DEGRADED,
    (_S.CLOSING_DEGRADED, _E.REBUILD_STARTED): _S.CLOSING_DEGRADED,
    (_S.CLOSING_DEGRADED, _E.CAUGHT_UP): _S.CLOSING,
    (_S.CLOSING_DEGRADED, _E.CLOSE): _S.CLOSING_DEGRADED,
    (_S.CLOSING_DEGRADED, _E.END): _S.CLOSED,
    (_S.CLOSED, _E.CLOSE): _S.CLOSED,
}

_DEGRADED = frozenset({_S.DEGRADED, _S.RECOVERING, _S.CLOSING_DEGRADED})
_CLOSING = frozenset({_S.CLOSING, _S.CLOSING_DEGRADED, _S.CLOSED})


class WriterStatus:
    """State and reason. Not safe between threads: the writer's lock protects it."""

    def __init__(self, fault: str = "") -> None:
        """`fault`: why the disk takes no commits at the start; empty: it takes them."""
        self.state = WriterState.DEGRADED if fault else WriterState.NORMAL
        self.fault = fault

    @property
    def degraded(self) -> bool:
        """Whether the disk takes no commits, so that verdicts are sent from memory."""
        return self.state in _DEGRADED

    @property
    def closing(self) -> bool:
        """Whether `close` was called."""
        return self.state in _CLOSING

    def handle(self, event: WriterEvent, reason: str = "") -> bool:
        """Makes the transition. True: the writer has just become degraded.

        reason: why the writer is degraded; for COMMIT_FAILED and REBUILD_STARTED.

        Raises RuntimeError for an illegal pair of state and event: a programming error.
        """
        after = TRANSITIONS.get((self.state, event))
        if after is None:
            raise RuntimeError(f"outbox writer: {event.name} is illegal in {self.state.name}")
        was_degraded = self.degraded
        self.state = after
        if not self.degraded:
            self.fault = ""
        elif event is WriterEvent.COMMIT_FAILED or not was_degraded:
            self.fault = reason
        return self.degraded and not was_degraded
