"""The section about the audit, from the complete audit or from its summary in the model."""

from trainer.report.page import paragraph, section, table
from trainer.report.run_data import RunData

MAX_NAMED = 10
KINDS = {
    "unreadable": "pictures that cannot be read",
    "leaks": "pairs that show one part in train and in test",
    "possible_leaks": "pairs that may show one part in train and in test",
    "duplicates": "pictures that are copies of another",
    "two_labels": "pictures that stand under two labels",
    "suspected_mislabels": "labels that look wrong",
}


def audit_section(run_data: RunData) -> str:
    """Counts, the first names of each kind, and giveaways; empty without an audit."""
    found = run_data.audit
    rows, details = [], []
    for key, meaning in KINDS.items():
        entries = found.get(key)
        if isinstance(entries, list):
            rows.append([meaning, f"{len(entries):,}"])
            details += _named(meaning, entries)
        elif isinstance(entries, int) and not isinstance(entries, bool):
            rows.append([meaning, f"{entries:,}"])
    if not rows:
        return ""
    details += _named("the pairs", found.get("leaking", []))
    if found.get("leaks_allowed"):
        details.append(
            paragraph(
                "The same parts are in train and test, which was allowed: every figure here "
                "flatters."
            )
        )
    if found.get("set_aside"):
        details.append(
            paragraph(
                "Train has pictures of the same parts, so these test pictures were set aside and "
                f"are in no figure: {', '.join(map(str, found['set_aside']))}"
            )
        )
    for one in found.get("giveaways", []):
        details.append(
            paragraph(
                f"{one.get('what')} alone separates {one.get('label')} from good parts (AUROC "
                f"{one.get('auroc')}): a network may judge by that and not by the defect."
            )
        )
    return section("Audit", table(["", "found"], rows), *details)


def _named(meaning: str, entries: object) -> list[str]:
    if not isinstance(entries, list) or not entries:
        return []
    more = f" … and {len(entries) - MAX_NAMED} more" if len(entries) > MAX_NAMED else ""
    named = "; ".join(_entry(entry) for entry in entries[:MAX_NAMED])
    return [paragraph(f"{meaning}: {named}{more}", "hint")]


def _entry(entry: object) -> str:
    if not isinstance(entry, dict):
        return str(entry)
    text = str(entry.get("file", entry))
    if entry.get("twin"):
        text += f" = {entry['twin']}"
    return text + (f" ({entry['how']})" if entry.get("how") else "")
