"""Audits a data set before a training and summarises the audit for the model file."""

from typing import Any

from trainer.audit.examine import AuditOptions, audit_dataset, items_as_split
from trainer.audit.findings import Audit
from trainer.audit.leak_handling import excluded_test_pictures
from trainer.audit.text_report import audit_summary
from trainer.core import Display
from trainer.data import Dataset

_AUDIT_CACHE: dict[tuple[object, ...], Audit] = {}


def audit_training(data: Dataset, display: Display, *, allow_leaks: bool) -> dict[str, Any]:
    """Audits the split data set; returns the summary for the model file.

    Its `set_aside` names test pictures to leave out: see trainer.audit.leak_handling. Raises
    RefusedError when more pictures leak between test and the rest, unless `allow_leaks`.
    Look-alikes are only reported. Unreadable pictures pass: the training raises the error.
    """
    audit = _audited(data, display)
    set_aside = () if allow_leaks else excluded_test_pictures(data, audit)
    if set_aside:
        display.say(
            f"               set aside, because train has the same parts: {', '.join(set_aside)}"
        )
    return summary_for_model(audit, allow_leaks=allow_leaks) | {"set_aside": list(set_aside)}


def _audited(data: Dataset, display: Display) -> Audit:
    """The audit, cached for the same pictures and split: several seeds share one."""
    key = (data.fingerprint(), tuple((one.file, one.set_name, one.group) for one in data.samples))
    if key not in _AUDIT_CACHE:
        _AUDIT_CACHE.clear()
        options = AuditOptions(ok_label=data.ok_label)
        _AUDIT_CACHE[key] = audit_dataset(data.root, options, display.working, items_as_split(data))
        display.say(audit_summary(_AUDIT_CACHE[key]))
    return _AUDIT_CACHE[key]


def summary_for_model(audit: Audit, *, allow_leaks: bool) -> dict[str, Any]:
    """The audit in numbers, for the model file."""
    return {
        "leaks": len(audit.leaks),
        "look_alikes": len(audit.look_alikes),
        "leaks_allowed": bool(audit.leaks) and allow_leaks,
        "leaking": [leak.as_json() for leak in audit.leaks[:20]],
        "possible_leaks": len(audit.possible_leaks),
        "duplicates": len(audit.duplicates),
        "two_labels": len(audit.two_labels),
        "suspected_mislabels": len(audit.suspected_mislabels),
        "giveaways": [shortcut.as_json() for shortcut in audit.shortcuts],
    }
