"""The plan of a run: measurements, rounds and durations."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from edge.core.terms import Durability, Runtime

Section = Literal["throughput", "latency", "start", "memory", "rates", "idle"]
Format = Literal["jpeg", "yuyv"]
SECTIONS: tuple[Section, ...] = get_args(Section)
FORMATS: tuple[Format, ...] = get_args(Format)
SIZES: dict[str, tuple[int, int]] = {  # width, height in pixels
    "vga": (640, 480),
    "1080p": (1920, 1080),
    "4k": (3840, 2160),
}
OWN = "own"  # the size of the user's pictures
LEVELS: tuple[Durability, ...] = ("strict", "balanced")


@dataclass(frozen=True, slots=True)
class Plan:
    """The plan of a run. Seconds are per measurement and round, without the start of the daemon.

    `live_size` is the picture size of the measurements with a live camera.
    """

    rounds: int
    seconds: float
    sizes: tuple[str, ...]
    formats: tuple[Format, ...] = FORMATS
    workers: tuple[int, ...] = (1,)
    interpreters: tuple[Runtime, ...] = ("litert",)
    sections: tuple[Section, ...] = SECTIONS
    pictures: Path | None = None
    picture_count: int = 8
    latency_frames: int = 50
    latency_rate: float = 10.0
    rates: tuple[float, ...] = (1, 5, 10, 30)
    rate_seconds: float = 3.0
    live_cameras: tuple[int, ...] = (1, 2, 4)
    memory_seconds: float = 3.0
    memory_rate: float = 10.0
    idle_seconds: float = 5.0
    notes: tuple[str, ...] = ()

    @property
    def live_size(self) -> str:
        """1080p if it is measured, else the first size."""
        return "1080p" if "1080p" in self.sizes else self.sizes[0]

    @property
    def drawn_sizes(self) -> tuple[str, ...]:
        """The sizes that need pictures."""
        return self.sizes if "throughput" in self.sections else (self.live_size,)
