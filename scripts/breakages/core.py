"""Breakages of edge/core, and the tests that must notice them."""

from scripts.breakages.breakage import Breakage
from scripts.code_edit import Edit

CORE = [
    Breakage(
        "every verdict is `replayed`: false",
        Edit(
            "edge.core.messages:sent_body",
            "replayed",
            "False",
        ),
        "tests/edge/storage tests/edge/mqtt",
    ),
    Breakage(
        "a link in a folder is judged",
        Edit(
            "edge.core.regular_file:read_regular",
            "os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK",
            "os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK",
        ),
        "tests/edge/capture/test_hostile_entries.py",
    ),
    Breakage(
        "unknown keys are accepted",
        Edit(
            "edge.core.record:Model",
            '"forbid"',
            '"ignore"',
        ),
        "tests/edge/config/test_loader.py tests/edge/core/test_validation.py",
    ),
    Breakage(
        "a truncated picture is judged",
        Edit(
            "edge.core.image:_refuse_truncated",
            "not whole",
            "False",
        ),
        "tests/edge/core/test_image.py",
    ),
    Breakage(
        "a JPEG that is damaged inside is judged",
        Edit(
            "edge.core.jpeg:_pixels",
            "simplejpeg.decode_jpeg("
            "data, colours, min_width=width, min_height=height, strict=True)",
            "simplejpeg.decode_jpeg("
            "data, colours, min_width=width, min_height=height, strict=False)",
        ),
        "tests/edge/core/test_jpeg.py",
    ),
    Breakage(
        "a progressive JPEG without its last scans is judged",
        Edit("edge.core.jpeg:decode_jpeg", "header.several_scans", "False"),
        "tests/edge/core/test_jpeg.py",
    ),
]
