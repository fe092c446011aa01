"""The audit of a data set before a training, and what the model file records of it."""

from typing import Any

from trainer.audit.examine import AuditOptions, audit_dataset, items_as_split
from trainer.audit.findings import Audit
from trainer.audit.leak_handling import excluded_test_pictures
from trainer.audit.text_report import audit_summary
from trainer.core import Display
from trainer.data import Dataset

_AUDIT_CACHE: dict[tuple[object, ...], Audit] = {}


def audit_training(data: Dataset, allow_leaks: bool, display: Display) -> dict[str, Any]:
    """The audit of a set as it will be trained on; what the model file records of it.

    `set_aside` in it names test pictures that must not be judged: see trainer.audit.leak_handling.
    Raises RefusedError for more copies between test and the rest than that, unless allowed;
    look-alikes are reported and counted. Unreadable pictures pass here: the training reads them
    and raises an error for each.
    """
    audit = _audited(data, display)
    aside = () if allow_leaks else excluded_test_pictures(data, audit)
    if aside:
        display.say(
            f"               set aside, for their part stands in train too: {', '.join(aside)}"
        )
    return summary_for_model(audit, allow_leaks) | {"set_aside": list(aside)}


def _audited(data: Dataset, display: Display) -> Audit:
    """Once in a process for the same pictures and split: several seeds train on one audit."""
    key = (data.fingerprint(), tuple((one.file, one.set_name, one.group) for one in data.samples))
    if key not in _AUDIT_CACHE:
        _AUDIT_CACHE.clear()
        options = AuditOptions(ok_label=data.ok_label)
        _AUDIT_CACHE[key] = audit_dataset(data.root, options, display.working, items_as_split(data))
        display.say(audit_summary(_AUDIT_CACHE[key]))
    return _AUDIT_CACHE[key]


def summary_for_model(audit: Audit, allow_leaks: bool) -> dict[str, Any]:
    """What a model card says of the data."""
    return {
        "leaks": len(audit.leaks),
        "look_alikes": len(audit.look_alikes),
        "leaks_allowed": bool(audit.leaks) and allow_leaks,
        "leaking": [leak.as_json() for leak in audit.leaks[:20]],
        "possible_leaks": len(audit.possible_leaks),
        "duplicates": len(audit.duplicates),
        "two_labels": len(audit.two_labels),
        "suspected_mislabels": len(audit.suspected_mislabels),
        "giveaways": [giveaway.as_json() for giveaway in audit.shortcuts],
    }
