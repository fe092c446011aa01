"""Describes a data set in a few lines: its pictures by set and class, and synthetic defects."""

from trainer.data.dataset import SET_NAMES, Dataset
from trainer.data.synthetic_set import SYNTHETIC_NOTE, only_synthetic


def is_synthetic(data: Dataset) -> bool:
    """Whether every defect of the data set is synthetic."""
    return only_synthetic((sample.file for sample in data.samples), data.ok_label)


def describe_dataset(data: Dataset) -> str:
    """A table of the pictures and groups in each set."""
    width = max(len("validation"), *map(len, SET_NAMES))
    columns = [max(8, len(label) + 2) for label in data.labels]
    head = "".join(f"{label:>{w}}" for label, w in zip(data.labels, columns))
    lines = [f"data           {data.root}"]
    lines += [f"               {count} of {name}: {path}" for name, path, count in data.sources]
    lines.append(f"{'set':<{width}} {head}  groups")
    for set_name, counts in data.counts().items():
        row = "".join(f"{counts[label]:>{w}}" for label, w in zip(data.labels, columns))
        groups = len({sample.group for sample in data.samples if sample.set_name == set_name})
        lines.append(f"{set_name:<{width}} {row}  {groups:>6}")
    if is_synthetic(data):
        lines.append(f"painted        {SYNTHETIC_NOTE}")
    if data.left_out:
        lines.append(f"left out       {data.left_out}")
    return "\n".join(lines)


def measured_pictures(data: Dataset) -> str:
    """One line that says which pictures of `data` an evaluation measures."""
    tested = len(data.of("test"))
    if tested == len(data.samples):
        return f"measured       all {tested} pictures: the folder has no train/ and test/"
    return f"measured       the test set: {tested} of {len(data.samples)} pictures"
