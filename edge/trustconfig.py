"""`cameras[].trust`: what a live picture must be to be believed."""

from pydantic import Field

from edge.section import Section


class TrustConfig(Section):
    """Limits for a live picture. Grey levels are 0 to 255; 0 (255 for `bright_above`) is off."""

    max_age_s: float = Field(default=1.0, gt=0, le=3600)
    dark_below: int = Field(default=16, ge=0, le=255)
    bright_above: int = Field(default=250, ge=0, le=255)
    min_contrast: int = Field(default=10, ge=0, le=255)
    min_focus: float | None = Field(default=None, gt=0)
