"""Edited copies are found; different parts of one product are not copies."""

import json
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.support.audit_planting import BORDERS, expose, warp
from tests.trainer.audit.conftest import Pixels, draw_part
from trainer.audit.alignment import Alignment, SharedStructure, shared_structure
from trainer.audit.compared_picture import ComparedPicture, compared_picture
from trainer.audit.copies import FoundCopies, find_copies, linked_groups, worth_comparing
from trainer.audit.fingerprint import fingerprint, unfilled_mask
from trainer.audit.fingerprint_store import FingerprintStore
from trainer.audit.pixel_match import match_pixels
from trainer.audit.pose import about_middle, in_words
from trainer.audit.total_progress import STEPS, TotalProgress
from trainer.audit.window_texture import PixelMatch

SLOW = settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))


def grey(pixels: Pixels) -> Pixels:
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY), np.uint8)


OTHERS = [grey(draw_part(seed)) for seed in range(8)]
FINGERPRINTS = [fingerprint(one) for one in OTHERS]


def progress(pictures: int, *, thorough: bool = False) -> TotalProgress:
    """A progress that nobody watches."""
    return TotalProgress(lambda *_: None, pictures, thorough=thorough)


def shared_by_all(store: FingerprintStore) -> SharedStructure:
    return shared_structure(store, np.arange(len(store)))


def copies_of(altered: Pixels) -> dict[tuple[int, int], Alignment]:
    """The certain pairs when `altered`, of part 0, is the ninth picture beside eight parts."""
    pictures = [*OTHERS, grey(altered)]
    with FingerprintStore(9) as store:
        for one in (*FINGERPRINTS, fingerprint(pictures[8])):
            store.add(one)
        read = lambda row: compared_picture(pictures[row])  # noqa: E731 - the store's row
        found = find_copies(store, shared_by_all(store), read, 1, progress(9)).matches
    return {pair: match for pair, match in found.items() if match.certain}


@SLOW
@given(
    angle=st.floats(-180, 180),
    shear=st.floats(-0.18, 0.18),
    gain=st.floats(0.65, 1.3),
    gamma=st.floats(0.75, 1.35),
    border=st.sampled_from(BORDERS),
)
def test_turned_sheared_and_re_exposed_copies_are_found(
    angle: float, shear: float, gain: float, gamma: float, border: tuple[int, int]
) -> None:
    """A copy at any angle, shear and exposure is found, and nothing else is."""
    altered = expose(warp(draw_part(0), angle, shear, *border), gain, gamma, 0)
    assert set(copies_of(altered)) == {(0, 8)}


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
@pytest.mark.parametrize("mirrored", [False, True])
def test_quarter_turns_and_mirror_images_are_described(turns: int, mirrored: bool) -> None:
    """Each of the eight orientations of a picture is found and named."""
    part = draw_part(0)
    turned = np.rot90(part[:, ::-1] if mirrored else part, turns)
    found = copies_of(np.ascontiguousarray(turned))
    assert set(found) == {(0, 8)}
    size = (200, 150)
    changes = in_words(found[0, 8].pose, size, size if turns % 2 == 0 else size[::-1])
    text = ", ".join(changes)
    assert ("mirrored" in text) == mirrored
    if not mirrored:
        # OpenCV's y runs down: a turn to the left is 270° here
        assert text == ("" if turns == 0 else f"rotated by {(360 - 90 * turns) % 360}°")


@pytest.mark.parametrize("quality", [30, 60, 90])
def test_re_compressed_and_cropped_copies_are_found(quality: int) -> None:
    """Copies with another compression, a crop of 10 % and another size are found."""
    data = cv2.imencode(".jpg", draw_part(0), [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    again = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
    assert set(copies_of(again)) == {(0, 8)}
    smaller = np.asarray(cv2.resize(again[8:145, 6:190], None, fx=0.8, fy=0.8), np.uint8)
    assert set(copies_of(smaller)) == {(0, 8)}


def test_different_parts_of_one_product_are_no_copies() -> None:
    """Parts of one design with different texture and marks are not copies."""
    assert copies_of(draw_part(99)) == {}


def test_flat_pictures_are_no_copies_and_do_no_harm() -> None:
    """A flat picture has no copy except one of equal pixels, which another search finds."""
    assert copies_of(np.full((150, 200, 3), 90, np.uint8)) == {}


def test_filled_corners_are_masked() -> None:
    """The mask excludes corners that an editor filled; a whole picture has no excluded pixel."""
    part = grey(draw_part(0))
    turned = grey(warp(draw_part(0), 20, 0, cv2.BORDER_CONSTANT))
    assert unfilled_mask(part).all()
    assert 0.1 < (unfilled_mask(turned) == 0).mean() < 0.5


def test_the_same_design_on_another_plate_is_no_copy() -> None:
    """A pair with the same drawing and different texture is not certain."""
    rng = np.random.default_rng(3)
    drawing = np.full((150, 150), 110, np.float32)
    for _ in range(12):
        at, size = rng.integers(15, 135, 2).tolist(), int(rng.integers(3, 12))
        cv2.circle(drawing, at, size, int(rng.integers(20, 235)), -1, cv2.LINE_AA)
    plates = [
        np.clip(drawing + 12 * cv2.GaussianBlur(rng.standard_normal((150, 150)), (0, 0), 1), 0, 255)
        for _ in range(2)
    ]
    first, second = (compared_picture(plate.astype(np.uint8)) for plate in plates)
    still = about_middle(np.eye(2), 96)
    assert match_pixels(first, first, [still], 40, by_points=True).certain(support=40)
    assert not match_pixels(first, second, [still], 40, by_points=True).certain(support=40)


def test_certainty_is_serialisable_as_json() -> None:
    """The values are Python types: numpy's are not JSON serialisable."""
    one = compared_picture(cv2.cvtColor(draw_part(3), cv2.COLOR_BGR2GRAY).astype(np.uint8))
    found = match_pixels(one, one, [about_middle(np.eye(2), 96)], 4, by_points=True)
    assert [type(value) for value in (found.texture, found.sharpness, found.windows)] == [float] * 3
    assert json.loads(json.dumps(found.certain(support=4))) in (True, False)


def test_few_key_points_ask_for_more_agreement() -> None:
    """A texture match with many key points is certain; the same with few of them is not."""
    found = PixelMatch(texture=0.7, sharpness=0.5, windows=40)
    assert found.certain(support=30)
    assert not found.certain(support=8)


def test_parallel_stripes_are_not_certain() -> None:
    """Parallel stripes also agree with a shifted copy, so they are no proof."""
    stripes = np.tile(np.where(np.arange(150) % 11 < 4, 200, 60).astype(np.uint8), (150, 1))
    one = compared_picture(stripes)
    still = about_middle(np.eye(2), 96)
    assert not match_pixels(one, one, [still], 60, by_points=True).certain(support=60)


@pytest.mark.parametrize(
    ("residual", "windows", "certain"), [(0.6, 12, False), (0.9, 12, True), (0.6, 50, True)]
)
def test_sparse_pictures_also_need_matching_thumbnails(
    residual: float, windows: float, certain: bool
) -> None:
    """Many drawings contain the same few straight lines: their texture alone is no proof."""
    pixel_match = PixelMatch(texture=0.97, sharpness=0.6, windows=windows)
    match = Alignment(about_middle(np.eye(2), 96), residual, 0.5, 0.5, 0.1, 0.8, 8, pixel_match)
    assert match.certain is certain


QUARTER_TURN = np.array([[0.0, -1.0], [1.0, 0.0]])


@pytest.mark.parametrize(
    ("linear", "texture", "support", "windows", "certain"),
    [
        (np.eye(2), 0.9, 20, 12, True),
        (1.05 * np.eye(2), 0.9, 20, 12, True),
        (QUARTER_TURN, 0.9, 20, 12, False),
        (np.diag([-1.0, 1.0]), 0.9, 20, 12, False),
        (1.3 * np.eye(2), 0.9, 20, 12, False),
        (QUARTER_TURN, 0.96, 20, 12, True),
        (QUARTER_TURN, 0.96, 2, 12, False),
        (QUARTER_TURN, 0.9, 20, 50, True),
    ],
)
def test_turned_sparse_pictures_need_more_agreement(
    linear: NDArray[np.float64], texture: float, support: int, windows: float, certain: bool
) -> None:
    """One arc or blot fits others when it is turned, mirrored or scaled: so printed circuits of
    different boards were called copies."""
    pixel_match = PixelMatch(texture=texture, sharpness=0.6, windows=windows)
    pose = about_middle(linear, 96)
    match = Alignment(pose, 0.98, 0.5, 0.5, 0.1, 0.8, support, pixel_match)
    assert match.certain is certain


def test_groups_follow_links() -> None:
    """Rows linked through others form one group; an unlinked row is a group."""
    assert sorted(map(sorted, linked_groups(5, [(0, 1), (1, 3)]))) == [[0, 1, 3], [2], [4]]


@dataclass(frozen=True, slots=True)
class DrawnPictures:
    """Draws the picture of a row again, in any process."""

    seeds: tuple[int, ...]

    def __call__(self, row: int) -> ComparedPicture:
        return compared_picture(self.picture(row))

    def picture(self, row: int) -> Pixels:
        """The picture of a row; a negative seed is that part, turned by a quarter."""
        seed = self.seeds[row]
        return grey(draw_part(seed) if seed >= 0 else np.rot90(draw_part(-seed)).copy())


def _search(seeds: tuple[int, ...], workers: int, **options: Any) -> FoundCopies:
    drawn = DrawnPictures(seeds)
    with FingerprintStore(len(seeds)) as store:
        for row in range(len(seeds)):
            store.add(fingerprint(drawn.picture(row)))
        steps = progress(len(seeds), thorough=bool(options.get("thorough")))
        return find_copies(store, shared_by_all(store), drawn, workers, steps, **options)


def test_processes_find_what_one_process_finds() -> None:
    """The number of processes changes no finding."""
    seeds = (1, 2, 3, 4, 5, -2)
    alone, together = _search(seeds, 1), _search(seeds, 2)
    assert [pair for pair, match in alone.matches.items() if match.certain] == [(1, 5)]
    assert set(alone.matches) == set(together.matches)
    for pair, match in alone.matches.items():
        assert match.residual == pytest.approx(together.matches[pair].residual, abs=1e-4)


def test_the_thorough_search_compares_more_pairs() -> None:
    """It keeps what the usual search found and says how many copies it adds."""
    seeds = (*range(1, 13), -2, -7)
    usual, thorough = _search(seeds, 1), _search(seeds, 1, thorough=True)
    copies = {(1, 12), (6, 13)}
    for found in (usual, thorough):
        assert {pair for pair, match in found.matches.items() if match.certain} == copies
    assert thorough.added == usual.added == 0
    assert thorough.compared >= usual.compared


@given(
    n=st.integers(30, 80),
    count=st.integers(1, 6),
    seed=st.integers(0, 99),
)
def test_no_picture_causes_more_than_its_share_of_comparisons(
    n: int, count: int, seed: int
) -> None:
    """In a family where all pairs look alike, the pairs to compare grow with the pictures."""
    rng = np.random.default_rng(seed)
    found = {
        (low, high): Alignment(np.eye(2, 3), float(rng.uniform(0.75, 1)), 0.9, 0.9, 0.9, 1.0)
        for low in range(n)
        for high in range(low + 1, n)
    }
    sides = ["test" if row % 4 == 0 else "" for row in range(n)]
    chosen = worth_comparing(found, sides, count)
    assert len(chosen) <= 2 * count * n
    across = {pair for pair in chosen if sides[pair[0]] != sides[pair[1]]}
    assert across, "pairs across the split have a share of their own"
    best = max(found, key=lambda pair: found[pair].residual)
    assert best in chosen


def test_the_search_ends_when_too_many_test_pictures_leak() -> None:
    """Pairs across the split come first; with more leaks than allowed no other pair is compared."""
    seeds = (1, 2, 3, 4, 5, 6, -1, -2, -3, 4)
    sides = ["", "", "", "", "", "", "test", "test", "test", ""]
    stopped = _search(seeds, 1, sides=sides, max_leaking=2)
    whole = _search(seeds, 1, sides=sides, max_leaking=3)
    assert stopped.stopped
    assert {pair for pair, match in stopped.matches.items() if match.certain} == {
        (0, 6),
        (1, 7),
        (2, 8),
    }
    assert not whole.stopped
    assert {pair for pair, match in whole.matches.items() if match.certain} == {
        (0, 6),
        (1, 7),
        (2, 8),
        (3, 9),
    }


def test_the_progress_of_an_audit_never_goes_back_and_ends_at_the_whole() -> None:
    """Steps with other numbers of entries than expected change the speed, not the direction."""
    seen: list[int] = []
    steps = TotalProgress(lambda _step, done, total: seen.append(done * 1000 // total), 50)
    for number, name in enumerate(STEPS):
        report, total = steps.step(name), 10 ** (number % 4)
        for done in range(total + 1):
            report(done, total)
    assert seen == sorted(seen)
    assert seen[-1] == 1000
