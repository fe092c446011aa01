"""A table of wrong config.yaml texts: each gives exactly its sentences."""

from pathlib import Path

import pytest
import yaml

from edge.config.loader import parse_config
from edge.core.errors import ConfigError

TABLE = Path(__file__).with_name("wrong_configs.yaml")
ROWS = yaml.safe_load(TABLE.read_text(encoding="utf-8"))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["sentences"][0].split(": ", 1)[1][:60])
def test_a_wrong_text_gives_its_sentences(row: dict[str, list[str]]) -> None:
    """All mistakes at once, each with place, key, fix and value."""
    with pytest.raises(ConfigError) as caught:
        parse_config(str(row["text"]), "config.yaml", Path("/etc/edge-inspect"))
    assert caught.value.problems == row["sentences"]
