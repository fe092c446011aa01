"""A pipeline with recipes: models that are loaded on demand, and a reload that changes recipes."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import gpiozero
import pytest

from edge.capture.camera import Camera
from edge.config import Config, RecipePinsConfig, diff_configs, pin_numbers
from edge.core.clock import Clock, StopEvent
from edge.core.errors import EdgeInspectError
from edge.pipeline.build import build_inspector
from edge.pipeline.judge import Judge
from edge.pipeline.pipeline import Pipeline
from edge.pipeline.recipe_models import RecipeModels
from edge.pipeline.recipe_selection import NothingStored, RecipeSelection
from edge.pipeline.running_state import RunningCameras, RunningModel
from tests.edge.pipeline.test_pipeline import NothingJudged
from tests.support.heavy_model import build_heavy_inspector
from tests.support.scripted_model import Sink

pytestmark = pytest.mark.inference


def no_camera(*_arguments: object) -> Camera:
    """The pipeline is not started."""
    raise AssertionError


class RecipePipeline:
    """Two cameras with a worker each, and recipes with a model file each; nothing is started."""

    def __init__(self, folder: Path, model: Path, *names: str, factory: Any = None) -> None:
        self._folder, self._model = folder, model
        self.config = self.make(*names)
        self.common = build_inspector(self.config)
        self.selection = RecipeSelection(dict(enumerate(names, 1)), NothingStored(), Clock())
        self.model = RunningModel(self.common, self.models(self.config))
        self.pipeline = Pipeline(
            self.config,
            self.model,
            Clock(),
            cameras=RunningCameras(),
            sink=Sink(),
            note_part=lambda _part, _verdicts: None,
            next_number=lambda _camera: 1,
            parts_changed=lambda: None,
            processed_items=NothingJudged(),
            open_camera=no_camera,
            selection=self.selection,
            factory=factory,
        )

    def make(self, *names: str) -> Config:
        """A configuration; the budget has room for two models a worker."""
        recipes: list[dict[str, Any]] = []
        for number, name in enumerate(names, 1):
            path = self._folder / f"{name}.tflite"
            path.write_bytes(self._model.read_bytes())
            recipes.append({"number": number, "name": name, "model": str(path)})
        trigger = {"kind": "request"}
        return Config.read(
            {
                "station": "line1",
                "model": {"path": str(self._model), "recipes_mb": 5, "workers": 2},
                "cameras": [
                    {"id": "a", "source": "test:", "trigger": trigger},
                    {"id": "b", "source": "test:", "trigger": trigger},
                ],
                "recipes": recipes,
            }
        )

    def models(self, config: Config) -> RecipeModels:
        """The models of a configuration."""
        return RecipeModels(
            config, self.common, in_use=self.selection.in_use, build=build_heavy_inspector
        )

    def usable(self) -> list[set[int]]:
        """The numbers that each worker can judge."""
        return [
            {n for n in range(1, 6) if isinstance(worker.judges.of(n), Judge)}
            for worker in self.pipeline.workers.all
        ]


@pytest.fixture
def box(tmp_path: Path, redness_model: Path) -> RecipePipeline:
    """Three recipes, of which two fit."""
    return RecipePipeline(tmp_path, redness_model, "cap", "lid", "tin")


def test_a_recipe_is_loaded_on_demand_for_every_worker(box: RecipePipeline) -> None:
    """The current recipe stays, another one goes, and no worker shares an interpreter."""
    assert box.usable() == [{2, 3}, {2, 3}]
    box.selection.choose("a", 3, "x")
    box.selection.choose("b", 1, "x")
    box.pipeline.load_recipe(1)
    assert box.usable() == [{1, 3}, {1, 3}]
    first, second = (worker.judges.of(1) for worker in box.pipeline.workers.all)
    assert isinstance(first, Judge)
    assert isinstance(second, Judge)
    assert first.inspector.classify is not second.inspector.classify
    assert box.model.recipes.why_unusable(2) is not None


def test_a_reload_replaces_the_recipes(box: RecipePipeline) -> None:
    """Names, models and judges are those of the new file from one moment on. A chosen recipe that
    is gone gives `error`; its number stays current."""
    box.selection.choose("a", 3, "x")
    new = box.make("cap", "lids")
    recipes, never = box.models(new), StopEvent()
    with ExitStack() as undo:
        changes = diff_configs(box.config, new)
        assert changes.changed == ("recipes",)
        change = box.pipeline.prepare(changes, box.common, lambda _pin: True, undo, recipes)
        assert box.usable() == [{2, 3}, {2, 3}]
        box.pipeline.adopt(change, lambda _undo: None, never)
        undo.pop_all()
    box.pipeline.workers.close()
    assert box.usable() == [{1, 2}, {1, 2}]
    assert box.selection.names == {1: "cap", 2: "lids"}
    assert box.selection.current("a") == 3
    assert "recipe 3 is not in config.yaml" in str(box.model.recipes.why_unusable(3))


def with_pins(config: Config, *pins: int) -> Config:
    """The configuration with pins that choose the recipe of camera a, the last one the strobe."""
    pins_of = {"code": pins[:-1], "strobe": pins[-1], "debounce_ms": 0.0}
    chosen = RecipePinsConfig.read(pins_of)
    first, *others = config.cameras
    return config.replace(cameras=(first.replace(recipe_pins=chosen), *others))


def test_a_reload_takes_over_the_code_pins_or_keeps_them(
    tmp_path: Path, redness_model: Path, board: Any
) -> None:
    """Pins that the new file uses otherwise work at once when it is in force. When one of them is
    taken, the reload is refused and the old pins choose as before."""
    box = RecipePipeline(tmp_path, redness_model, "cap", "lid", "tin", factory=board)

    def reload(config: Config) -> None:
        in_use = pin_numbers(box.config)
        changes = diff_configs(box.config, config)
        with ExitStack() as undo:
            change = box.pipeline.prepare(changes, box.common, lambda p: p not in in_use, undo)
            box.pipeline.adopt(change, lambda _undo: None, StopEvent())
            undo.pop_all()
        box.config = config

    def strobe(number: int, *code: int) -> int | None:
        for pin, high in ((5, 5 in code), (6, 6 in code), (13, 13 in code)):
            if pin != number:
                (board.pin(pin).drive_high if high else board.pin(pin).drive_low)()
        board.pin(number).drive_low()
        board.pin(number).drive_high()
        return box.selection.current("a")

    reload(with_pins(box.config, 5, 6, 13))
    assert strobe(13, 5, 6) == 3
    taken = gpiozero.LED(19, pin_factory=board)
    with pytest.raises(EdgeInspectError, match=r"cameras a: recipe_pins\.strobe 19: "):
        reload(with_pins(box.config, 13, 6, 19))
    assert strobe(13, 6) == 2
    taken.close()
    reload(with_pins(box.config, 13, 6, 5))  # the old strobe is a bit of the code now
    assert strobe(5, 13) == 1
    box.pipeline.stop_accepting()
    gpiozero.LED(5, pin_factory=board).close()
    box.pipeline.workers.close()
