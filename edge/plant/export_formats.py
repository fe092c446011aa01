"""The files beside exported pictures: manifest.csv, pictures.csv, tasks.json. Pure.

- `dataset`: CLASS/FILE and manifest.csv, as edge-train reads it.
- `csv`: pictures/FILE and pictures.csv.
- `label-studio`: pictures/FILE, tasks.json to import and labels.xml, the labelling interface.
"""

import csv
import io
import json
from collections.abc import Sequence
from typing import Any, Literal, get_args
from urllib.parse import quote
from xml.sax.saxutils import quoteattr

from edge.plant.export_plan import BY_MODEL, ExportPicture

ExportFormat = Literal["dataset", "label-studio", "csv"]
EXPORT_FORMATS: tuple[ExportFormat, ...] = get_args(ExportFormat)

_FACTS = ("verdict", "score", "camera", "part", "captured_at")
_COLUMNS = ("file", "label", "group", "labelled_by", "id", *_FACTS, "model", "why", "view")


def picture_target(picture: ExportPicture, form: ExportFormat) -> str:
    """The posix path of a picture in the export."""
    folder = picture.label if form == "dataset" else "pictures"
    return f"{folder}/{picture.name}"


def text_files(
    pictures: Sequence[ExportPicture], form: ExportFormat, folder: str
) -> dict[str, str]:
    """The other files of the export, by name. `folder`: the name of the export's folder."""
    if form == "label-studio":
        tasks = json.dumps([_task(one, folder) for one in pictures], ensure_ascii=False, indent=1)
        return {"tasks.json": f"{tasks}\n", "labels.xml": _interface(pictures)}
    return {"manifest.csv" if form == "dataset" else "pictures.csv": _table(pictures, form)}


def _table(pictures: Sequence[ExportPicture], form: ExportFormat) -> str:
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\n")
    table.writerow(_COLUMNS)
    for one in pictures:
        facts = _facts(one)
        view = one.record.view
        table.writerow(
            (
                picture_target(one, form),
                one.label,
                one.group,
                one.labelled_by,
                one.record.id,
                *(facts[name] for name in _FACTS),
                (facts["model"] or {}).get("sha256"),
                " ".join(one.record.why),
                json.dumps(view) if view else None,
            )
        )
    return out.getvalue()


def _facts(picture: ExportPicture) -> dict[str, Any]:
    """The facts of the verdict; those in the name, when there is no record."""
    record = picture.record
    bare = dict.fromkeys((*_FACTS, "model", "label"))
    named = {"verdict": record.verdict, "camera": record.camera}
    return bare | named | {"captured_at": record.frames[0].captured_at} | (record.result or {})


def _task(picture: ExportPicture, folder: str) -> dict[str, Any]:
    facts = _facts(picture)
    target = quote(f"{folder}/{picture_target(picture, 'label-studio')}")
    task: dict[str, Any] = {
        "data": {
            "image": f"/data/local-files/?d={target}",
            "id": picture.record.id,
            "group": picture.group,
            "why": list(picture.record.why),
            **{name: facts[name] for name in _FACTS},
        }
    }
    if facts["label"] is not None:
        version = (facts["model"] or {}).get("version")
        task["predictions"] = [
            {
                "model_version": version,
                "score": facts["score"],
                "result": [_choice(str(facts["label"]))],
            }
        ]
    if picture.labelled_by != BY_MODEL:
        task["annotations"] = [{"result": [_choice(picture.label)]}]
    return task


def _choice(label: str) -> dict[str, Any]:
    return {
        "from_name": "label",
        "to_name": "image",
        "type": "choices",
        "value": {"choices": [label]},
    }


def _interface(pictures: Sequence[ExportPicture]) -> str:
    labels = {one.label for one in pictures}
    labels |= {str(facts["label"]) for one in pictures if (facts := _facts(one))["label"]}
    choices = "".join(f"    <Choice value={quoteattr(label)}/>\n" for label in sorted(labels))
    return (
        '<View>\n  <Image name="image" value="$image"/>\n'
        '  <Choices name="label" toName="image" choice="single">\n'
        f"{choices}  </Choices>\n</View>\n"
    )
