"""The base class of everything that is read from outside, and the types that its fields use.

A `Model` is a frozen pydantic model: strict types, no unknown keys, every mistake at once.
Mistakes become sentences in edge/core/validation.py.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Self, TypeVar

import pydantic
from pydantic import BaseModel, BeforeValidator, ConfigDict, GetCoreSchemaHandler, ValidationInfo
from pydantic.annotated_handlers import GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from edge.core.validation import ValidationError, problems_of

T = TypeVar("T")


class Model(BaseModel):
    """Values that come from outside. The constructor checks them too, and raises ValueError.

    Strict: "1883" is no number, 1 is not true, 1.0 is no whole number. A subclass checks rules
    between its keys with `@model_validator(mode="after")`, which raises ValueError.
    """

    model_config = ConfigDict(
        strict=True,
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        validate_by_alias=True,
        validate_by_name=True,
        hide_input_in_errors=True,  # a value may be a password
        defer_build=True,  # of its sections a file names a few
        protected_namespaces=(),
    )

    @classmethod
    def read(cls, raw: Any, **context: Any) -> Self:
        """From dictionaries, lists and plain values, by the names that the file uses.

        `context` is for the types of the fields, such as the folder of the file. Raises our
        ValidationError with every mistake.
        """
        outside = {"outside": True, **context}
        try:
            return cls.model_validate(raw, context=outside, by_alias=True, by_name=False)
        except pydantic.ValidationError as error:
            raise ValidationError(problems_of(error, cls, raw)) from None

    def replace(self, **values: Any) -> Self:
        """The same with other values for some fields, checked. Raises ValueError."""
        return type(self)(**{**dict(self), **values})

    def to_dict(self, *, brief: bool = False) -> dict[str, Any]:
        """Its values as JSON and YAML know them: what `read` takes.

        `brief` leaves out the fields that have their default.
        """
        return self.model_dump(mode="json", by_alias=True, exclude_defaults=brief)

    def given(self, info: ValidationInfo) -> frozenset[str]:
        """The fields that a file or message named. Empty for a model that code constructs."""
        return frozenset(self.model_fields_set if from_outside(info) else ())


def from_outside(info: ValidationInfo) -> bool:
    """Whether a value is being read from a file or message, not constructed by code."""
    return bool(info.context and info.context.get("outside"))


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
    """Marks a text that must match `regex`. `must` completes the sentence "must …"."""

    regex: str
    must: str

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Checks the pattern after the other limits of the text."""
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
