"""Simulated probations: how often a version goes back that judges as the one before, and how soon
a worse one does.

    python -m tests.campaigns.probation_returns --probations 10000

The past, the rates and the rule are those of the daemon; only the verdicts are drawn. Exit code 1
when the upper 95 % limit (Clopper and Pearson) of the rate of false returns is above the stated
one, or when less than 95 % of the worse versions go back.
"""

import argparse
import statistics
import sys
from dataclasses import dataclass

import numpy as np

from edge.models import Probation, ProbationRecord
from edge.plant.beta_quantile import beta_quantile
from edge.plant.past_rates import PastRates, is_slow, rates_of

OUTCOMES = ("pass", "review", "error", "fail")
_PARTS, _STATED = 500, 0.01  # the defaults of config.yaml
_REQUIRED = 0.95  # of the worse versions


@dataclass(frozen=True, slots=True)
class Version:
    """How a version judges a line. `rates`: of OUTCOMES; the latency is lognormal."""

    rates: tuple[float, float, float, float]
    median_ms: float = 12.0
    spread: float = 0.3

    def verdicts(self, count: int, rng: np.random.Generator) -> list[tuple[str, float]]:
        """Outcomes with their latencies."""
        outcomes = rng.choice(len(OUTCOMES), size=count, p=self.rates)
        times = rng.lognormal(np.log(self.median_ms), self.spread, count)
        return [(OUTCOMES[one], float(ms)) for one, ms in zip(outcomes, times, strict=True)]


@dataclass(frozen=True, slots=True)
class Case:
    """A line and its new version."""

    name: str
    before: Version
    now: Version
    past: int = 2000
    stated: float = _STATED


USUAL = Version((0.9, 0.04, 0.01, 0.05))
RARE = Version((0.9965, 0.002, 0.0005, 0.001))
MIXED = Version((0.5, 0.1, 0.01, 0.39))
TAILED = Version((0.9, 0.04, 0.01, 0.05), spread=1.0)
GOOD = (
    Case("the usual line", USUAL, USUAL),
    Case("hardly any defects", RARE, RARE),
    Case("two in five are defective", MIXED, MIXED),
    Case("latency with a long tail", TAILED, TAILED),
    Case("a past of 60 verdicts", TAILED, TAILED, past=60),
    Case("a stated rate of 5 %", USUAL, USUAL, stated=0.05),
)
WORSE = (
    Case("shuffled labels", USUAL, Version((0.5, 0.24, 0.01, 0.25))),
    Case("other light", USUAL, Version((0.78, 0.16, 0.01, 0.05))),
    Case("swapped thresholds", USUAL, Version((0.05, 0.04, 0.01, 0.9))),
    Case("faults", USUAL, Version((0.82, 0.03, 0.1, 0.05))),
    Case("passes everything", USUAL, Version((1.0, 0.0, 0.0, 0.0))),
    Case("three times as slow", USUAL, Version(USUAL.rates, median_ms=36.0)),
    Case("hardly any defects, then 4 %", RARE, Version((0.955, 0.004, 0.001, 0.04))),
)


def returned_after(case: Case, rng: np.random.Generator) -> int | None:
    """The number of parts after which the version goes back; None: it stays."""
    past = PastRates.among(case.before.verdicts(case.past, rng))
    probation = Probation.of(
        ProbationRecord(
            name="simulated",
            sha256="0" * 64,
            at="",
            parts=_PARTS,
            false_returns=case.stated,
            past_parts=past.parts,
            past_hits=past.hits,
        )
    )
    for outcome, ms in case.now.verdicts(_PARTS, rng):
        rates = rates_of(outcome, slow=is_slow(ms, past.slow_ms))
        if probation.count(rates) is not None:
            return probation.seen
    return None


def good(case: Case, probations: int, rng: np.random.Generator) -> bool:
    """Prints a row of a version that judges as before. Whether the stated rate holds."""
    false = sum(returned_after(case, rng) is not None for _ in range(probations))
    upper = beta_quantile(0.95, false + 1, probations - false) if false < probations else 1.0
    print(f"| {case.name} | {case.stated:.0%} | {false} | {upper:.2%} |", flush=True)
    return upper <= case.stated


def worse(case: Case, probations: int, rng: np.random.Generator) -> bool:
    """Prints a row of a worse version. Whether enough of them go back."""
    after = [returned_after(case, rng) for _ in range(probations)]
    parts = sorted(one for one in after if one is not None)
    share = len(parts) / probations
    median = f"{statistics.median(parts):.0f}" if parts else "-"
    print(f"| {case.name} | {share:.1%} | {median} |", flush=True)
    return share >= _REQUIRED


def main() -> int:
    """Prints both tables. Exit code 1 when a promise does not hold."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--probations", type=int, default=10_000, help="of each good version")
    parser.add_argument("--worse", type=int, default=500, help="probations of each worse version")
    parser.add_argument("--seed", type=int, default=23)
    arguments = parser.parse_args()
    rng = np.random.default_rng(arguments.seed)
    print(f"| judges as before | stated | sent back of {arguments.probations} | upper limit |")
    print("|---|---|---|---|")
    kept = [good(case, arguments.probations, rng) for case in GOOD]
    print("\n| judges worse | sent back | after parts (median) |")
    print("|---|---|---|")
    kept += [worse(case, arguments.worse, rng) for case in WORSE]
    return 0 if all(kept) else 1


if __name__ == "__main__":
    sys.exit(main())
