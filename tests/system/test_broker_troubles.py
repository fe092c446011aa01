"""What the operator is told of each broker that cannot be used, with a real mosquitto."""

from pathlib import Path

import pytest

from tests.system.broker_troubles import make_all, seen, standing, troubles

NAMES = [trouble.name for trouble in troubles(Path("unused"))]


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every certificate, made now."""
    folder = tmp_path_factory.mktemp("certificates")
    make_all(folder)
    return folder


@pytest.mark.parametrize("name", NAMES)
def test_each_trouble_has_its_sentence(name: str, certificates: Path, tmp_path: Path) -> None:
    """One line that says what is wrong; never OK."""
    (trouble,) = [t for t in troubles(certificates) if t.name == name]
    with standing(tmp_path / "broker", trouble) as config:
        said = seen(config)
    assert trouble.expected in said
    assert not said.startswith("OK")
    assert "\n" not in said
