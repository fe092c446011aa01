"""Fixtures for all tests: small models, pictures of a known redness and a working config.yaml.

A missing program is a skip that names the fix; under CI it is a failure.
"""

import importlib.util
import os
import random
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from hypothesis import settings

from edge.capture.isolation.forkserver_client import ForkServerClient
from tests.support.models import MODELS

# Random examples locally; under CI fixed ones, so that no run fails by chance.
settings.register_profile("workbench", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "workbench")

Require = Callable[[str, str], None]
ConfigText = Callable[..., str]
WriteConfig = Callable[..., Path]
WritePicture = Callable[..., Path]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Under xdist all tests with TensorFlow run in one worker: it is imported once, fixtures
    train once, and two trainings do not share the cores."""
    for item in items:
        if item.get_closest_marker("train"):
            item.add_marker(pytest.mark.xdist_group("tensorflow"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Under CI a skipped test fails."""
    report = yield
    if report.skipped and os.environ.get("CI") and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"under CI nothing may be skipped: {reason}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """The same for a file that skips itself on import."""
    report = yield
    if report.skipped and os.environ.get("CI"):
        report.outcome = "failed"
        report.longrepr = f"{collector.nodeid}: under CI nothing may be skipped: {report.longrepr}"
    return report


@pytest.fixture(autouse=True)
def same_chance() -> None:
    """A new network begins with the same weights in every run; only the order of tests is random.

    Keras draws its seeds from Python's `random`, and an untrained network sometimes ranks
    twenty pictures well by luck. setup.cfg keeps pytest-randomly from seeding it otherwise.
    """
    random.seed(0)
    np.random.seed(0)


@pytest.fixture(scope="session")
def require() -> Require:
    """`require(module, command)`: skips without the module and says which command installs it."""

    def check(module: str, command: str) -> None:
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed; run: {command}")

    return check


@pytest.fixture(scope="session")
def redness_model() -> Path:
    """A packed model (16×16 RGB, labels ok and red, thresholds 0.4 and 0.6, golden pictures) whose
    score rises with mean red alone; tests/models/make.py defines it."""
    return MODELS / "redness.tflite"


@pytest.fixture(scope="session")
def plain_model() -> Path:
    """The same classifier without an appendix: config.yaml must name labels and reject_at."""
    return MODELS / "plain.tflite"


@pytest.fixture
def write_picture(tmp_path: Path) -> WritePicture:
    """`write_picture("a.png", red=255)`: a picture of one colour; red 0 is ok, 255 fails."""

    def write(name: str | Path = "part.png", red: int = 0, blue: int = 90, side: int = 32) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.full((side, side, 3), (blue, 60, red), np.uint8)  # BGR
        assert cv2.imwrite(str(path), pixels)
        return path

    return write


@pytest.fixture
def config_text(tmp_path: Path, redness_model: Path) -> ConfigText:
    """`config_text(mqtt={...}, cameras=[...])`: a config.yaml that works, sections replaced."""

    def text(**sections: object) -> str:
        values: dict[str, object] = {
            "station": "line1",
            "model": {"path": str(redness_model)},
            "cameras": [{"id": "top", "source": "test:"}],
            "outbox": {"path": str(tmp_path / "state" / "outbox.db")},
        }
        values.update(sections)
        kept = {name: value for name, value in values.items() if value is not None}
        return yaml.safe_dump(kept, sort_keys=False, allow_unicode=True)

    return text


@pytest.fixture
def write_config(tmp_path: Path, config_text: ConfigText) -> WriteConfig:
    """Writes `config_text(...)` to config.yaml in the test's folder and returns its path."""

    def write(text: str | None = None, **sections: object) -> Path:
        path = tmp_path / "config.yaml"
        path.write_text(config_text(**sections) if text is None else text, encoding="utf-8")
        return path

    return write


@pytest.fixture(scope="session")
def fork_server() -> Iterator[ForkServerClient]:
    """One fork server for all tests of this process that open a camera."""
    with ForkServerClient() as client:
        yield client
