"""Audits a data set before a training and summarises the audit for the model file."""

from typing import Any

from trainer.audit.examine import AuditOptions, audit_dataset, items_as_split
from trainer.audit.findings import Audit
from trainer.audit.leak_handling import excluded_test_pictures, max_excluded
from trainer.audit.text_report import audit_summary
from trainer.core import Display
from trainer.data import Dataset

_AUDIT_CACHE: dict[tuple[object, ...], Audit] = {}


def audit_training(data: Dataset, display: Display, *, allow_leaks: bool) -> dict[str, Any]:
    """Audits the split data set; returns the summary for the model file.

    Its `set_aside` names test pictures to leave out: see trainer.audit.leak_handling. Raises
    RefusedError when more pictures leak between test and the rest, unless `allow_leaks`; the
    search for copies then ends as soon as this is certain.
    Look-alikes are only reported. Unreadable pictures pass: the training raises the error.
    """
    audit = _audited(data, display, allow_leaks=allow_leaks)
    set_aside = () if allow_leaks else excluded_test_pictures(data, audit)
    if set_aside:
        display.say(
            f"               set aside, because train has the same parts: {', '.join(set_aside)}"
        )
    return summary_for_model(audit, allow_leaks=allow_leaks) | {"set_aside": list(set_aside)}


def _audited(data: Dataset, display: Display, *, allow_leaks: bool) -> Audit:
    """The audit, cached for the same pictures and split: several seeds share one."""
    key = (data.fingerprint(), tuple((one.file, one.set_name, one.group) for one in data.samples))
    found = _AUDIT_CACHE.get(key)
    if found is None or (allow_leaks and found.stopped):
        _AUDIT_CACHE.clear()
        options = AuditOptions(
            ok_label=data.ok_label, max_leaking=None if allow_leaks else max_excluded(data)
        )
        found = audit_dataset(data.root, options, display.stage("audit"), items_as_split(data))
        _AUDIT_CACHE[key] = found
        display.say(audit_summary(found))
    return found


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
