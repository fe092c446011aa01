"""Augmentation varies pictures within its limits."""

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from trainer.data.augment import NONE, Variations, augment

UNBLURRED = Variations(blur=False, noise=False)


@given(st.integers(0, 2**32 - 1), st.sampled_from([(8, 8, 3), (12, 9, 1), (7, 16, 3)]))
@settings(max_examples=30, deadline=None)
def test_shape_and_type_stay_and_the_seed_decides(seed: int, shape: tuple[int, int, int]) -> None:
    """Pictures keep shape and type, originals do not change, and the seed decides the result."""
    pictures = np.random.default_rng(0).integers(0, 256, (4, *shape)).astype(np.uint8)
    before = pictures.copy()
    varied = augment(pictures, np.random.default_rng(seed))
    assert varied.shape == pictures.shape
    assert varied.dtype == np.uint8
    assert (pictures == before).all()
    assert (varied == augment(pictures, np.random.default_rng(seed))).all()


def test_light_changes_within_a_fifth_and_never_wraps() -> None:
    """Brightness changes by at most a fifth, and white never wraps to black."""
    grey = np.full((200, 8, 8, 3), 100, np.uint8)
    white = np.full((200, 8, 8, 3), 255, np.uint8)
    rng = np.random.default_rng(0)
    varied = augment(grey, rng, replace(NONE, light=True))
    assert varied.min() >= 80
    assert varied.max() <= 120
    assert len(np.unique(varied)) > 10
    assert augment(white, rng, replace(NONE, light=True)).min() >= 204


def test_every_turn_and_flip_happens() -> None:
    """A bright corner comes to all four corners."""
    pictures = np.zeros((300, 16, 16, 1), np.uint8)
    pictures[:, :6, :6] = 200
    varied = augment(pictures, np.random.default_rng(0), UNBLURRED)
    corners = {
        (bool(p[:8].sum() > p[8:].sum()), bool(p[:, :8].sum() > p[:, 8:].sum())) for p in varied
    }
    assert len(corners) == 4


def test_quarter_turns_only_where_wanted() -> None:
    """The direction of a bar changes only with quarter turns."""
    pictures = np.zeros((50, 32, 32, 1), np.uint8)
    pictures[:, 14:18] = 200

    def lies_across(varied: NDArray[np.uint8]) -> NDArray[np.bool_]:
        return np.asarray((varied[:, :, 0] > 0).sum(axis=(1, 2)) == 4)

    assert lies_across(augment(pictures, np.random.default_rng(0), UNBLURRED)).all()
    quarter_turns = replace(UNBLURRED, quarter_turn=True)
    turned = lies_across(augment(pictures, np.random.default_rng(0), quarter_turns))
    assert turned.any()
    assert not turned.all()


def test_small_turns_are_within_their_limit_and_leave_no_corner_empty() -> None:
    """A bar turns by random angles up to the limit, to both sides, without dark corners.

    The other variations do not change.
    """
    bar = np.full((24, 65, 65, 1), 60, np.uint8)
    bar[:, :, 30:35] = 200
    varied = augment(bar, np.random.default_rng(1), replace(NONE, turn=12.0))
    assert varied.shape == bar.shape
    assert varied.min() >= 60
    columns = np.arange(65)
    leans = []
    for picture in varied[..., 0].astype(np.float64) - 60:
        top, bottom = (np.average(columns[20:45], weights=picture[y, 20:45]) for y in (12, 52))
        leans.append(np.degrees(np.arctan2(bottom - top, 40)))
    assert max(np.abs(leans)) < 12.5
    assert min(leans) < -4
    assert max(leans) > 4
    assert len(set(np.round(leans, 2))) > 20
    lit = replace(NONE, light=True)
    uniform = np.full((6, 16, 16, 3), 100, np.uint8)
    rngs = [np.random.default_rng(3) for _ in range(2)]
    for _ in range(2):
        plain = augment(uniform, rngs[0], lit)
        turned = augment(uniform, rngs[1], replace(lit, turn=9.0))
        assert (plain == turned).all()


def test_turns_are_chosen_by_name_and_number() -> None:
    """Named variations are off, requested turns are on, the others do not change."""
    chosen = Variations().chosen({"flip", "noise"}, quarter_turn=True, turn=7.5)
    assert chosen == Variations(flip=False, noise=False, quarter_turn=True, turn=7.5)
    assert Variations().chosen(set(), quarter_turn=False) == Variations()
    assert not any(vars_ for vars_ in (NONE.flip, NONE.blur, NONE.turn))
