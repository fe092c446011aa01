"""Components that are all well."""

from pathlib import Path

import pytest

from edge.core.clock import Clock
from tests.support.healthy_components import HealthyComponents


@pytest.fixture
def house(environment: Clock, tmp_path: Path) -> HealthyComponents:
    """Parts that are all well."""
    return HealthyComponents(environment, tmp_path)
