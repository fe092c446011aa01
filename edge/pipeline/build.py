"""The side of the model: what config.yaml says of model and decision, as a judge that is ready."""

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


def inspector_from(config: Config) -> Inspector:
    """The model that config.yaml names, ready to judge, its golden pictures judged.

    Raises ModelError, or RefusedError when the model judges differently on this box.
    """
    model, decision = config.model, config.decision
    said = Overrides(
        labels=model.labels,
        ok_label=model.ok_label,
        output=model.output,
        reject_at=decision.reject_at,
        review_from=decision.review_from,
    )
    inspector = load_inspector(model.path, said, model.interpreter, model.threads)
    inspector.check_golden()
    if model.decoding == "whole":
        return replace(inspector, decoding="whole")
    if (differs := inspector.reduced_decode_conflict()) is not None:
        log.warning("model %s: pictures are decoded whole: %s", model.path, differs)
        return replace(inspector, decoding="whole")
    return inspector


def judge_from(
    config: Config,
    inspector: Inspector,
    environment: Clock,
    deadline_ms: float | None,
    *,
    latencies: Latencies | None = None,
    manners: Mapping[str, CameraProfile] | None = None,
    on_bad_picture: OnBadPicture = lambda _camera, _why, _kind: None,
    parity: DecodeParity | None = None,
) -> Judge:
    """A judge whose verdicts say where they come from. `manners`: other than the cameras' own.
    `latencies`, `on_bad_picture` and `parity` as `Judge` takes them."""
    provenance = Provenance(config.station, config.hash, environment.boot_id())
    if manners is None:
        manners = {
            c.id: CameraProfile(ViewCrop(view_of(c, inspector.input)), c.trigger)
            for c in config.cameras
        }
    return Judge(
        inspector,
        provenance,
        environment,
        deadline_ms,
        manners=manners,
        hysteresis=config.decision.hysteresis,
        latencies=latencies,
        on_bad_picture=on_bad_picture,
        parity=parity,
    )
