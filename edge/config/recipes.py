"""`recipes` in config.yaml: what one product changes. A key that a recipe leaves out, or sets to
null, keeps the value of the file's common part.

edge/config/recipe_merge.py merges a recipe over the common part.
"""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from edge.config.annotations import ModelPath
from edge.core.record import Model
from edge.core.text import typed
from edge.core.view import ViewConfig

MAX_RECIPES = 1000
RecipeNumber = Annotated[int, Field(ge=0, le=65_535)]
RecipeName = Annotated[str, Field(min_length=1, max_length=64), AfterValidator(typed)]
Fraction = Annotated[float, Field(ge=0, le=1)]
GreyLevel = Annotated[int, Field(ge=0, le=255)]
Milliseconds = Annotated[float, Field(ge=0, le=3_600_000)]


class RecipeDecision(Model):
    """`recipes[].decision`: the keys of `decision` that belong to a product."""

    reject_at: Fraction | None = None
    review_from: Fraction | None = None
    deadline_ms: Annotated[float, Field(ge=1, le=3_600_000)] | None = None
    hysteresis: Annotated[float, Field(ge=0, lt=1)] | None = None


class RecipeTrust(Model):
    """The keys of `cameras[].trust`."""

    max_age_s: Annotated[float, Field(gt=0, le=3600)] | None = None
    dark_below: GreyLevel | None = None
    bright_above: GreyLevel | None = None
    min_contrast: GreyLevel | None = None
    min_focus: Annotated[float, Field(gt=0)] | None = None


class RecipeTrigger(Model):
    """The keys of `cameras[].trigger` that belong to a product: its times and its frames. The kind
    of trigger belongs to the station."""

    delay_ms: Milliseconds | None = None
    deadline_ms: Annotated[float, Field(ge=1, le=3_600_000)] | None = None
    window_ms: Annotated[float, Field(gt=0, le=3_600_000)] | None = None
    frames: Annotated[int, Field(ge=1, le=64)] | None = None
    rule: Literal["mean", "worst", "k_of_n"] | None = None
    k: Annotated[int, Field(ge=1, le=64)] | None = None


class RecipeCamera(Model):
    """`recipes[].cameras`: what the product changes at one camera.

    - `view`: takes the place of the camera's whole view.
    - `controls`: over those of the camera, which is opened again when they differ.
    """

    view: ViewConfig | None = None
    controls: dict[str, bool | int | float | str] | None = None
    trust: RecipeTrust | None = None
    trigger: RecipeTrigger | None = None


class RecipeConfig(Model):
    """One product. `cameras`: by the camera's id."""

    number: RecipeNumber
    name: RecipeName
    model: ModelPath | None = None
    decision: RecipeDecision = RecipeDecision()
    cameras: dict[str, RecipeCamera] = Field(default={})
