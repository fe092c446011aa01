"""The states of the outbox's writer, and every legal transition between them.

State               The disk                               A `strict` verdict may be sent
NORMAL              takes commits                          after its commit
DEGRADED            refuses commits                        at once, from memory
RECOVERING          a damaged file is being rebuilt        at once, from memory
CLOSING             takes the last commits                 after its commit
CLOSING_DEGRADED    as DEGRADED or RECOVERING, at the end  at once, from memory
CLOSED              the thread has ended                   no verdict comes any more

State               Event             Next state
NORMAL              COMMIT_FAILED     DEGRADED
NORMAL              REBUILD_STARTED   RECOVERING
NORMAL              CLOSE             CLOSING
DEGRADED            COMMIT_FAILED     DEGRADED          `fault` is the newer reason
DEGRADED            REBUILD_STARTED   DEGRADED          `fault` stays: the disk is the reason
DEGRADED            CAUGHT_UP         NORMAL
DEGRADED            CLOSE             CLOSING_DEGRADED
RECOVERING          COMMIT_FAILED     DEGRADED
RECOVERING          REBUILD_STARTED   RECOVERING        reported repeatedly while it lasts
RECOVERING          CAUGHT_UP         NORMAL
RECOVERING          CLOSE             CLOSING_DEGRADED
CLOSING             COMMIT_FAILED     CLOSING_DEGRADED
CLOSING             REBUILD_STARTED   CLOSING_DEGRADED
CLOSING             CLOSE             CLOSING
CLOSING             END               CLOSED
CLOSING_DEGRADED    COMMIT_FAILED     CLOSING_DEGRADED
CLOSING_DEGRADED    REBUILD_STARTED   CLOSING_DEGRADED
CLOSING_DEGRADED    CAUGHT_UP         CLOSING
CLOSING_DEGRADED    CLOSE             CLOSING_DEGRADED
CLOSING_DEGRADED    END               CLOSED
CLOSED              CLOSE             CLOSED

A `balanced` verdict may be sent at once in every state. Any other pair of state and event is a
programming error.
"""

from enum import Enum, auto


class WriterState(Enum):
    """See the first table of this module."""

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
    CAUGHT_UP: a commit succeeded, and memory holds no verdict that is not on disk.
    CLOSE: the daemon stops; what is held is written.
    END: the thread has nothing more to do.
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
    (_S.DEGRADED, _E.COMMIT_FAILED): _S.DEGRADED,
    (_S.DEGRADED, _E.REBUILD_STARTED): _S.DEGRADED,
    (_S.DEGRADED, _E.CAUGHT_UP): _S.NORMAL,
    (_S.DEGRADED, _E.CLOSE): _S.CLOSING_DEGRADED,
    (_S.RECOVERING, _E.COMMIT_FAILED): _S.DEGRADED,
    (_S.RECOVERING, _E.REBUILD_STARTED): _S.RECOVERING,
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
        """Makes the only legal transition. True: the writer has just become degraded.

        reason: why the writer is degraded; for COMMIT_FAILED and REBUILD_STARTED.

        Raises RuntimeError for a pair that the table does not have.
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
