"""The body of a request, checked: the first mistake in one sentence."""

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from edge.errors import TriggerError

M = TypeVar("M", bound=BaseModel)


def checked(model: type[M], fields: Mapping[str, Any], keys: str) -> M:
    """The fields as a `model`; `keys` says in words which there are. Raises TriggerError."""
    try:
        return model.model_validate(dict(fields))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise TriggerError(
            f"{key}: {first['msg']} (got {first['input']!r:.80}); {keys}", "malformed"
        ) from None
