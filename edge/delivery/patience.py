"""For how long the publisher's thread may sleep when nothing comes."""

from edge.delivery.flight import Flight
from edge.delivery.inbox import BEAT_S
from edge.delivery.presence import Presence

_CLOSING_S = 1.0  # so often the end is looked for, besides when something comes
_LEAST_S = 0.01


def patience_s(
    now: float, flight: Flight, presence: Presence, closing: tuple[float, str] | None
) -> float:
    """Seconds until there is something to do besides rows. `now` is monotonic seconds; `closing` is
    when the connection is closed, and why; None: it is not to be."""
    due = [BEAT_S, flight.overdue_in_s(now)]
    if flight.room:
        due.append(presence.due_in_s(now))
    if closing is not None:
        due += [_CLOSING_S, closing[0] - now]
    return max(_LEAST_S, min(due))
