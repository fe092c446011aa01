"""A plant's requirements give thresholds and claims, or a refusal with the fix."""

import argparse
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from edge.core.errors import EdgeInspectError, RefusedError
from edge.inspection.decision import Thresholds
from trainer.cli.requirement_options import add_requirement_options, requirements_from
from trainer.evaluation.claims import check_demonstrable, make_claims
from trainer.evaluation.intervals import upper_bound
from trainer.evaluation.metrics import evaluate
from trainer.evaluation.rates import cases_allowed, percent, pictures_needed, rate_of
from trainer.evaluation.requirements import Requirements, parse_share
from trainer.evaluation.thresholds import choose_thresholds

pytestmark = pytest.mark.usefixtures("require_train")


@example(80, 12.852969570517788)
@given(st.integers(1, 5000), st.floats(0.5, 5000))
def test_rates_of_0_and_1_are_valid_at_any_effective_number(n: int, independent: float) -> None:
    """Rounding never gives more cases than independent pictures."""
    every, none = rate_of(n, n, independent), rate_of(0, n, independent)
    assert every.interval[1] == every.at_most == 1
    assert none.interval[0] == 0
    assert none.at_most < 1


def test_too_few_defects_are_refused_with_the_number_needed() -> None:
    """20 defects cannot show 0.1 %: the refusal precedes the training and names 2,995."""
    with pytest.raises(RefusedError, match="2,995 defects with 0 escapes") as caught:
        check_demonstrable(Requirements(max_escape=0.001), n_ok=500, n_defect=20)
    assert "even 0 escapes in the 20 defects" in str(caught.value)
    assert caught.value.exit_code == 1
    with pytest.raises(RefusedError, match="--max-false-reject 1 % cannot be shown"):
        check_demonstrable(Requirements(max_false_reject=0.01), n_ok=100, n_defect=500)
    check_demonstrable(Requirements(max_escape=0.15), n_ok=1, n_defect=20)
    check_demonstrable(Requirements(), n_ok=0, n_defect=0)


def test_a_limit_may_set_thresholds_without_being_shown() -> None:
    """With allow_unshown nothing is refused; the claim still says that the limit is not shown."""
    trial = Requirements(max_escape=0.001, allow_unshown=True)
    check_demonstrable(trial, n_ok=500, n_defect=20)
    claims = make_claims(rate_of(1, 20), rate_of(0, 500), trial)
    assert claims.refusals() == []
    assert not claims.escape.holds
    assert claims.unshown() == [claims.escape.refusal()]
    assert Requirements.from_json(trial.as_json()) == trial
    assert Requirements(max_escape=0.001).as_json() == {"max_escape": 0.001}
    with pytest.raises(EdgeInspectError, match="--allow-unshown is for a limit"):
        Requirements(allow_unshown=True)


def test_the_claim_is_a_sentence() -> None:
    """0 escapes in 81 defects give at most 3.6 % at 95 %; several pictures a part give more."""
    found = make_claims(rate_of(0, 81), rate_of(2, 100), Requirements())
    assert found.escape.as_text() == "0 escapes in 81 defects: at most 3.6 % at 95 %"
    assert (
        make_claims(rate_of(1, 81), rate_of(2, 90), Requirements())
        .escape.as_text()
        .startswith("1 escape in 81")
    )
    assert found.refusals() == []
    alike = make_claims(rate_of(0, 81, 13.0), rate_of(2, 100), Requirements()).escape.as_text()
    assert "they count as 13" in alike
    assert "at most 21 %" in alike


@pytest.mark.parametrize(
    ("escaped", "n", "limit", "text"),
    [
        (0, 299, 0.01, None),
        (0, 298, 0.01, "it needs 299 defects of different parts"),
        (3, 400, 0.01, "with 3 escapes it needs 773"),
    ],
)
def test_a_limit_holds_or_names_the_pictures_needed(
    escaped: int, n: int, limit: float, text: str | None
) -> None:
    """The refusal of a limit names the number of pictures that would show it."""
    found = make_claims(
        rate_of(escaped, n), rate_of(0, 10), Requirements(max_escape=limit)
    ).refusals()
    assert (not found) if text is None else (text in found[0])


@given(st.floats(0.001, 0.5), st.integers(0, 5))
@settings(max_examples=40, deadline=None)
def test_the_number_needed_is_the_smallest(limit: float, k: int) -> None:
    """That number shows the limit, and one fewer does not; `cases_allowed` is the inverse."""
    n = pictures_needed(limit, k)
    assert upper_bound(k, n) <= limit
    assert n - 1 <= k or upper_bound(k, n - 1) > limit
    allowed = cases_allowed(limit, n)
    assert allowed is not None
    assert allowed >= k
    assert upper_bound(allowed, n) <= limit < upper_bound(allowed + 1, n)


class TestThresholds:
    """Thresholds from requirements."""

    def _scores(self) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng(3)
        bad = np.arange(1600) % 2 == 1
        return 1 / (1 + np.exp(-rng.normal(np.where(bad, 2.0, -2.0), 1.2))), bad

    def test_an_escape_limit_sets_the_review_line(self) -> None:
        """Validation has fewer escapes than the limit allows; the sentence names the limit."""
        scores, bad = self._scores()
        at = choose_thresholds(scores, bad, Requirements(max_escape=0.01))
        assert upper_bound(int((scores[bad] < at.review_from).sum()), int(bad.sum())) <= 0.01
        assert "at most 1 % escapes" in at.chosen
        assert (
            at.review_from
            <= choose_thresholds(scores, bad, Requirements(max_escape=0.1)).review_from
        )

    def test_both_limits_make_a_band_or_one_line(self) -> None:
        """Hard limits leave a review band; a single line meets soft ones."""
        scores, bad = self._scores()
        hard = choose_thresholds(scores, bad, Requirements(max_escape=0.01, max_false_reject=0.01))
        assert hard.review_from < hard.reject_at
        assert upper_bound(int((scores[~bad] >= hard.reject_at).sum()), 800) <= 0.01
        soft = choose_thresholds(scores, bad, Requirements(max_escape=0.2, max_false_reject=0.2))
        assert soft.review_from == soft.reject_at
        assert (scores[bad] < soft.review_from).mean() < 0.2
        assert (scores[~bad] >= soft.reject_at).mean() < 0.2

    def test_a_higher_escape_cost_lowers_the_line(self) -> None:
        """A higher cost of an escape lowers the line; rarer defects raise it."""
        scores, bad = self._scores()

        def line(escape: float, share: float) -> float:
            requirements = Requirements(escape_cost=escape, reject_cost=1, defect_share=share)
            return choose_thresholds(scores, bad, requirements).reject_at

        assert line(100, 0.5) < line(1, 0.5) < line(0.01, 0.5)
        assert line(1, 0.01) > line(1, 0.5)

    @given(
        st.lists(st.tuples(st.integers(0, 12), st.booleans()), min_size=2, max_size=50).filter(
            lambda rows: len({bad for _score, bad in rows}) == 2
        ),
        st.sampled_from(
            [
                Requirements(max_escape=0.3),
                Requirements(max_false_reject=0.3),
                Requirements(max_escape=0.4, max_false_reject=0.01),
                Requirements(escape_cost=30, reject_cost=1),
                Requirements(escape_cost=1, reject_cost=30, defect_share=0.02),
            ]
        ),
    )
    @settings(max_examples=80, deadline=None)
    def test_any_scores_give_lines_in_order(
        self, rows: list[tuple[int, bool]], requirements: Requirements
    ) -> None:
        """For all scores and requirements 0 <= review_from <= reject_at <= 1."""
        at = choose_thresholds(
            [score / 12 for score, _ in rows], [bad for _, bad in rows], requirements
        )
        assert 0 <= at.review_from <= at.reject_at <= 1


class TestRequirements:
    """Requirements from the command line."""

    @pytest.mark.parametrize("text", ["0.5%", "0.5 %", " 0.005 ", "5e-3"])
    def test_shares_are_read_either_way(self, text: str) -> None:
        """0.5% and 0.005 are the same share."""
        assert parse_share(text) == pytest.approx(0.005)

    @pytest.mark.parametrize("text", ["0", "100%", "2", "-1%", "few", "nan", "%"])
    def test_an_invalid_share_is_refused(self, text: str) -> None:
        """A value outside 0 % to 100 % is refused with an example."""
        with pytest.raises(ValueError, match=r"write 0\.5% or 0\.005"):
            parse_share(text)

    @pytest.mark.parametrize(
        ("requirements", "text"),
        [
            ({"escape_cost": 5.0}, "give both"),
            ({"escape_cost": 5.0, "reject_cost": 0.0}, "must be above 0"),
            ({"escape_cost": 5.0, "reject_cost": 1.0, "max_escape": 0.1}, "the one or the other"),
            ({"defect_share": 0.1}, "only weighs costs"),
            ({"max_escape": 1.5}, "below 100 %"),
        ],
    )
    def test_contradictions_are_named(self, requirements: dict[str, Any], text: str) -> None:
        """A contradiction is an error with its fix."""
        with pytest.raises(EdgeInspectError, match=text):
            Requirements(**requirements)

    def test_the_command_line_and_back(self) -> None:
        """Options become requirements, which survive the model file."""
        parser = argparse.ArgumentParser()
        add_requirement_options(parser)
        requirements = requirements_from(
            parser.parse_args(["--max-escape", "0.5%", "--max-false-reject", "2%"])
        )
        assert (requirements.max_escape, requirements.max_false_reject) == (0.005, 0.02)
        assert Requirements.from_json(requirements.as_json()) == requirements
        assert Requirements.from_json(None) == Requirements()
        assert "0.5%" in parser.format_help()


def test_percentages_have_two_digits() -> None:
    """Percentages have two digits; 99.6 % is 100 %."""
    assert [percent(x) for x in (0.0363, 0.001, 0.5, 0.996)] == ["3.6 %", "0.1 %", "50 %", "100 %"]


class TestNotLearned:
    """A model that may be no better than chance gets no thresholds."""

    @pytest.mark.parametrize("seed", range(5))
    def test_chance_on_few_defects_is_not_learned(self, seed: int) -> None:
        """A model with 95 % accuracy that finds no defect has not learned and claims nothing."""
        rng = np.random.default_rng(seed)
        scores = rng.uniform(0, 0.1, 400)
        labels = ["dent"] * 20 + ["ok"] * 380
        at = Thresholds(reject_at=0.5, review_from=0.5)
        judged = evaluate(scores, labels, [str(n) for n in range(400)], at, "ok")
        assert judged.confusion["dent"]["pass"] == 20
        assert not judged.learned
        assert "not learned" in judged.refusals()[0]
        assert not {"thresholds", "escapes", "claims"} & set(judged.as_json())
        assert "escapes" not in judged.as_text()
        assert "NOT LEARNED" in judged.as_text()

    def test_shuffled_labels_are_rarely_learned(self) -> None:
        """At most 5 % of 200 shuffles look learned: the interval holds without skill too."""
        rng = np.random.default_rng(0)
        at = Thresholds(reject_at=0.5, review_from=0.5)
        scores, labels = rng.random(120), np.array(["dent"] * 40 + ["ok"] * 80)
        groups = [str(n // 2) for n in range(120)]
        learned = sum(
            evaluate(scores, list(rng.permutation(labels)), groups, at, "ok").learned
            for _ in range(200)
        )
        assert learned <= 10

    def test_a_good_model_is_learned(self) -> None:
        """A model with clear separation has learned and gets its figures."""
        labels = ["dent"] * 20 + ["ok"] * 20
        scores = np.linspace(0.9, 0.1, 40)
        at = Thresholds(reject_at=0.5, review_from=0.4)
        judged = evaluate(scores, labels, [str(n) for n in range(40)], at, "ok")
        assert judged.learned
        assert judged.refusals() == []
        assert judged.as_json()["claims"]["escape"]["holds"] is True
