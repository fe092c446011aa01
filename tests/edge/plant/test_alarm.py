"""The alarm: a run of bad parts."""

import json
from typing import Any

import pytest

from edge.config.trigger import AlarmConfig
from edge.core.clock import Clock
from edge.plant.alarm import Alarm
from tests.support.schemas import validator
from tests.support.verdicts import verdict


class Heard:
    """An alarm, and all it has said."""

    def __init__(self, environment: Clock, **limits: int) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.levels: list[bool] = []
        self.alarm = Alarm(
            AlarmConfig.read(limits), "a" * 32, self._take, environment, self.levels.append
        )

    def _take(self, body: bytes) -> None:
        self.bodies.append(json.loads(body))
        validator("alarm").validate(self.bodies[-1])

    def note(self, *outcomes: str, camera: str = "top") -> "Heard":
        """Verdicts, one after the other."""
        for outcome in outcomes:
            self.alarm.note(verdict(outcome, camera=camera))  # type: ignore[arg-type]
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
    heard = Heard(environment, fails=3).note(*outcomes)
    assert (heard.bodies[-1]["state"] == "raised") is raised
    assert heard.levels == ([True] if raised else [])


def test_it_clears_with_a_good_part(environment: Clock) -> None:
    """The first `pass` clears it, and both are told; the start says `clear`."""
    heard = Heard(environment, fails=2).note("fail", "fail", "fail", "pass", "pass")
    assert [(b["state"], b["count"]) for b in heard.bodies] == [
        ("clear", 0),
        ("raised", 2),
        ("raised", 3),
        ("clear", 0),
    ]
    assert heard.levels == [True, False]


def test_cameras_count_for_themselves(environment: Clock) -> None:
    """Fails of two cameras are no run; each cause is named."""
    heard = Heard(environment, fails=2).note("fail").note("fail", camera="side")
    assert heard.bodies[-1]["state"] == "clear"
    heard.note("fail", camera="side")
    (cause,) = heard.bodies[-1]["causes"]
    assert (cause["camera"], cause["count"]) == ("side", 2)


def test_errors_have_a_limit_of_their_own(environment: Clock) -> None:
    """A camera that only gives errors raises it too, when asked; any judgement ends that run."""
    heard = Heard(environment, errors=2).note("error", "fail", "error", "error")
    assert heard.bodies[-1]["causes"][0]["reason"] == "top: 2 times error in a row"
    assert heard.note("fail").bodies[-1]["state"] == "clear"


def test_without_limits_it_is_silent(environment: Clock) -> None:
    """By default no run raises it."""
    assert len(Heard(environment).note(*["fail"] * 50).bodies) == 1
