"""The base class of all values that come from outside, and the types of their fields.

A `Model` is a frozen pydantic model: strict types, no unknown keys, all mistakes at once.
edge/core/validation.py turns mistakes into sentences.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Self, TypeVar

import pydantic
from pydantic import BaseModel, BeforeValidator, ConfigDict, GetCoreSchemaHandler, ValidationInfo
from pydantic.annotated_handlers import GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from edge.core.text import faults_of
from edge.core.validation import Problem, ValidationError, problems_of

T = TypeVar("T")


class Model(BaseModel):
    """Values that come from outside. The constructor checks them as well and raises ValueError.

    Strict: "1883" is no number, 1 is not true, 1.0 is no whole number. A subclass checks rules
    between keys with `@model_validator(mode="after")`, which raises ValueError.
    """

    model_config = ConfigDict(
        strict=True,
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        validate_by_alias=True,
        validate_by_name=True,
        hide_input_in_errors=True,  # a value may be a password
        defer_build=True,  # most files name few sections
        protected_namespaces=(),
    )

    @classmethod
    def read(cls, raw: Any, **context: Any) -> Self:
        """Checks dictionaries, lists and plain values under the names that the file uses.

        The field types read `context`, such as the file's folder. Raises edge's ValidationError
        with all mistakes; text that nothing may hold (`edge.core.text`) is reported first.
        """
        unfit = [Problem(loc, "rule", fault) for loc, fault in faults_of(raw)]
        if unfit:
            raise ValidationError(unfit)
        outside = {"outside": True, **context}
        try:
            return cls.model_validate(raw, context=outside, by_alias=True, by_name=False)
        except pydantic.ValidationError as error:
            raise ValidationError(problems_of(error, cls, raw)) from None

    def replace(self, **values: Any) -> Self:
        """A checked copy with other values for some fields. Raises ValueError."""
        return type(self)(**{**dict(self), **values})

    def to_dict(self, *, brief: bool = False) -> dict[str, Any]:
        """The values as JSON and YAML hold them; `read` accepts them. `brief` omits defaults."""
        return self.model_dump(mode="json", by_alias=True, exclude_defaults=brief)

    def given(self, info: ValidationInfo) -> frozenset[str]:
        """The fields that a file or message names. Empty for a model that code constructs."""
        outside = info.context and info.context.get("outside")
        return frozenset(self.model_fields_set if outside else ())


def _list_of(length: int | None) -> Callable[[Any], tuple[Any, ...]]:
    def to_tuple(raw: Any) -> tuple[Any, ...]:
        if not isinstance(raw, (list, tuple)):
            raise PydanticCustomError("list_type", "must be a list")
        if length is not None and len(raw) != length:
            raise PydanticCustomError(
                "list_length", "must be a list of {length}", {"length": length}
            )
        return tuple(raw)

    return to_tuple


# A list in a file, a tuple in memory. JSON and YAML know no tuples.
AnyLength = BeforeValidator(_list_of(None))
Length2 = BeforeValidator(_list_of(2))
Length4 = BeforeValidator(_list_of(4))
Items = Annotated[tuple[T, ...], AnyLength]


@dataclass(frozen=True, slots=True)
class Pattern:
    """A text must match `regex`. `must` completes the sentence "must …"."""

    regex: str
    must: str

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Checks the pattern after the text's other limits."""
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Adds the pattern, for editors."""
        return {**handler(schema), "pattern": f"^{self.regex}$"}

    def _check(self, value: str) -> str:
        if re.fullmatch(self.regex, value) is None:
            raise PydanticCustomError("pattern", "must {must}", {"must": self.must})
        return value
