"""When another version of a model may begin to judge: `models.window`."""

from collections.abc import Callable
from datetime import UTC, datetime

from edge.config import WindowConfig

MOST_PERMIT_S = 86_400.0


class SwitchWindow:
    """Safe between threads."""

    def __init__(
        self,
        config: Callable[[], WindowConfig],
        idle_s: Callable[[], float],
        now: Callable[[], float],
        tick: Callable[[], float],
    ) -> None:
        """
        config  in force
        idle_s  seconds since the last part
        now     seconds since the epoch
        tick    monotonic seconds
        """
        self._config, self._idle_s = config, idle_s
        self._now, self._tick = now, tick
        self._permitted_until = 0.0

    def permit(self, seconds: float) -> None:
        """The plant permits a switch for so long; 0 takes the permit back."""
        self._permitted_until = self._tick() + seconds

    def why_closed(self) -> str | None:
        """What a switch waits for; None: it may take place now."""
        config = self._config()
        missing = []
        if config.idle_s is not None and self._idle_s() < config.idle_s:
            missing.append(f"{config.idle_s:g} s without a part")
        if config.times and not any(map(self._is_in, config.times)):
            missing.append(f"the time of the day ({', '.join(config.times)})")
        if config.permit and self._tick() >= self._permitted_until:
            missing.append("a permit of the plant")
        return " and ".join(missing) or None

    def _is_in(self, span: str) -> bool:
        local = datetime.fromtimestamp(self._now(), UTC).astimezone()
        at = f"{local.hour:02}:{local.minute:02}"
        begin, end = span.split("-")
        return begin <= at < end if begin <= end else at >= begin or at < end
