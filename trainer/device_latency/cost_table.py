"""The cost table of a box: the cost of each kind of operator, and its file format."""

import json
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from edge.core.errors import EdgeInspectError
from edge.core.record import Items, Length2, Model, Pattern
from edge.core.terms import Kernels
from edge.core.validation import ValidationError
from trainer.device_latency.operator_work import CONVOLVING, OperatorWork

SCHEMA: Literal["edge-inspect/figures/1"] = "edge-inspect/figures/1"
PUBLISHED = {"pi4": "Raspberry Pi 4", "pi5": "Raspberry Pi 5"}

Cost = Annotated[float, Field(ge=0, le=1e9)]
Spread = Annotated[float, Field(ge=0, le=10)]
Tile = Annotated[int, Field(ge=1, le=1024)]
Dtype = Literal["int8", "float32"]


class OperatorPrice(Model):
    """The cost of one kind of operator.

    - `call_us`: microseconds a call.
    - `multiply_add_ps`: picoseconds a multiply-add. Channels are rounded up to `tile` (out, in),
      because a processor computes several at once.
    - `value_ns`: nanoseconds a value. Values are the outputs of an operator with multiply-adds,
      else all numbers read and written.
    """

    call_us: Cost
    multiply_add_ps: Cost = 0.0
    value_ns: Cost = 0.0
    tile: Annotated[tuple[Tile, Tile], Length2] = (1, 1)

    def microseconds(self, work: OperatorWork) -> float:
        """The time of one operator, in microseconds."""
        outer, inner = self.tile
        values = work.values
        if work.kind in CONVOLVING:
            values = work.output_pixels * -(-work.channels_out // outer) * outer
        multiplying = work.padded(outer, inner) * self.multiply_add_ps / 1e6
        return self.call_us + multiplying + values * self.value_ns / 1e3

    def times(self, factor: float) -> "OperatorPrice":
        """A copy with all costs multiplied by `factor`."""
        return self.replace(
            call_us=round(self.call_us * factor, 4),
            multiply_add_ps=round(self.multiply_add_ps * factor, 4),
            value_ns=round(self.value_ns * factor, 5),
        )


class Publication(Model):
    """A source of published figures: title, year, and the part of it that was used."""

    title: str
    year: int
    used: str


class CostTable(Model):
    """The costs on one box, one thread, by kernels, number type and kind of operator.

    `spread` is the share by which whole networks differed from their estimates. 0.2 means that a
    network may take 1.2 times as long, or be faster by the same factor.
    """

    schema_: Annotated[Literal["edge-inspect/figures/1"], Field(alias="schema")] = SCHEMA
    box: Annotated[str, Field(min_length=1, max_length=200)]
    origin: Literal["measured", "published"]
    made: Annotated[str, Pattern(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", "be a date, YYYY-MM-DD")]
    runtime: Annotated[str, Field(max_length=200)] = ""
    spread: dict[Kernels, dict[Dtype, Spread]]
    invoke_us: Cost
    prices: dict[Kernels, dict[Dtype, dict[str, OperatorPrice]]]
    sources: Items[Publication] = ()

    def price(self, kernels: Kernels, work: OperatorWork) -> OperatorPrice | None:
        """The price of an operator; None when the table has none."""
        if work.kind == "free":
            return OperatorPrice(call_us=0.0)
        of_type: dict[Any, dict[str, OperatorPrice]] = dict(self.prices.get(kernels, {}))
        return of_type.get(work.dtype, {}).get(work.kind)

    def spread_of(self, kernels: Kernels, dtype: str) -> float:
        """The spread for these kernels and this type; the largest of the table when it has none."""
        of_type: dict[str, float] = dict(self.spread.get(kernels, {}))  # type: ignore[arg-type]
        every = [share for known in self.spread.values() for share in known.values()]
        return of_type.get(dtype, max(every, default=0.0))

    @property
    def provenance(self) -> str:
        """Where the figures come from, in a few words."""
        if self.origin == "measured":
            return f"measured there on {self.made}"
        return "from published measurements, not from a box of ours"

    def as_json(self) -> str:
        """The content of the file."""
        return json.dumps(self.to_dict(), indent=1, ensure_ascii=False) + "\n"


def find_cost_table(name: str) -> CostTable:
    """The table of `pi4` or `pi5`, else of the file `name`. Raises EdgeInspectError."""
    if name in PUBLISHED:
        text = (resources.files("trainer.device_latency") / f"{name}.json").read_text("utf-8")
        return parse_cost_table(text, f"{name}.json")
    path = Path(name)
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise EdgeInspectError(
            f"--on {name}: is none of {', '.join(PUBLISHED)} and this, and no file that can be "
            f"read ({reason}); on the box run: edge-convert figures -o {path.stem or 'box'}.json"
        ) from None
    return parse_cost_table(text, name)


def parse_cost_table(text: str, name: str) -> CostTable:
    """Parses a cost table. Raises EdgeInspectError with place, value and fix."""
    try:
        return CostTable.read(json.loads(text))
    except json.JSONDecodeError as error:
        raise EdgeInspectError(
            f"{name}:{error.lineno}:{error.colno}: no JSON ({error.msg}); "
            f"measure it again on the box: edge-convert figures -o {Path(name).name}"
        ) from None
    except ValidationError as error:
        first = error.problems[0]
        raise EdgeInspectError(
            f"{name}: {first.key or 'the whole file'}: {first.sentence}; "
            f"measure it again on the box: edge-convert figures -o {Path(name).name}"
        ) from None
