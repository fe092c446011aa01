"""Fixtures for the tests of edge.monitoring."""

from pathlib import Path

import pytest

from edge.core.clock import Clock
from tests.support.healthy_components import HealthyComponents


@pytest.fixture
def box(environment: Clock, tmp_path: Path) -> HealthyComponents:
    """Components without a fault."""
    return HealthyComponents(environment, tmp_path)
