"""Times that a person writes."""

import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.core.errors import EXIT_USAGE
from edge.core.times import TimeError, local_time, local_zone, parse_time

NOW = 1_796_040_000.0  # 2026-11-30T12:00:00Z


@pytest.fixture(autouse=True)
def seoul(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The box stands in a zone that is nine hours ahead."""
    monkeypatch.setenv("TZ", "Asia/Seoul")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90m", NOW - 5400),
        ("8h", NOW - 28_800),
        ("7 d", NOW - 604_800),
        ("2W", NOW - 1_209_600),
        ("30s", NOW - 30),
        ("today", NOW - 21 * 3600),  # midnight in Seoul
        ("yesterday", NOW - 45 * 3600),
        ("2026-11-30", NOW - 21 * 3600),
        ("2026-11-30T21:00", NOW),
        ("2026-11-30 21:00:00", NOW),
        ("2026-11-30T12:00:00Z", NOW),
        ("2026-11-30T14:00:00.500+02:00", NOW + 0.5),
        ("1796040000.5", NOW + 0.5),
    ],
)
def test_forms(text: str, expected: float) -> None:
    """Ago, days by name, dates with and without a zone, and seconds since the epoch."""
    assert parse_time(text, NOW, "--since") == expected


@pytest.mark.parametrize(
    "text", ["", "yesterda", "30.11.2026", "8x", "-2h", "2026-13-01", "99999-01-01", "now", "5"]
)
def test_the_wrong_form_names_the_forms(text: str) -> None:
    """The sentence names the option, the forms and the value."""
    with pytest.raises(TimeError) as caught:
        parse_time(text, NOW, "--since")
    assert str(caught.value).startswith("--since: must be a time such as 2026-11-30, ")
    assert str(caught.value).endswith(f"(got {text!r})")
    assert caught.value.exit_code == EXIT_USAGE


@given(st.integers(0, 4_000_000_000))
def test_what_is_shown_can_be_written(epoch_s: int) -> None:
    """A time as the table shows it, typed behind --since, is the same second."""
    assert parse_time(local_time(epoch_s), NOW, "--since") == epoch_s


@given(st.text(max_size=30))
def test_any_text_is_a_time_or_a_sentence(text: str) -> None:
    """Nothing else is raised."""
    try:
        parse_time(text, NOW, "--since")
    except TimeError:
        return


def test_the_zone_is_named() -> None:
    """As the table's head shows it."""
    assert local_zone(NOW) == "KST"
