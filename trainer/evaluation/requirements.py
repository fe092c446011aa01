"""The requirements of a plant: limits of escapes and false rejects, or their costs."""

import math
from dataclasses import asdict, dataclass
from typing import Any, Self

from edge.core.errors import EdgeInspectError


@dataclass(frozen=True, slots=True)
class Requirements:
    """The limits or the costs that a plant states.

    - `max_escape`: the share of defective parts that may pass, above 0 and below 1.
    - `max_false_reject`: the share of good parts that may fail, above 0 and below 1.
    - `escape_cost`, `reject_cost`: above 0, in any currency, per part; both or none, and none
      together with a limit.
    - `defect_share`: the share of defective parts on the line, which weighs the costs; by default
      that of the data set.
    - `allow_unshown`: a limit sets the thresholds although the test set does not show it.

    Raises EdgeInspectError for a contradiction.
    """

    max_escape: float | None = None
    max_false_reject: float | None = None
    escape_cost: float | None = None
    reject_cost: float | None = None
    defect_share: float | None = None
    allow_unshown: bool = False

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
        if self.allow_unshown and not self.has_limits:
            raise EdgeInspectError(
                "--allow-unshown is for a limit; give --max-escape or --max-false-reject with it"
            )

    @property
    def has_limits(self) -> bool:
        """Whether there is a limit that the test set must show."""
        return self.max_escape is not None or self.max_false_reject is not None

    def as_json(self) -> dict[str, float]:
        """The stated values, for `training` in the model's spec."""
        return {name: value for name, value in asdict(self).items() if value not in (None, False)}

    @classmethod
    def from_json(cls, recorded: Any) -> Self:
        """The inverse of `as_json`; other values give no requirements."""
        return cls(**recorded) if isinstance(recorded, dict) else cls()


def parse_share(text: str) -> float:
    """Parses "0.5%" or "0.005", the same share. Raises ValueError with the fix."""
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
