"""The cameras and the model that run now. The pipeline changes them; other components read them."""

from collections.abc import Mapping

from edge.capture import FaultKind
from edge.capture.reader import Reader
from edge.core.threads import CopyOnWriteDict
from edge.inspection import Inspector
from edge.pipeline.part_tracker import PartTracker
from edge.pipeline.recipe_models import RecipeModels


class RunningCameras:
    """Mappings by camera; `trackers` of cameras with a trigger. Safe between threads: readers never
    wait."""

    def __init__(self) -> None:
        self.readers: CopyOnWriteDict[Reader] = CopyOnWriteDict()
        self.trackers: CopyOnWriteDict[PartTracker] = CopyOnWriteDict()

    def replace(self, readers: Mapping[str, Reader], trackers: Mapping[str, PartTracker]) -> None:
        """These cameras run from now on."""
        self.trackers.replace(trackers)
        self.readers.replace(readers)

    def picture_rejected(self, camera: str, why: str, kind: FaultKind) -> None:
        """A picture that its reader had accepted could not be decoded, or does not fit its view."""
        reader = self.readers.get(camera)
        if reader is not None:
            reader.note_unusable(why, kind)


class RunningModel:
    """Safe between threads.

    inspector: of the common part of config.yaml.
    recipes: the models of its recipes.
    """

    def __init__(self, inspector: Inspector, recipes: RecipeModels | None = None) -> None:
        """`recipes` None: config.yaml has none."""
        self.inspector = inspector
        self.recipes = recipes or RecipeModels(None, inspector)

    def inspector_for(self, recipe: int | None) -> Inspector:
        """The model of a recipe; the common one when it has none."""
        return self.recipes.inspector(recipe) or self.inspector

    def adopt(self, inspector: Inspector, recipes: RecipeModels) -> None:
        """Other models judge from now on, or the same ones again."""
        self.inspector, self.recipes = inspector, recipes
