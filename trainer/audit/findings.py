"""The findings of an audit as values, for the text, the JSON file and the report."""

from dataclasses import dataclass, field
from typing import Any

SCHEMA = "edge-inspect/audit/1"


@dataclass(frozen=True, slots=True)
class Duplicate:
    """Two pictures that show, or may show, one part.

    - `likeness`: 0 to 1.
    - `exact`: every pixel is equal.
    - `certain`: the pictures cannot show two parts that only look alike.
    - `changed`: they agree nearly everywhere, but one place differs.
    """

    file: str
    other: str
    how: str
    likeness: float
    exact: bool
    certain: bool
    changed: bool
    same_label: bool

    def as_json(self) -> dict[str, Any]:
        """For the JSON file."""
        return {
            "file": self.file,
            "twin": self.other,
            "how": self.how,
            "likeness": round(self.likeness, 3),
            "exact": self.exact,
            "certain": self.certain,
            "changed": self.changed,
            "same_label": self.same_label,
        }


@dataclass(frozen=True, slots=True)
class SuspectedMislabel:
    """A label that the other pictures contradict. `probability` is that of the given label."""

    file: str
    label: str
    likely: str
    probability: float
    why: str

    def as_json(self) -> dict[str, Any]:
        """For the JSON file."""
        return {
            "file": self.file,
            "label": self.label,
            "likely": self.likely,
            "probability": round(self.probability, 4),
            "why": self.why,
        }


@dataclass(frozen=True, slots=True)
class Shortcut:
    """One number of the whole picture that separates a class from the good ones.

    `auroc` is 0 to 1; 0.5 means no separation.
    """

    what: str
    label: str
    auroc: float
    interval: tuple[float, float]

    def as_json(self) -> dict[str, Any]:
        """For the JSON file."""
        low, high = self.interval
        return {
            "what": self.what,
            "label": self.label,
            "auroc": round(self.auroc, 3),
            "interval": [round(low, 3), round(high, 3)],
        }


@dataclass(slots=True)
class Audit:
    """All findings. Lists of dicts have the form of the JSON file and are sorted by file.

    - `counts`: pictures by side, then by label.
    - `lighting`: by label, then by number: lower quartile, median, upper quartile.
    - `look_alikes`: copies or different parts of one design; no other finding uses them.
    - `parts`: inferred parts, each with `files` and `why`.
    - `label_ranking`: the most doubtful label first.
    - `pairs_compared`: pairs whose pictures were compared pixel by pixel.
    - `stopped`: the search for copies ended early, because too many test pictures leak.
    - `thorough_added`: copies that only the thorough search found; None without that search.
    """

    root: str
    pictures: int = 0
    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    unreadable: list[dict[str, Any]] = field(default_factory=list)
    outliers: list[dict[str, Any]] = field(default_factory=list)
    duplicates: list[Duplicate] = field(default_factory=list)
    leaks: list[Duplicate] = field(default_factory=list)
    look_alikes: list[Duplicate] = field(default_factory=list)
    possible_leaks: list[dict[str, Any]] = field(default_factory=list)
    two_labels: list[Duplicate] = field(default_factory=list)
    across_groups: list[Duplicate] = field(default_factory=list)
    parts: list[dict[str, Any]] = field(default_factory=list)
    suspected_mislabels: list[SuspectedMislabel] = field(default_factory=list)
    label_ranking: list[SuspectedMislabel] = field(default_factory=list)
    shortcuts: list[Shortcut] = field(default_factory=list)
    lighting: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    imbalance: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    pairs_compared: int = 0
    stopped: bool = False
    thorough_added: int | None = None
    seconds: float = 0.0

    @property
    def refused(self) -> bool:
        """Whether a leak or an unreadable picture forbids a training."""
        return bool(self.leaks or self.unreadable)

    def as_json(self, *, ranking: bool = False) -> dict[str, Any]:
        """For the JSON file; `ranking` adds the label probability of every picture."""
        found: dict[str, Any] = {
            "schema": SCHEMA,
            "dataset": self.root,
            "pictures": self.pictures,
            "counts": self.counts,
            "unreadable": self.unreadable,
            "odd": self.outliers,
            "duplicates": [duplicate.as_json() for duplicate in self.duplicates],
            "leaks": [duplicate.as_json() for duplicate in self.leaks],
            "look_alikes": [duplicate.as_json() for duplicate in self.look_alikes],
            "possible_leaks": self.possible_leaks,
            "two_labels": [duplicate.as_json() for duplicate in self.two_labels],
            "across_groups": [duplicate.as_json() for duplicate in self.across_groups],
            "parts": self.parts,
            "suspected_mislabels": [doubt.as_json() for doubt in self.suspected_mislabels],
            "giveaways": [giveaway.as_json() for giveaway in self.shortcuts],
            "light": self.lighting,
            "imbalance": self.imbalance,
            "notes": self.notes,
            "pairs_compared": self.pairs_compared,
            "stopped": self.stopped,
            "thorough_added": self.thorough_added,
            "seconds": round(self.seconds, 1),
        }
        if ranking:
            found["label_ranking"] = [doubt.as_json() for doubt in self.label_ranking]
        return found
