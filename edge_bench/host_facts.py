"""Processor, memory, kernel and library versions for the report."""

import importlib.metadata
import os
import platform
from pathlib import Path
from typing import Any

_PACKAGES = (
    "ai-edge-litert",
    "tflite-runtime",
    "opencv-python-headless",
    "simplejpeg",
    "numpy",
    "paho-mqtt",
    "pydantic",
)


def machine_facts(root: Path = Path("/")) -> dict[str, Any]:
    """The facts of this machine; an unknown value is None. `root` is a fixture tree in tests."""
    versions = {}
    for name in _PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    cores = len(os.sched_getaffinity(0))
    return {
        "processor": _processor(root),
        "architecture": platform.machine(),
        "cores": cores,
        "memory_mb": _memory_mb(root),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load_before": round(os.getloadavg()[0], 2),
        "packages": versions,
    }


def _processor(root: Path) -> str | None:
    """The kernel's name of the processor, or of the board on a Raspberry Pi."""
    lines = _lines(root / "proc/cpuinfo")
    for key in ("model name", "Model"):
        for line in lines:
            if line.partition(":")[0].strip() == key:
                return line.partition(":")[2].strip()
    return None


def _memory_mb(root: Path) -> int | None:
    for line in _lines(root / "proc/meminfo"):
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) // 1024
    return None


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
