"""What all that is read from outside has in common: frozen, no unknown keys, and a way back."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from msgspec import NODEFAULT, Struct
from msgspec.structs import FieldInfo, replace

from edge.reading import fields_of, read


class Section(Struct, frozen=True, forbid_unknown_fields=True):
    """A section of config.yaml or of another file or message. Made by its constructor it is not
    checked, but by `__post_init__`; what comes from outside is given to `read`."""

    @classmethod
    def read(cls, raw: Any) -> Self:
        """From dictionaries, lists and plain values. Raises UnfitError with every mistake."""
        return read(cls, raw)

    def changed(self, **values: Any) -> Self:
        """The same with other values for some fields."""
        return replace(self, **values)

    def said(self, *, brief: bool = False) -> dict[str, Any]:
        """Its values as JSON and YAML know them: what `read` takes. `brief`: without those that
        are the default."""
        return {
            name: _said(value, brief)
            for name, field in fields_of(type(self)).items()
            if (value := getattr(self, field.name)) != _default(field) or not brief
        }

    def written(self) -> dict[str, Any]:
        """As `said`, for a file: what could not be read again must not be written. Raises
        UnfitError."""
        # brief, since a default that nobody said is no key that does nothing
        type(self).read(self.said(brief=True))
        return self.said()


def _said(value: object, brief: bool) -> Any:
    if isinstance(value, Section):
        return value.said(brief=brief)
    if isinstance(value, dict):
        return {key: _said(one, brief) for key, one in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_said(one, brief) for one in value]
    return str(value) if isinstance(value, Path) else value


def _default(field: FieldInfo) -> object:
    return field.default if field.default_factory is NODEFAULT else field.default_factory()
