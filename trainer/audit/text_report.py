"""The text report of an audit: for each kind of finding five examples and the advice."""

from collections.abc import Iterable, Sequence

from trainer.audit.findings import Audit, Duplicate

MAX_SHOWN = 5


def audit_text(audit: Audit) -> str:
    """The report for a terminal or a log; the JSON file has all findings."""
    blocks = [_head(audit), *_pair_blocks(audit), *_picture_blocks(audit)]
    shown = [block for block in blocks if block]
    if len(shown) == 1:
        shown.append("nothing found that would make figures untrue")
    return "\n\n".join(shown)


def _pair_blocks(audit: Audit) -> list[str]:
    """Pictures that show one part, or may show it."""
    return [
        _block(
            f"UNREADABLE: {len(audit.unreadable)}",
            "take or copy these pictures again, or remove them",
            (f"{one['file']}: {one['reason']}" for one in audit.unreadable),
        ),
        _block(
            f"LEAKS between train and test: {len(audit.leaks)} pairs",
            "move all pictures of a part to one side: figures on parts that were trained on "
            "prove nothing",
            map(_duplicate, audit.leaks),
        ),
        _block(
            f"possible leaks, by file name only: {len(audit.possible_leaks)}",
            "if the names mean parts, say so in manifest.csv; `--suggest FILE` writes a beginning",
            (f"{one['file']}  ~  {one['twin']}: {one['how']}" for one in audit.possible_leaks),
        ),
        _block(
            f"two labels on indistinguishable pictures: {len(audit.two_labels)} pairs",
            "one of the labels may be wrong: look at them, and decide",
            map(_duplicate, audit.two_labels),
        ),
        _block(
            f"copies, or indistinguishable parts: {len(audit.duplicates)} pairs, "
            f"{sum(one.exact for one in audit.duplicates)} of them equal in every pixel",
            "remove equal ones; give the others one group in manifest.csv",
            map(_duplicate, audit.duplicates),
        ),
        _block(
            f"the same in different groups of the manifest: {len(audit.across_groups)} pairs",
            "if they show one part, give them one group",
            map(_duplicate, audit.across_groups),
        ),
        _block(
            f"look-alikes: {len(audit.look_alikes)} pairs, copies or parts of one design",
            "look at those between train and test first; all are in the JSON file (--json FILE)",
            map(_duplicate, audit.look_alikes),
        ),
    ]


def _picture_blocks(audit: Audit) -> list[str]:
    """Doubtful labels, odd pictures and the balance of the set."""
    return [
        _block(
            f"suspected wrong labels: {len(audit.suspected_mislabels)}, most doubtful first",
            "look at each; move the wrong ones. Not every one is",
            (
                f"{one.file}: looks like {one.likely!r} (given {one.label!r} at "
                f"{one.probability:.1%}); {one.why}"
                for one in audit.suspected_mislabels
            ),
        ),
        _block(
            f"odd pictures: {len(audit.outliers)}",
            "an icon, a crop or another camera? remove it, or export it like the others",
            (f"{one['file']}: {one['kind']}, {one['reason']}" for one in audit.outliers),
        ),
        _block(
            f"a classifier could cheat: {len(audit.shortcuts)} giveaways",
            "photograph both classes under the same conditions; or know that this is how the "
            "defect shows",
            (
                f"{one.what} alone separates {one.label!r} from good parts, AUROC {one.auroc:.2f}"
                for one in audit.shortcuts
            ),
        ),
        _block("class balance", "collect more of the rare ones", audit.imbalance),
        _block(
            f"copies between train and validation: {len(audit.notes)}",
            "give them one group in manifest.csv",
            audit.notes,
        ),
    ]


def audit_summary(audit: Audit) -> str:
    """Two lines for the log of a training: the number of findings by kind."""
    counted: dict[str, Sequence[object]] = {
        "unreadable": audit.unreadable,
        "leaks": audit.leaks,
        "possible leaks by name": audit.possible_leaks,
        "indistinguishable pairs": audit.duplicates,
        "of these, two labels": audit.two_labels,
        "look-alikes": audit.look_alikes,
        "doubtful labels": audit.suspected_mislabels,
        "odd pictures": audit.outliers,
        "giveaways": audit.shortcuts,
    }
    found = [f"{len(what)} {name}" for name, what in counted.items() if what]
    summary = ", ".join(found) or "nothing found that would make figures untrue"
    if audit.stopped:
        summary += "; the search ended early, because too many test pictures leak"
    return (
        f"audit          {audit.pictures} pictures in {audit.seconds:.0f} s: {summary}\n"
        f"               to see them: edge-train audit {audit.root}"
    )


def _head(audit: Audit) -> str:
    lines = [f"audit          {audit.root}: {audit.pictures} pictures in {audit.seconds:.0f} s"]
    for side, row in audit.counts.items():
        counted = ", ".join(f"{label} {count}" for label, count in row.items())
        lines.append(f"{side:<14} {counted}")
    if audit.parts:
        inside = sum(len(part["files"]) for part in audit.parts)
        lines.append(f"parts          {len(audit.parts)} with more than one picture ({inside})")
    if audit.thorough_added is not None:
        lines.append(
            f"thorough       {audit.pairs_compared} pairs compared pixel by pixel; "
            f"{audit.thorough_added} copies more than the usual audit finds"
        )
    for label, numbers in audit.lighting.items():
        summary = ", ".join(
            f"{name} {numbers[name][1]:.3g}" for name in ("brightness", "contrast", "focus")
        )
        lines.append(f"{label:<14} median {summary}")
    return "\n".join(lines)


def _block(title: str, advice: str, lines: Iterable[str] | Sequence[str]) -> str:
    every = list(lines)
    if not every:
        return ""
    rest = len(every) - MAX_SHOWN
    more = [f"  … and {rest} more"] if rest > 0 else []
    return "\n".join([title, *(f"  {line}" for line in every[:MAX_SHOWN]), *more, f"  → {advice}"])


def _duplicate(duplicate: Duplicate) -> str:
    return f"{duplicate.file}  =  {duplicate.other}: {duplicate.how}"
