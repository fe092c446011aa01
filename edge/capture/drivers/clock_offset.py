"""Estimates the offset between a camera's clock and the clock of the box: the age of a frame."""

_MAX_DRIFT = 2e-4  # seconds per second; a camera's crystal is better
_RESTART_S = 10.0  # a time stamp this far back: the camera was restarted


class ClockOffset:
    """The offset of one camera's clock.

    The frame with the shortest delay so far counts as a frame without delay. Every other frame is
    older by its additional delay.
    """

    def __init__(self) -> None:
        self._offset: float | None = None
        self._stamp = self._arrived = 0.0

    def capture_tick(self, stamp_s: float, arrived_tick: float) -> float:
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
