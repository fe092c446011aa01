"""The estimate of the running line: counts of the history and labels of people, put together.

The statistics are in estimate.py. Here: which verdicts and labels count.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from edge.plant.estimate import estimate_rates
from edge.plant.estimate_values import Estimate, LabelCounts, LabelledPass
from edge.storage import Label

_NEVER = 2.0**36  # seconds since the epoch; the year 4147


class Counts(Protocol):
    """The counts of the history."""

    def passes_by_sample_rate(
        self, since: float, until: float, model_sha256: str | None = None
    ) -> dict[float, int]:
        """How many `pass` verdicts were made at each sampling rate."""
        ...

    def counts_by_verdict(
        self, since: float, until: float, model_sha256: str | None = None
    ) -> dict[str, int]:
        """How many verdicts there were of each kind."""
        ...


@dataclass(frozen=True, slots=True)
class LineEstimate:
    """Both rates of the line.

    - `since`: seconds since the epoch.
    - `models`: by sha256, those of which parts were labelled.
    - `skipped_samples`: pictures of the random sample that were not kept since the daemon started;
      None: no daemon answers.
    """

    since: float | None
    whole: Estimate
    models: Mapping[str, Estimate]
    skipped_samples: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """For JSON, with the sentences for a terminal."""
        return {
            "since": self.since,
            **self.whole.as_json(),
            "skipped_samples": self.skipped_samples,
            "sentences": [*self.whole.sentences(), *self._on_skipped()],
            "models": {
                model: {**one.as_json(), "sentences": one.sentences()}
                for model, one in self.models.items()
            },
        }

    def _on_skipped(self) -> list[str]:
        if not self.skipped_samples:
            return []
        sentence = (
            f"skipped        {self.skipped_samples:,} pictures of the random sample were not kept "
            "since the daemon started: too many came at once, or the disk refused. Their content "
            "had no influence on that: there are fewer looks, and the rates stand"
        )
        return [sentence]


def estimate_line(
    counts: Counts,
    labels: Iterable[Label],
    ok_label: str,
    since: float | None,
    skipped_samples: int | None = None,
) -> LineEstimate:
    """The estimate from `since` to now. `ok_label`: the label of good parts. `skipped_samples`: as
    in `LineEstimate`."""
    labelled = [label for label in labels if since is None or _captured(label) >= since]
    models = sorted({label.model for label in labelled if label.model})
    return LineEstimate(
        since,
        _estimate(counts, labelled, ok_label, since, None),
        {
            model: _estimate(
                counts, [one for one in labelled if one.model == model], ok_label, since, model
            )
            for model in models
        },
        skipped_samples,
    )


def _captured(label: Label) -> float:
    if label.captured_at is None:
        return 0.0
    return datetime.fromisoformat(label.captured_at).timestamp()


def _estimate(
    counts: Counts,
    labels: Sequence[Label],
    ok_label: str,
    since: float | None,
    model: str | None,
) -> Estimate:
    span = since or 0.0, _NEVER
    parts = counts.counts_by_verdict(*span, model)
    looks = [
        LabelledPass(label.pass_sample, label.label != ok_label)
        for label in labels
        if label.verdict == "pass" and label.sampled and label.pass_sample
    ]

    def judged(verdict: str) -> LabelCounts:
        good = sum(one.label == ok_label for one in labels if one.verdict == verdict)
        looked = sum(one.verdict == verdict for one in labels)
        return LabelCounts(max(looked, parts.get(verdict, 0)), good, looked - good)

    return estimate_rates(
        counts.passes_by_sample_rate(*span, model), looks, judged("fail"), judged("review")
    )
