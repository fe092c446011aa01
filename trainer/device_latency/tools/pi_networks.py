"""The operators of the networks whose times on Raspberry Pis are published.

They are counted from the papers and the reference code. Nothing is downloaded; weights do not
matter.
"""

import math
from collections.abc import Sequence

from trainer.device_latency import OperatorWork

# expand, channels, repeats, stride, kernel
_LITE = (
    (1, 16, 1, 1, 3),
    (6, 24, 2, 2, 3),
    (6, 40, 2, 2, 5),
    (6, 80, 3, 2, 3),
    (6, 112, 3, 1, 5),
    (6, 192, 4, 2, 5),
    (6, 320, 1, 1, 3),
)
_MOBILE2 = (
    (1, 16, 1, 1, 3),
    (6, 24, 2, 2, 3),
    (6, 32, 3, 2, 3),
    (6, 64, 4, 2, 3),
    (6, 96, 3, 1, 3),
    (6, 160, 3, 2, 3),
    (6, 320, 1, 1, 3),
)
# of EfficientDet-Lite: width, depth, side, filters, cells, layers of a head
DETECTORS = {
    "EfficientDet-Lite0": (1.0, 1.0, 320, 64, 3, 3),
    "EfficientDet-Lite1": (1.0, 1.1, 384, 88, 4, 3),
    "EfficientDet-Lite2": (1.1, 1.2, 448, 112, 5, 3),
    "EfficientDet-Lite3": (1.2, 1.4, 512, 160, 6, 4),
    "EfficientDet-Lite3x": (1.2, 1.4, 640, 200, 6, 4),
    "EfficientDet-Lite4": (1.4, 1.8, 640, 224, 7, 4),
}
ANCHORS, CLASSES = 9, 90


class OperatorCounter:
    """Collects the operators of a network in order. Maps are (side, channels)."""

    def __init__(self, dtype: str) -> None:
        self.works: list[OperatorWork] = []
        self._dtype = dtype

    def conv(
        self, side: int, channels_in: int, channels_out: int, kernel: int, stride: int = 1
    ) -> int:
        """Adds a convolution; returns the side of its output."""
        out = -(-side // stride)
        kind = "pointwise" if kernel == 1 else "conv"
        values = side * side * channels_in + out * out * channels_out
        self._add(kind, out * out, (kernel**2, channels_in, channels_out), values)
        return out

    def depthwise(self, side: int, channels: int, kernel: int, stride: int = 1) -> int:
        """Adds a depthwise convolution; returns the side of its output."""
        out = -(-side // stride)
        values = (side * side + out * out) * channels
        self._add("depthwise", out * out, (kernel**2, 1, channels), values)
        return out

    def separable(self, side: int, channels_in: int, channels_out: int) -> None:
        """Adds a depthwise 3 × 3, then a pointwise convolution."""
        self.depthwise(side, channels_in, 3)
        self.conv(side, channels_in, channels_out, 1)

    def plain(self, kind: str, output_pixels: int, channels: int, values: int) -> None:
        """Adds an operator without multiply-adds."""
        self._add(kind, output_pixels, (0, 0, channels), values)

    def inverted_residuals(
        self, side: int, blocks: Sequence[tuple[int, int, int, int, int]], channels_in: int
    ) -> list[tuple[int, int]]:
        """Adds inverted residual blocks; returns the map before each halving and the last one."""
        maps = []
        for expand, channels, repeats, stride, kernel in blocks:
            for at in range(repeats):
                step = stride if at == 0 else 1
                expanded = expand * channels_in
                if step == 2:
                    maps.append((side, channels_in))
                if expand > 1:
                    self.conv(side, channels_in, expanded, 1)
                side = self.depthwise(side, expanded, kernel, step)
                self.conv(side, expanded, channels, 1)
                if step == 1 and channels_in == channels:
                    self.plain("binary", side * side, channels, 3 * side * side * channels)
                channels_in = channels
        return [*maps, (side, channels_in)]

    def _add(
        self, kind: str, output_pixels: int, kernel: tuple[int, int, int], values: int
    ) -> None:
        kernel_pixels, channels_in, channels_out = kernel
        self.works.append(
            OperatorWork(
                kind, self._dtype, output_pixels, kernel_pixels, channels_in, channels_out, values
            )
        )


def mobilenet_v1(dtype: str) -> tuple[OperatorWork, ...]:
    """MobileNetV1 1.0, 224 pixels."""
    counter = OperatorCounter(dtype)
    side, channels_in = counter.conv(224, 3, 32, 3, 2), 32
    for channels, stride in (
        (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2),
        *((512, 1),) * 5, (1024, 2), (1024, 1),
    ):  # fmt: skip
        side = counter.depthwise(side, channels_in, 3, stride)
        counter.conv(side, channels_in, channels, 1)
        channels_in = channels
    counter.plain("mean", 1, 1024, side * side * 1024)
    counter.conv(1, 1024, 1001, 1)
    return tuple(counter.works)


def mobilenet_v2(dtype: str) -> tuple[OperatorWork, ...]:
    """MobileNetV2 1.0, 224 pixels."""
    counter = OperatorCounter(dtype)
    side = counter.conv(224, 3, 32, 3, 2)
    side, channels = counter.inverted_residuals(side, _MOBILE2, 32)[-1]
    counter.conv(side, channels, 1280, 1)
    counter.plain("mean", 1, 1280, side * side * 1280)
    counter.conv(1, 1280, 1001, 1)
    return tuple(counter.works)


def resnet(dtype: str, depth: int) -> tuple[OperatorWork, ...]:
    """ResNet-18 or ResNet-50, 224 pixels."""
    counter = OperatorCounter(dtype)
    side = counter.conv(224, 3, 64, 7, 2)
    counter.plain("pool", 56 * 56, 64, (side * side + 56 * 56) * 64)
    side, channels_in, repeats = 56, 64, (2, 2, 2, 2) if depth == 18 else (3, 4, 6, 3)
    for stage, times in enumerate(repeats):
        width = 64 * 2**stage
        channels_out = width if depth == 18 else 4 * width
        for at in range(times):
            stride = 2 if stage and at == 0 else 1
            if channels_in != channels_out:
                counter.conv(side, channels_in, channels_out, 1, stride)
            if depth == 18:
                side = counter.conv(side, channels_in, width, 3, stride)
                counter.conv(side, width, width, 3)
            else:
                counter.conv(side, channels_in, width, 1)
                side = counter.conv(side, width, width, 3, stride)
                counter.conv(side, width, channels_out, 1)
            counter.plain("binary", side * side, channels_out, 3 * side * side * channels_out)
            channels_in = channels_out
    counter.plain("mean", 1, channels_in, side * side * channels_in)
    counter.conv(1, channels_in, 1000, 1)
    return tuple(counter.works)


def detector(name: str, dtype: str) -> tuple[OperatorWork, ...]:
    """EfficientDet-Lite as google/automl defines it, with the sorting of boxes at its end."""
    width, depth, side, filters, cells, layers = DETECTORS[name]
    counter = OperatorCounter(dtype)
    blocks = [
        (
            expand,
            _rounded(channels * width),
            repeats if at in (0, len(_LITE) - 1) else math.ceil(repeats * depth),
            stride,
            kernel,
        )
        for at, (expand, channels, repeats, stride, kernel) in enumerate(_LITE)
    ]
    maps = counter.inverted_residuals(counter.conv(side, 3, 32, 3, 2), blocks, 32)
    levels = _pyramid(counter, maps, filters, cells)
    for channels_out in (ANCHORS * CLASSES, ANCHORS * 4):
        for level in levels:
            for _ in range(layers):
                counter.separable(level, filters, filters)
            counter.separable(level, filters, channels_out)
    boxes = sum(level * level for level in levels)
    scores = boxes * ANCHORS * CLASSES
    for kind in ("sigmoid", "cast", "move"):  # of the scores; the last stands for their sorting
        counter.plain(kind, boxes * ANCHORS, CLASSES, 2 * scores)
    return tuple(counter.works)


def _pyramid(
    counter: OperatorCounter, maps: Sequence[tuple[int, int]], filters: int, cells: int
) -> list[int]:
    """The BiFPN on the maps at 1/8, 1/16 and 1/32; returns the sides of its five levels."""
    # maps[0] is the one before 1/4; the map at 1/32 is the last.
    (eighth, sixteenth, last) = maps[2], maps[3], maps[-1]
    levels = [eighth[0], sixteenth[0], last[0]]
    levels += [-(-levels[-1] // 2)]
    levels += [-(-levels[-1] // 2)]
    counter.conv(last[0], last[1], filters, 1)  # to the next coarser level
    for place, (side, channels) in enumerate((eighth, sixteenth, last)):
        for _ in range(1 if place == 0 else 2):
            counter.conv(side, channels, filters, 1)
    # The level of each node and its number of inputs: top-down, then bottom-up.
    nodes = ((3, 2), (2, 2), (1, 2), (0, 2), (1, 3), (2, 3), (3, 3), (4, 2))
    for _ in range(cells):
        for level, channels_in in nodes:
            side = levels[level]
            values = side * side * filters
            counter.plain("move", side * side, filters, 2 * values)  # resized to this level
            for _ in range(channels_in - 1):
                counter.plain("binary", side * side, filters, 3 * values)
            counter.separable(side, filters, filters)
    return levels


def _rounded(channels: float) -> int:
    """The number of channels as a multiple of 8, at least 90 % of `channels`."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded
