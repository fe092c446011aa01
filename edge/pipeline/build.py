"""Builds the inspector and the judge that config.yaml describes."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from edge.config import Config, key_position
from edge.core.clock import Clock
from edge.core.errors import ConfigError, ModelError
from edge.core.percentiles import Latencies
from edge.core.terms import Scaling
from edge.core.verdict import RecipeIdentity
from edge.inspection import (
    SCALINGS,
    CheckPicture,
    Inspector,
    ModelFile,
    Overrides,
    ScalingError,
    ViewCrop,
    check_with_pictures,
    find_check_pictures,
    load_inspector,
    refuse_wrong_verdicts,
)
from edge.models import read_model
from edge.pipeline.frame_inspector import CameraProfile, OnBadPicture
from edge.pipeline.judge import Judge, Provenance
from edge.pipeline.view_selection import view_of


def build_inspector(
    config: Config, file: Path | None = None, model: ModelFile | None = None
) -> Inspector:
    """Loads the model of config.yaml, and checks it with its golden pictures and with those of
    `model.check_pictures`.

    `file`: of `config`, for messages. `model`: another model under the same settings. Raises
    ModelError, ConfigError for a `model.decoding` that contradicts the model, or RefusedError when
    the model judges a picture otherwise, or its signature is wrong.
    """
    if model is None:
        model = read_model(config)
    inspector = _load(config, model, config.model.scaling)
    if config.model.decoding == "whole":
        inspector = _decoded_whole(inspector, file)
    inspector.check_golden()
    if config.model.check_pictures is not None:
        _check_pictures(config, config.model.check_pictures, inspector)
    return inspector


def _decoded_whole(inspector: Inspector, file: Path | None) -> Inspector:
    """Takes away what model/1 permits. The rule of model/2 stays: scores and thresholds belong to
    it. Raises ConfigError when that rule reduces."""
    spec = inspector.file.spec
    if spec is not None and spec.input.reduces:
        place = "" if file is None else f"{key_position(file, 'model', 'decoding')}: "
        problem = (
            f"{place}model.decoding: {inspector.file.path} was trained and measured on JPEGs "
            "decoded at reduced scale, and whole ones would get other verdicts; remove the key, or "
            "train again with edge-train --decoding whole (got 'whole')"
        )
        raise ConfigError([problem])
    return inspector if spec is None else replace(inspector, input=spec.input)


def _load(config: Config, file: ModelFile, scaling: Scaling | None) -> Inspector:
    model, decision = config.model, config.decision
    overrides = Overrides(
        labels=model.labels,
        ok_label=model.ok_label,
        output=model.output,
        scaling=scaling,
        reject_at=decision.reject_at,
        review_from=decision.review_from,
    )
    try:
        return load_inspector(file, overrides, model.interpreter, model.threads)
    except ScalingError as error:
        if scaling is not None or model.check_pictures is None:
            raise
        pictures = find_check_pictures(model.check_pictures, model.ok_label or "ok")
        right = _right_scalings(config, file, pictures)
        tried = (
            "no scaling judges all of them"
            if not right
            else f"with {' or '.join(right)} all are judged"
        )
        raise ScalingError(f"{error}; {tried} right ({len(pictures)} pictures)") from error


def _right_scalings(
    config: Config, file: ModelFile, pictures: tuple[CheckPicture, ...]
) -> tuple[Scaling, ...]:
    """The scalings with which a plain model judges all the pictures right."""
    right: list[Scaling] = []
    for scaling in SCALINGS:
        try:
            if not check_with_pictures(_load(config, file, scaling), pictures).wrong:
                right.append(scaling)
        except ModelError:
            continue  # this scaling does not fit the input tensor
    return tuple(right)


def _check_pictures(config: Config, folder: Path, inspector: Inspector) -> None:
    """Raises RefusedError when a picture of a known part is judged wrong."""
    pictures = find_check_pictures(folder, inspector.ok_label)
    result = check_with_pictures(inspector, pictures)
    plain = inspector.scaling is not None
    better = _right_scalings(config, inspector.file, pictures) if result.wrong and plain else ()
    refuse_wrong_verdicts(inspector, result, better)


def build_judge(
    config: Config,
    inspector: Inspector,
    clock: Clock,
    deadline_ms: float | None,
    *,
    latencies: Latencies | None = None,
    profiles: Mapping[str, CameraProfile] | None = None,
    on_bad_picture: OnBadPicture = lambda _camera, _why, _kind: None,
    recipe: RecipeIdentity | None = None,
    config_hash: str | None = None,
) -> Judge:
    """A judge with the provenance and decision settings of config.yaml.

    profiles: by camera; None: those of the cameras in config.yaml.
    recipe, config_hash: for a configuration that was merged with a recipe: its identity, and the
        hash of the whole file.

    The other parameters are those of `Judge`.
    """
    if profiles is None:
        profiles = {
            c.id: CameraProfile(ViewCrop(view_of(c, inspector.input)), c.trigger)
            for c in config.cameras
        }
    return Judge(
        inspector,
        Provenance(config.station, config_hash or config.hash, clock.boot_id(), recipe),
        clock,
        deadline_ms,
        profiles=profiles,
        hysteresis=config.decision.hysteresis,
        latencies=latencies,
        on_bad_picture=on_bad_picture,
    )
