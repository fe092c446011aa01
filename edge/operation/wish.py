"""The body of a request, checked: the first mistake in one sentence."""

from collections.abc import Mapping
from typing import Any, TypeVar

from edge.core.record import Model
from edge.core.validation import ValidationError
from edge.errors import TriggerError

M = TypeVar("M", bound=Model)


def checked(model: type[M], fields: Mapping[str, Any], keys: str) -> M:
    """The fields as a `model`; `keys` says in words which there are. Raises TriggerError."""
    try:
        return model.read(dict(fields))
    except ValidationError as error:
        first = error.problems[0]
        raise TriggerError(f"{first.key}: {first.text}{first.seen}; {keys}", "malformed") from None
