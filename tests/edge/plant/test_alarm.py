"""The alarm: a run of bad parts."""

import json
from typing import Any

import pytest

from edge.config.trigger import AlarmConfig
from edge.core.clock import Clock
from edge.plant.alarm import Alarm
from tests.support.schemas import validator
from tests.support.verdicts import verdict


class RecordedAlarm:
    """An alarm; records the bodies that it publishes, and its levels."""

    def __init__(self, environment: Clock, **limits: int) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.levels: list[bool] = []
        self.alarm = Alarm(
            AlarmConfig.read(limits), "a" * 32, self._record, environment, self.levels.append
        )

    def _record(self, body: bytes) -> None:
        self.bodies.append(json.loads(body))
        validator("alarm").validate(self.bodies[-1])

    def count(self, *outcomes: str, camera: str = "top") -> "RecordedAlarm":
        """Counts verdicts of one camera."""
        for outcome in outcomes:
            self.alarm.count(verdict(outcome, camera=camera))  # type: ignore[arg-type]
        return self


@pytest.mark.parametrize(
    ("outcomes", "raised"),
    [
        (["fail"] * 2, False),
        (["fail"] * 3, True),
        (["fail", "fail", "pass", "fail"], False),
        (["fail", "fail", "review", "fail"], False),
        (["fail", "error", "fail", "error", "fail"], True),
        (["error"] * 9, False),
    ],
)
def test_a_run_of_fails_raises(outcomes: list[str], raised: bool, environment: Clock) -> None:
    """Three fails in a row raise it; a good part ends the run, an `error` does nothing."""
    alarm = RecordedAlarm(environment, fails=3).count(*outcomes)
    assert (alarm.bodies[-1]["state"] == "raised") is raised
    assert alarm.levels == ([True] if raised else [])


def test_it_clears_with_a_good_part(environment: Clock) -> None:
    """The first `pass` clears it. Each change is published; the start publishes `clear`."""
    alarm = RecordedAlarm(environment, fails=2).count("fail", "fail", "fail", "pass", "pass")
    assert [(b["state"], b["count"]) for b in alarm.bodies] == [
        ("clear", 0),
        ("raised", 2),
        ("raised", 3),
        ("clear", 0),
    ]
    assert alarm.levels == [True, False]


def test_cameras_count_for_themselves(environment: Clock) -> None:
    """Fails of two cameras are no run; each cause is named."""
    alarm = RecordedAlarm(environment, fails=2).count("fail").count("fail", camera="side")
    assert alarm.bodies[-1]["state"] == "clear"
    alarm.count("fail", camera="side")
    (cause,) = alarm.bodies[-1]["causes"]
    assert (cause["camera"], cause["count"]) == ("side", 2)


def test_errors_have_a_limit_of_their_own(environment: Clock) -> None:
    """A camera that only gives errors raises it too, when asked; any judgement ends that run."""
    alarm = RecordedAlarm(environment, errors=2).count("error", "fail", "error", "error")
    assert alarm.bodies[-1]["causes"][0]["reason"] == "top: 2 times error in a row"
    assert alarm.count("fail").bodies[-1]["state"] == "clear"


def test_without_limits_it_is_silent(environment: Clock) -> None:
    """By default no run raises it."""
    assert len(RecordedAlarm(environment).count(*["fail"] * 50).bodies) == 1
