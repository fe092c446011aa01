"""The states of the writer: the table in the module's docstring is the one that is enforced."""

import pytest

from edge.storage.outbox import writer_state
from edge.storage.outbox.writer_state import TRANSITIONS, WriterEvent, WriterState, WriterStatus

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


def documented() -> dict[tuple[str, str], str]:
    """The second table of the docstring."""
    names, events = {state.name for state in WriterState}, {event.name for event in WriterEvent}
    words = [line.split() for line in (writer_state.__doc__ or "").splitlines()]
    return {
        (line[0], line[1]): line[2]
        for line in words
        if len(line) >= 3 and line[0] in names and line[1] in events
    }


def test_the_docstring_shows_every_transition() -> None:
    """What a reader sees is what the code allows."""
    enforced = {
        (state.name, event.name): after.name for (state, event), after in TRANSITIONS.items()
    }
    assert documented() == enforced


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
