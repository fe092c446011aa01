"""The states of the writer, and the transitions between them."""

import pytest

from edge.storage.outbox.writer_state import TRANSITIONS, WriterEvent, WriterState, WriterStatus

EXPECTED = """
NORMAL            COMMIT_FAILED    DEGRADED
NORMAL            REBUILD_STARTED  RECOVERING
NORMAL            CLOSE            CLOSING
DEGRADED          COMMIT_FAILED    DEGRADED
DEGRADED          REBUILD_STARTED  DEGRADED
DEGRADED          CAUGHT_UP        NORMAL
DEGRADED          CLOSE            CLOSING_DEGRADED
RECOVERING        COMMIT_FAILED    DEGRADED
RECOVERING        REBUILD_STARTED  RECOVERING
RECOVERING        CAUGHT_UP        NORMAL
RECOVERING        CLOSE            CLOSING_DEGRADED
CLOSING           COMMIT_FAILED    CLOSING_DEGRADED
CLOSING           REBUILD_STARTED  CLOSING_DEGRADED
CLOSING           CLOSE            CLOSING
CLOSING           END              CLOSED
CLOSING_DEGRADED  COMMIT_FAILED    CLOSING_DEGRADED
CLOSING_DEGRADED  REBUILD_STARTED  CLOSING_DEGRADED
CLOSING_DEGRADED  CAUGHT_UP        CLOSING
CLOSING_DEGRADED  CLOSE            CLOSING_DEGRADED
CLOSING_DEGRADED  END              CLOSED
CLOSED            CLOSE            CLOSED
"""

PATHS: dict[WriterState, list[WriterEvent]] = {
    WriterState.NORMAL: [],
    WriterState.DEGRADED: [WriterEvent.COMMIT_FAILED],
    WriterState.RECOVERING: [WriterEvent.REBUILD_STARTED],
    WriterState.CLOSING: [WriterEvent.CLOSE],
    WriterState.CLOSING_DEGRADED: [WriterEvent.COMMIT_FAILED, WriterEvent.CLOSE],
    WriterState.CLOSED: [WriterEvent.CLOSE, WriterEvent.END],
}


def status_in(state: WriterState) -> WriterStatus:
    """A status that has come to this state by legal transitions."""
    status = WriterStatus()
    for event in PATHS[state]:
        status.handle(event, "the first reason")
    assert status.state is state
    return status


def test_every_transition_is_as_designed() -> None:
    """The transitions are exactly those of `EXPECTED`: state, event, next state."""
    transitions = [(state.name, event.name, to.name) for (state, event), to in TRANSITIONS.items()]
    assert sorted(transitions) == sorted(tuple(line.split()) for line in EXPECTED.split("\n")[1:-1])


@pytest.mark.parametrize("state", WriterState)
@pytest.mark.parametrize("event", WriterEvent)
def test_only_listed_transitions_happen(state: WriterState, event: WriterEvent) -> None:
    """Any other pair is a programming error and changes nothing."""
    status = status_in(state)
    if (state, event) in TRANSITIONS:
        status.handle(event, "another reason")
        assert status.state is TRANSITIONS[state, event]
        assert bool(status.fault) == status.degraded
    else:
        with pytest.raises(RuntimeError, match=f"{event.name} is illegal in {state.name}"):
            status.handle(event)
        assert status.state is state


def test_the_newest_refusal_is_the_reason() -> None:
    """A rebuild that begins on a refusing disk leaves the reason; a refused commit replaces it."""
    status = WriterStatus()
    assert status.handle(WriterEvent.REBUILD_STARTED, "rebuild")
    assert not status.handle(WriterEvent.REBUILD_STARTED, "rebuild again")
    assert status.fault == "rebuild"
    assert not status.handle(WriterEvent.COMMIT_FAILED, "disk full")
    assert status.fault == "disk full"
    assert not status.handle(WriterEvent.REBUILD_STARTED, "rebuild")
    assert status.fault == "disk full"
    status.handle(WriterEvent.CAUGHT_UP)
    assert status.fault == ""


def test_a_start_on_a_refusing_disk_is_degraded() -> None:
    """The reason is known from the first moment."""
    status = WriterStatus("disk full")
    assert (status.state, status.fault) == (WriterState.DEGRADED, "disk full")
