"""Wrong labels, shortcut features and parts inferred from file names."""

import cv2
import numpy as np

from tests.trainer.audit.conftest import draw_part
from trainer.audit.alignment import shared_structure
from trainer.audit.features import CheapFeatures
from trainer.audit.fingerprint import EMPTY_FINGERPRINT, fingerprint
from trainer.audit.fingerprint_store import FingerprintStore
from trainer.audit.inferred_groups import file_stems, infer_groups
from trainer.audit.label_errors import rank_labels, suspected_mislabels
from trainer.audit.residual_features import residual_features
from trainer.audit.scan import AuditItem, Lighting, ScannedPicture
from trainer.audit.shortcut_features import find_shortcuts


def scanned_picture(label: str, number: int, brightness: float) -> ScannedPicture:
    from pathlib import Path

    item = AuditItem(Path("x"), f"{label}/{number}.png", label, "", None)
    light = Lighting(brightness, 20.0, 0.5)
    blank = np.zeros(3, np.float32)
    return ScannedPicture(
        item, 100, 80, "grey", 900, b"", bytes([number]), light, EMPTY_FINGERPRINT, blank
    )


def test_flipped_labels_are_ranked_first() -> None:
    """Of 6 flipped labels among 200 pictures, at least 5 are in the first 20."""
    rng = np.random.default_rng(5)
    truth = np.arange(200) % 2
    features = rng.normal(0, 1, (200, 10)).astype(np.float32)
    features[:, 0] += 4 * truth
    flipped = rng.choice(200, 6, replace=False)
    given = truth.copy()
    given[flipped] = 1 - given[flipped]
    labels = [["ok", "dent"][one] for one in given]
    files = [f"{at}" for at in range(200)]
    ranking = rank_labels(features, labels, files, [[] for _ in files], files)
    assert len({int(one.file) for one in ranking[:20]} & set(flipped.tolist())) >= 5
    assert {one.file for one in suspected_mislabels(ranking)} <= {one.file for one in ranking[:20]}


def test_lots_of_different_appearance_are_ranked_correctly() -> None:
    """Two lots look different; a wrong label is found within each lot."""
    rng = np.random.default_rng(4)
    lot = np.arange(240) // 120
    truth = np.arange(240) % 2
    features = rng.normal(0, 0.5, (240, 4)).astype(np.float32)
    features[:, 0] += 4 * lot
    features[:, 1] += np.where(lot == 0, 3, -3) * truth  # the opposite sign in the other lot
    given = truth.copy()
    flipped = [7, 60, 130, 200]
    given[flipped] = 1 - given[flipped]
    labels = [["ok", "dent"][one] for one in given]
    files = [f"{at}" for at in range(240)]
    ranking = rank_labels(
        features, labels, [f"lot{one}" for one in lot], [[] for _ in files], files
    )
    assert {int(one.file) for one in ranking[:4]} == set(flipped)


def test_copies_speak_against_a_label() -> None:
    """A picture whose copies all have the other label is ranked first."""
    rng = np.random.default_rng(6)
    labels = ["ok"] * 30 + ["dent"] * 30
    labels[0] = "dent"
    files = [f"{at:02}" for at in range(60)]
    duplicates: list[list[int]] = [[] for _ in files]
    duplicates[0] = [1, 2, 3]
    groups = ["a" if at < 4 else files[at] for at in range(60)]
    ranking = rank_labels(
        rng.normal(0, 1, (60, 4)).astype(np.float32), labels, groups, duplicates, files
    )
    assert ranking[0].file == "00"
    assert ranking[0].why == "3 copies of the same part have another label"


def test_lighting_that_separates_the_classes_is_reported() -> None:
    """Brighter pictures of all defects are a shortcut; equal light for both classes is none."""
    rng = np.random.default_rng(7)
    values = rng.normal(100, 5, 80)
    bright = [
        scanned_picture("ok" if at < 40 else "dent", at, value + (30 if at >= 40 else 0))
        for at, value in enumerate(values)
    ]
    equal = [
        scanned_picture("ok" if at < 40 else "dent", at, value) for at, value in enumerate(values)
    ]
    groups = [str(at) for at in range(80)]
    assert [one.what for one in find_shortcuts(bright, groups, "ok")] == ["brightness"]
    assert find_shortcuts(equal, groups, "ok") == []


def test_stems_that_name_parts_differ_from_counters() -> None:
    """`tile001_exp1` names a part; `cell0001` and one stem for all name none."""
    tiles = [f"ok/tile{at:03}_free_exp{shot}.jpg" for at in range(20) for shot in range(3)]
    named = file_stems(tiles)
    assert named["ok/tile004_free_exp2.jpg"] == "tile004"
    assert file_stems([f"ok/cell{at:04}.png" for at in range(60)]) == {}
    assert file_stems([f"ok/line1_{at:04}.png" for at in range(60)]) == {}


def test_groups_come_from_copies_and_from_names_without_a_manifest() -> None:
    """File names count only without a manifest; copies join groups in both cases."""
    files = [f"ok/t{at:02}_{shot}.png" for at in range(10) for shot in range(2)]
    group, _ = infer_groups(files, [("ok/t00_0.png", "ok/t05_1.png")], {})
    assert group["ok/t00_1.png"] == group["ok/t05_0.png"]
    own = {file: file for file in files}
    group, parts = infer_groups(files, [("ok/t00_0.png", "ok/t05_1.png")], own)
    assert group["ok/t00_1.png"] != group["ok/t05_0.png"]
    assert [part["files"] for part in parts] == [["ok/t00_0.png", "ok/t05_1.png"]]


def test_a_defect_stays_in_the_residual() -> None:
    """Among pictures of one drawing the one with a scratch has the largest residual."""
    pictures = [cv2.cvtColor(draw_part(1), cv2.COLOR_BGR2GRAY).astype(np.int16) for _ in range(40)]
    rng = np.random.default_rng(2)
    with FingerprintStore(40) as store:
        for at, picture in enumerate(pictures):
            noisy = picture + rng.normal(0, 6, picture.shape)
            if at == 23:
                noisy[40:110, 90:94] -= 90
            store.add(fingerprint(np.clip(noisy, 0, 255).astype(np.uint8)))
        numbers = residual_features(store, shared_structure(store, np.arange(40), max_components=1))
    assert np.isfinite(numbers).all()
    assert int(numbers[:, 0].argmax()) == 23


def test_cheap_features_are_finite_and_of_one_length() -> None:
    """Every picture gives the same number of finite features, also a flat and a tiny one."""
    rng = np.random.default_rng(8)
    sizes = [(40, 60), (300, 200), (1, 1), (9, 300)]
    rows = [CheapFeatures().of(rng.integers(0, 255, (*size, 3)).astype(np.uint8)) for size in sizes]
    rows.append(CheapFeatures().of(np.zeros((50, 50, 3), np.uint8)))
    assert len({row.shape for row in rows}) == 1
    assert all(np.isfinite(row).all() for row in rows)
