"""Frames and parts to verdicts: mailbox, part tracker, worker pool, judge."""

from edge.pipeline.build import build_inspector, build_judge
from edge.pipeline.judge import Judge
from edge.pipeline.judges import Judges
from edge.pipeline.part_recovery import verdicts_for_open_parts
from edge.pipeline.part_tracker import PartTracker
from edge.pipeline.pipeline import Pipeline, PipelineChange
from edge.pipeline.recipe_models import RecipeModels, build_judges
from edge.pipeline.recipe_selection import RecipeChange, RecipeSelection
from edge.pipeline.running_state import RunningCameras, RunningModel
from edge.pipeline.view_selection import (
    check_views,
    choose_camera,
    disagreement,
    image_profiles,
    view_of,
)
from edge.pipeline.worker_pool import WorkerPool

__all__ = [
    "Judge",
    "Judges",
    "PartTracker",
    "Pipeline",
    "PipelineChange",
    "RecipeChange",
    "RecipeModels",
    "RecipeSelection",
    "RunningCameras",
    "RunningModel",
    "WorkerPool",
    "build_inspector",
    "build_judge",
    "build_judges",
    "check_views",
    "choose_camera",
    "disagreement",
    "image_profiles",
    "verdicts_for_open_parts",
    "view_of",
]
