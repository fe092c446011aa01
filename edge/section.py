"""What every section of config.yaml is: frozen, no unknown keys, no NaN."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """What all sections share."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
