"""Builds the inspector and the judge that config.yaml describes."""

import logging
from collections.abc import Mapping
from dataclasses import replace

from edge.config import Config
from edge.core.clock import Clock
from edge.core.percentiles import Latencies
from edge.inspection import Inspector, Overrides, ViewCrop, load_inspector
from edge.pipeline.decode_parity import DecodeParity
from edge.pipeline.frame_inspector import CameraProfile, OnBadPicture
from edge.pipeline.judge import Judge, Provenance
from edge.pipeline.view_selection import view_of

log = logging.getLogger(__name__)


def build_inspector(config: Config) -> Inspector:
    """Loads the model of config.yaml and checks it with its golden pictures.

    Raises ModelError, or RefusedError when the model judges differently on this box.
    """
    model, decision = config.model, config.decision
    overrides = Overrides(
        labels=model.labels,
        ok_label=model.ok_label,
        output=model.output,
        reject_at=decision.reject_at,
        review_from=decision.review_from,
    )
    inspector = load_inspector(model.path, overrides, model.interpreter, model.threads)
    inspector.check_golden()
    if model.decoding == "whole":
        return replace(inspector, decoding="whole")
    if (differs := inspector.reduced_decode_conflict()) is not None:
        log.warning("model %s: pictures are decoded whole: %s", model.path, differs)
        return replace(inspector, decoding="whole")
    return inspector


def build_judge(
    config: Config,
    inspector: Inspector,
    clock: Clock,
    deadline_ms: float | None,
    *,
    latencies: Latencies | None = None,
    profiles: Mapping[str, CameraProfile] | None = None,
    on_bad_picture: OnBadPicture = lambda _camera, _why, _kind: None,
    parity: DecodeParity | None = None,
) -> Judge:
    """A judge with the provenance and decision settings of config.yaml.

    profiles: by camera; None: those of the cameras in config.yaml.

    The other parameters are those of `Judge`.
    """
    if profiles is None:
        profiles = {
            c.id: CameraProfile(ViewCrop(view_of(c, inspector.input)), c.trigger)
            for c in config.cameras
        }
    return Judge(
        inspector,
        Provenance(config.station, config.hash, clock.boot_id()),
        clock,
        deadline_ms,
        profiles=profiles,
        hysteresis=config.decision.hysteresis,
        latencies=latencies,
        on_bad_picture=on_bad_picture,
        parity=parity,
    )
