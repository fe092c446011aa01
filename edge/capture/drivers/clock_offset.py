"""Estimates the offset between a camera's clock and ours, to know how old a frame is."""

_MAX_DRIFT = 2e-4  # seconds a second; a camera's crystal is better
_RESTART_S = 10.0  # a time stamp this far back: the camera was restarted


class ClockOffset:
    """A camera's time stamps come from a clock of their own. The frame with the shortest way to us
    counts as one without delay; every other frame is older by what its way took longer."""

    def __init__(self) -> None:
        self._offset: float | None = None
        self._stamp = self._arrived = 0.0

    def taken(self, stamp_s: float, arrived_tick: float) -> float:
        """When the frame was taken, monotonic seconds, at most `arrived_tick`.

        stamp_s       the camera's time stamp in seconds
        arrived_tick  when the frame arrived, monotonic seconds
        """
        offset = arrived_tick - stamp_s
        if self._offset is None or stamp_s < self._stamp - _RESTART_S:
            self._offset = offset
        else:
            slack = max(0.0, arrived_tick - self._arrived) * _MAX_DRIFT
            self._offset = min(offset, self._offset + slack)
        self._stamp, self._arrived = stamp_s, arrived_tick
        return min(arrived_tick, stamp_s + self._offset)
