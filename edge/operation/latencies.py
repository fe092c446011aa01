"""How long each stage took lately."""

import threading
from collections import deque
from collections.abc import Mapping

from edge.percentiles import spread

_KEPT = 1000


class Latencies:
    """The last thousand durations of each stage, in milliseconds. Safe between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stages: dict[str, deque[float]] = {}

    def add(self, stage: str, ms: float) -> None:
        """Notes one duration."""
        self.note({stage: ms})

    def note(self, stages: Mapping[str, float]) -> None:
        """Notes one duration of each."""
        with self._lock:
            for stage, ms in stages.items():
                kept = self._stages.get(stage)
                if kept is None:
                    kept = self._stages[stage] = deque(maxlen=_KEPT)
                kept.append(ms)

    def percentiles(self) -> dict[str, dict[str, float]]:
        """`{stage: {p50, p95, p99}}` in milliseconds."""
        with self._lock:
            copies = {stage: list(values) for stage, values in self._stages.items()}
        return {stage: spread(values, 3) for stage, values in copies.items()}
