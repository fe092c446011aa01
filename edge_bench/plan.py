"""The plan: what to measure, how often and for how long."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from edge.core.terms import Durability, Runtime

Part = Literal["throughput", "latency", "start", "memory", "rates", "idle"]
Format = Literal["jpeg", "yuyv"]
PARTS: tuple[Part, ...] = get_args(Part)
FORMATS: tuple[Format, ...] = get_args(Format)
SIZES: dict[str, tuple[int, int]] = {  # width, height in pixels
    "vga": (640, 480),
    "1080p": (1920, 1080),
    "4k": (3840, 2160),
}
OWN = "own"  # the size that the user's pictures have
LEVELS: tuple[Durability, ...] = ("strict", "balanced")


@dataclass(frozen=True, slots=True)
class Plan:
    """Seconds are of each measurement in each round, without what starting takes. `live_size` is
    that of the parts with a live camera."""

    rounds: int
    seconds: float
    sizes: tuple[str, ...]
    formats: tuple[Format, ...] = FORMATS
    workers: tuple[int, ...] = (1,)
    interpreters: tuple[Runtime, ...] = ("litert",)
    parts: tuple[Part, ...] = PARTS
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
        """1080p where that is measured, else the first size."""
        return "1080p" if "1080p" in self.sizes else self.sizes[0]

    @property
    def drawn_sizes(self) -> tuple[str, ...]:
        """The sizes of which pictures are needed."""
        return self.sizes if "throughput" in self.parts else (self.live_size,)
