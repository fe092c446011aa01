"""Draws the random sample of `pass` over simulated days, and compares its size with the binomial
distribution.

    python -m tests.campaigns.evidence_sample --days 200 --passes 20000 --rate 0.005

Each `pass` is drawn as the daemon draws it; some are near a threshold and kept for that reason too.
Exit code 1 when the sum lies outside its 99.9 % limits, when more days lie outside their 95 %
limits than chance allows, or when the sample depends on the score.
"""

import argparse
import sys
from dataclasses import replace

from scipy.stats import binom

from edge.config import ArchiveConfig
from edge.storage.evidence.policy import EvidencePolicy
from tests.support.verdicts import verdict

_SURE = 0.999


def main() -> int:
    """Prints the figures. Exit code 1 when the sample is not a random one."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--days", type=int, default=200)
    parser.add_argument("--passes", type=int, default=20_000, help="a day")
    parser.add_argument("--rate", type=float, default=0.005)
    arguments = parser.parse_args()
    days, passes, rate = arguments.days, arguments.passes, arguments.rate
    policy = EvidencePolicy(ArchiveConfig(enabled=True, pass_sample=rate, near_threshold=0.05))
    near, far = replace(verdict("pass"), score=0.39), replace(verdict("pass"), score=0.1)
    low, high = binom.interval(0.95, passes, rate)
    total = of_near = outside = 0
    for _ in range(days):
        found = 0
        for number in range(passes):
            is_near = number % 4 == 0
            if "sample" in policy.why(near if is_near else far):
                found += 1
                of_near += is_near
        outside += not low <= found <= high
        total += found
    least, most = binom.interval(_SURE, days * passes, rate)
    allowed = binom.ppf(_SURE, days, 0.05)
    near_least, near_most = binom.interval(_SURE, total, 0.25)
    print(
        f"{days} days of {passes} passes at {rate:g}: {total} sampled (99.9 %: {least:.0f} to "
        f"{most:.0f}); {outside} days outside {low:.0f} to {high:.0f} (at most {allowed:.0f}); "
        f"{of_near} near a threshold (99.9 %: {near_least:.0f} to {near_most:.0f})"
    )
    good = least <= total <= most and outside <= allowed and near_least <= of_near <= near_most
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
