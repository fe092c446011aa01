"""What computes on this box: the processor, and the versions of the libraries that judging uses.

Scores are equal to the last bit only where all of it is equal.
"""

import contextlib
import platform
import re
from importlib import metadata
from pathlib import Path

import edge

_DISTRIBUTIONS = {  # by the name that a person knows
    "litert": "ai-edge-litert",
    "tflite-runtime": "tflite-runtime",
    "opencv": "opencv-python-headless",
    "simplejpeg": "simplejpeg",
    "numpy": "numpy",
}
_MODEL = re.compile(r"^(?:model name|Model|Hardware)\s*:\s*(.+)$", re.MULTILINE)


def processor(root: Path) -> str:
    """The processor's name as the kernel gives it, else the machine's kind. `root`: `/`."""
    with contextlib.suppress(OSError):
        found = _MODEL.search((root / "proc/cpuinfo").read_text(errors="replace"))
        if found is not None:
            return found[1].strip()[:100]
    return platform.machine()


def library_versions() -> dict[str, str]:
    """The versions of the installed libraries, by name."""
    found = {}
    for name, distribution in _DISTRIBUTIONS.items():
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(distribution)
    return found


def judged_on(root: Path, runtime: str) -> dict[str, str | None]:
    """The `judged_on` of an evidence record. `runtime`: litert or tflite-runtime."""
    versions = library_versions()
    return {
        "machine": platform.machine(),
        "processor": processor(root),
        "runtime": runtime,
        "runtime_version": versions.get(runtime),
        "opencv": versions.get("opencv"),
        "simplejpeg": versions.get("simplejpeg"),
        "numpy": versions.get("numpy"),
        "edge_inspect": edge.__version__,
    }
