"""`cameras[].trust`: what a live picture must be to be believed."""

from typing import Annotated

from msgspec import Meta

from edge.section import Section


class TrustConfig(Section, frozen=True):
    """Limits for a live picture. Grey levels are 0 to 255; 0 (255 for `bright_above`) is off."""

    max_age_s: Annotated[float, Meta(gt=0, le=3600)] = 1.0
    dark_below: Annotated[int, Meta(ge=0, le=255)] = 16
    bright_above: Annotated[int, Meta(ge=0, le=255)] = 250
    min_contrast: Annotated[int, Meta(ge=0, le=255)] = 10
    min_focus: Annotated[float, Meta(gt=0)] | None = None
