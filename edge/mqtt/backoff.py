"""How long to wait before the next attempt to connect."""

import random


class Backoff:
    """Decorrelated jitter: pause = min(cap, uniform(base, 3 × the pause before)), so that forty
    boxes do not all come back in the same second."""

    def __init__(self, base_s: float, cap_s: float, rng: random.Random | None = None) -> None:
        self._base, self._cap = base_s, cap_s
        self._rng = rng or random.Random()
        self._pause = base_s

    def next(self) -> float:
        """Seconds to wait now."""
        self._pause = min(self._cap, self._rng.uniform(self._base, self._pause * 3))
        return self._pause

    def reset(self) -> None:
        """After success: the next failure waits only the base again."""
        self._pause = self._base
