"""The sentence for each broker that cannot be used, with a real mosquitto."""

from pathlib import Path

import pytest

from tests.system.broker_troubles import checked, make_all, running_broker, troubles

NAMES = [trouble.name for trouble in troubles(Path("unused"))]


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All certificates."""
    folder = tmp_path_factory.mktemp("certificates")
    make_all(folder)
    return folder


@pytest.mark.parametrize("name", NAMES)
def test_each_trouble_has_its_sentence(name: str, certificates: Path, tmp_path: Path) -> None:
    """One line with the fault; never OK."""
    (trouble,) = [t for t in troubles(certificates) if t.name == name]
    with running_broker(tmp_path / "broker", trouble) as config:
        sentence = checked(config)
    assert trouble.expected in sentence
    assert not sentence.startswith("OK")
    assert "\n" not in sentence
