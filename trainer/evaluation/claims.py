"""The claims about a model that the test set supports, and the refusal of a model without them."""

import math
from dataclasses import dataclass
from typing import Any

from edge.core.errors import RefusedError
from trainer.evaluation.rates import Rate, percent, pictures_needed
from trainer.evaluation.requirements import Requirements

_ESCAPE = ("--max-escape", "escapes", "defects")
_REJECT = ("--max-false-reject", "false rejects", "good pictures")


@dataclass(frozen=True, slots=True)
class Claim:
    """The one-sided 95 % bound of a rate on the test set, against the plant's limit."""

    option: str
    event: str
    population: str
    observed: Rate
    limit: float | None

    @property
    def holds(self) -> bool:
        """Whether the test set shows the limit; true without a limit."""
        return self.limit is None or self.observed.at_most <= self.limit

    def as_text(self) -> str:
        """ "0 escapes in 81 defects: at most 3.6 % at 95 %"."""
        fewer = ""
        if self.observed.n - self.observed.independent >= 1:
            fewer = f" (several of one part: they count as {self.observed.independent:.0f})"
        event = self.event.removesuffix("s") if self.observed.k == 1 else self.event
        return (
            f"{self.observed.k} {event} in {self.observed.n} {self.population}{fewer}: "
            f"at most {percent(self.observed.at_most)} at 95 %"
        )

    def refusal(self) -> str | None:
        """Why the test set does not show the limit, with the fix; None when it does."""
        if self.limit is None or self.holds:
            return None
        return (
            f"{self.option} {percent(self.limit)} is not shown: {self.as_text()}; {self._advice()}"
        )

    def _advice(self) -> str:
        assert self.limit is not None
        enough = pictures_needed(self.limit)
        if self.observed.independent < enough:
            return (
                f"it needs {enough:,} {self.population} of different parts in test with 0 "
                f"{self.event}; add pictures of other parts, or set a limit that they can show"
            )
        count = math.ceil(self.observed.k * self.observed.independent / self.observed.n)
        return (
            f"with {count} {self.event} it needs {pictures_needed(self.limit, count):,} "
            f"{self.population} of different parts; take a better network or a wider review band"
        )

    def as_json(self) -> dict[str, Any]:
        """For `claims` in inspection.json."""
        return {
            "text": self.as_text(),
            "at_most": self.observed.at_most,
            "limit": self.limit,
            "holds": self.holds,
        }


@dataclass(frozen=True, slots=True)
class Claims:
    """The claims about escapes and about false rejects.

    `allow_unshown`: a limit that the test set does not show is no reason to refuse the model.
    """

    escape: Claim
    false_reject: Claim
    allow_unshown: bool = False

    def unshown(self) -> list[str]:
        """A sentence for each limit that the test set does not show."""
        found = (self.escape.refusal(), self.false_reject.refusal())
        return [reason for reason in found if reason is not None]

    def refusals(self) -> list[str]:
        """The reasons to refuse the model."""
        return [] if self.allow_unshown else self.unshown()

    def as_json(self) -> dict[str, Any]:
        """For `claims` in inspection.json."""
        return {"escape": self.escape.as_json(), "false_reject": self.false_reject.as_json()}


def make_claims(escapes: Rate, false_rejects: Rate, requirements: Requirements) -> Claims:
    """Compares the two rates of the test set with the requirements."""
    return Claims(
        Claim(*_ESCAPE, escapes, requirements.max_escape),
        Claim(*_REJECT, false_rejects, requirements.max_false_reject),
        requirements.allow_unshown,
    )


def check_demonstrable(requirements: Requirements, n_ok: int, n_defect: int) -> None:
    """Raises RefusedError when no model could show the requirements on this test set.

    `n_ok` and `n_defect` are the numbers of test pictures. The best case is that none of them
    fails.
    """
    if requirements.allow_unshown:
        return
    reasons = []
    for (option, event, population), limit, n in (
        (_ESCAPE, requirements.max_escape, n_defect),
        (_REJECT, requirements.max_false_reject, n_ok),
    ):
        if limit is not None and n < (enough := pictures_needed(limit)):
            best = percent(1 - 0.05 ** (1 / n)) if n else "100 %"
            reasons.append(
                f"{option} {percent(limit)} cannot be shown: even 0 {event} in the {n} "
                f"{population} of the test set mean at most {best} at 95 %; it needs {enough:,} "
                f"{population} with 0 {event}"
            )
    if reasons:
        raise RefusedError(
            "; ".join(reasons) + "; add pictures of other parts, or set a limit that they can show"
        )
