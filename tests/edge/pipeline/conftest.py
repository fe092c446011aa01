"""A judge with a scripted model."""

from collections.abc import Callable

import pytest

from edge.core.clock import Clock
from edge.pipeline.judge import Judge, Provenance
from tests.support.scripted_model import MakeJudge, ScriptedModel, inspector_with


@pytest.fixture
def make_judge(environment: Clock) -> MakeJudge:
    """`make_judge([p_ok, p_red] or an exception, deadline_ms=…, work=…)`."""

    def make(
        answer: list[float] | BaseException,
        deadline_ms: float | None = 2000,
        work: Callable[[], None] = lambda: None,
    ) -> Judge:
        provenance = Provenance("line1", "0123456789ab", "b-1")
        return Judge(
            inspector_with(ScriptedModel(answer, work)), provenance, environment, deadline_ms
        )

    return make
