"""From the time stamps of a camera's own clock to how old a picture is."""

_DRIFT = 2e-4  # no camera's crystal is worse: a lag of one second is remembered for over an hour
_JUMP_S = 10.0  # a stamp that goes back so far: the camera has started anew


class Stamps:
    """A stamp says when a picture was taken, on a clock that has nothing to do with ours. The
    shortest way that any picture took is taken for no delay; what took longer is so much older."""

    def __init__(self) -> None:
        self._offset: float | None = None
        self._stamp = self._arrived = 0.0

    def taken(self, stamp_s: float, arrived_tick: float) -> float:
        """When the picture was taken, monotonic seconds, at most `arrived_tick`.

        `stamp_s` is the camera's stamp in seconds, `arrived_tick` when the picture came.
        """
        offset = arrived_tick - stamp_s
        if self._offset is None or stamp_s < self._stamp - _JUMP_S:
            self._offset = offset
        else:
            slack = max(0.0, arrived_tick - self._arrived) * _DRIFT
            self._offset = min(offset, self._offset + slack)
        self._stamp, self._arrived = stamp_s, arrived_tick
        return min(arrived_tick, stamp_s + self._offset)
