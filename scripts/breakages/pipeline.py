"""Breakages of edge/pipeline, and the tests that must notice them."""

from scripts.breakages.breakage import Breakage
from scripts.code_edit import Edit

PIPELINE = [
    Breakage(
        "a fault becomes pass",
        Edit(
            "edge.pipeline.judge:Judge._verdict",
            "judgement.outcome if judgement else 'error'",
            "judgement.outcome if judgement else 'pass'",
        ),
        "tests/edge/pipeline",
    ),
    Breakage(
        "the deadline is ignored",
        Edit(
            "edge.pipeline.judge:Judge._late",
            "age_ms <= self._deadline_ms",
            "True",
        ),
        "tests/edge/pipeline",
    ),
    Breakage(
        "a frame from before the trigger is taken",
        Edit(
            "edge.pipeline.part_tracker:PartTracker._assign",
            "frame.captured_tick >= part.due",
            "True",
        ),
        "tests/edge/pipeline/test_part_tracker.py",
    ),
    Breakage(
        "a frame serves two parts",
        Edit(
            "edge.pipeline.part_tracker:PartTracker._assign",
            "return [*part_frames, PartFrame(part, _owned(frame))]",
            "part_frames.append(PartFrame(part, _owned(frame)))",
        ),
        "tests/edge/pipeline/test_part_tracker.py",
    ),
    Breakage(
        "a part is judged by the recipe of its frame",
        Edit(
            "edge.pipeline.part_assembler:PartAssembler.add",
            "self._judges.of(part.recipe)",
            "self._judges.of(part_frame.frame.recipe)",
        ),
        "tests/edge/pipeline/test_recipes.py",
    ),
    Breakage(
        "a recipe in use is unloaded",
        Edit(
            "edge.pipeline.recipe_models:RecipeModels._make_room",
            "number not in keep",
            "number != wanted",
        ),
        "tests/edge/pipeline/test_recipes.py tests/edge/pipeline/test_recipe_pipeline.py",
    ),
    Breakage(
        "a refused recipe leaves the one before",
        Edit(
            "edge.pipeline.recipe_selection:RecipeSelection.choose",
            "before == number",
            "before == number or number not in self.names",
        ),
        "tests/edge/pipeline/test_recipes.py tests/edge/pipeline/test_recipe_selection.py",
    ),
    Breakage(
        "a part's deadline is ignored",
        Edit(
            "edge.pipeline.part_tracker:PartTracker.overdue",
            "tick >= each.part.until",
            "False",
        ),
        "tests/edge/pipeline/test_part_tracker.py",
    ),
    Breakage(
        "a late judgement of a part counts",
        Edit(
            "edge.pipeline.judge:Judge._late",
            "tick <= part.until",
            "True",
        ),
        "tests/edge/pipeline",
    ),
    Breakage(
        "open parts are forgotten at the stop",
        Edit(
            "edge.pipeline.part_assembler:PartAssembler.end_parts",
            "tracker.stop_accepting()",
            "tracker.stop_accepting()[:0]",
        ),
        "tests/edge/pipeline",
    ),
    Breakage(
        "an open part is noted too late for a kill",
        Edit(
            "edge.pipeline.part_tracker:PartTracker._announce",
            "self._on_accepted(part)",
            "",
        ),
        "tests/edge/pipeline/test_part_tracker.py",
    ),
    Breakage(
        "the mailbox keeps the oldest frame",
        Edit(
            "edge.pipeline.mailbox:Mailbox.offer",
            "slot.clear()",
            "return",
        ),
        "tests/edge/capture",
    ),
    Breakage(
        "large pictures of a folder are not limited by bytes",
        Edit(
            "edge.pipeline.mailbox:_Slot.is_full",
            "self.bytes >= _ITEMS_BYTES",
            "False",
        ),
        "tests/edge/pipeline/test_mailbox.py",
    ),
]
