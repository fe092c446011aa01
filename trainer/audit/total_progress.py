"""The progress of a whole audit as one number, so that a bar can estimate the total time.

Steps take different times an entry, and the number of pairs is unknown until the search is done.
So each step has an expected share of the time, and the share follows the true number once known.
"""

from collections.abc import Callable

Report = Callable[[str, int, int], None]

PARTS = 1000  # of the whole
SPLIT = " across the split"

# Step: expected entries a picture, milliseconds of processor an entry.
STEPS = {
    "reading pictures": (1.0, 14.0),
    "searching copies": (0.01, 250.0),
    f"comparing pairs{SPLIT}": (2.5, 1.5),
    f"aligning pairs{SPLIT}": (0.8, 6.0),
    f"looking closer{SPLIT}": (0.5, 12.0),
    "comparing pairs": (4.0, 1.5),
    "aligning pairs": (1.2, 6.0),
    "looking closer": (1.0, 12.0),
    "comparing look-alikes": (0.05, 2.0),
    "checking labels": (1.0, 2.0),
}
REPEATED = ("searching", "comparing pairs", "aligning", "looking")  # by the thorough search
THOROUGH = ", thorough"


class TotalProgress:
    """Turns the progress of the steps into `report(step, done, PARTS)`."""

    def __init__(self, report: Report, pictures: int, *, thorough: bool = False) -> None:
        self._report = report
        again = [name for name in STEPS if name.startswith(REPEATED)] if thorough else []
        steps = STEPS | {f"{name}{THOROUGH}": STEPS[name] for name in again}
        self._cost = {name: cost for name, (_, cost) in steps.items()}
        self._total = {name: entries * pictures for name, (entries, _) in steps.items()}
        self._done = dict.fromkeys(steps, 0)
        self._reported = 0

    def step(self, name: str) -> Callable[[int, int], None]:
        """The progress of one step, a function of the entries done and of all entries.

        A step may run twice; its entries then add up.
        """
        before = self._done[name]

        def report(done: int, total: int) -> None:
            self._done[name], self._total[name] = before + done, before + total
            whole = sum(self._total[step] * cost for step, cost in self._cost.items())
            past = sum(self._done[step] * cost for step, cost in self._cost.items())
            self._reported = max(self._reported, int(PARTS * past / (whole or 1)))
            self._report(name, self._reported, PARTS)

        return report
