"""What a plant states: how much may escape, how much may fail in vain, or what each costs."""

import math
from dataclasses import asdict, dataclass
from typing import Any, Self

from edge.core.errors import EdgeInspectError


@dataclass(frozen=True, slots=True)
class Requirements:
    """Shares are above 0 and below 1; costs are above 0, in any currency, per part.

    `max_escape`: of the defective parts, how many may pass. `max_false_reject`: of the good parts,
    how many may fail. The costs are given both or not at all, and not beside a limit.
    `defect_share` is the share of defective parts on the line, which costs need: without it, the
    data set's. Raises EdgeInspectError for what contradicts itself.
    """

    max_escape: float | None = None
    max_false_reject: float | None = None
    escape_cost: float | None = None
    reject_cost: float | None = None
    defect_share: float | None = None

    def __post_init__(self) -> None:
        for option, share in (
            ("--max-escape", self.max_escape),
            ("--max-false-reject", self.max_false_reject),
            ("--defect-share", self.defect_share),
        ):
            if share is not None and not 0 < share < 1:
                raise EdgeInspectError(f"{option} {share}: give a share above 0 % and below 100 %")
        costs = self.escape_cost, self.reject_cost
        if (costs[0] is None) != (costs[1] is None):
            raise EdgeInspectError(
                "--escape-cost and --reject-cost are weighed against each other; give both"
            )
        if any(cost is not None and not (cost > 0 and math.isfinite(cost)) for cost in costs):
            raise EdgeInspectError(f"costs {costs[0]} and {costs[1]}: each must be above 0")
        if costs[0] is not None and self.has_limits:
            raise EdgeInspectError(
                "--escape-cost and --reject-cost say where the line lies, and so do --max-escape "
                "and --max-false-reject; give the one or the other"
            )
        if self.defect_share is not None and costs[0] is None:
            raise EdgeInspectError(
                "--defect-share only weighs costs; give --escape-cost and --reject-cost with it"
            )

    @property
    def has_limits(self) -> bool:
        """Whether a limit was stated that the test set must show."""
        return self.max_escape is not None or self.max_false_reject is not None

    def as_json(self) -> dict[str, float]:
        """What was stated, and only that; for `training` in the model's spec."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    @classmethod
    def from_json(cls, recorded: Any) -> Self:
        """Back from `as_json`; anything else means nothing was stated."""
        return cls(**recorded) if isinstance(recorded, dict) else cls()


def parse_share(text: str) -> float:
    """ "0.5%" and "0.005" are the same share. Raises ValueError saying what is wanted."""
    cleaned = text.strip().replace("%", "").strip()
    try:
        value = float(cleaned)
    except ValueError:
        raise ValueError(f"{text!r} is no share; write 0.5% or 0.005") from None
    if text.strip().endswith("%"):
        value /= 100
    if not 0 < value < 1:
        raise ValueError(f"{text!r} is not above 0 % and below 100 %; write 0.5% or 0.005")
    return value
