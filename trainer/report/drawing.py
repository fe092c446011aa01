"""Draws a chart as SVG: axes, lines, bands and bars, in the fonts of the page."""

from collections.abc import Iterable, Sequence
from html import escape

Point = tuple[float, float]

LEFT, RIGHT, TOP, BOTTOM = 60, 22, 12, 40


class Plot:
    """A chart of data ranges `x` and `y` in a box of `width` by `height` CSS pixels.

    It does not clip: the caller's data stay inside the axes. Colours are CSS classes, so print and
    screen may differ.
    """

    def __init__(
        self,
        title: str,
        x: tuple[float, float],
        y: tuple[float, float],
        labels: tuple[str, str],
        size: tuple[int, int] = (420, 300),
    ) -> None:
        self._title, self._x, self._y, self._labels = title, x, y, labels
        self._width, self._height = size
        self._parts: list[str] = []

    def at(self, x: float, y: float) -> Point:
        """The pixel position of a data point."""
        across = (x - self._x[0]) / ((self._x[1] - self._x[0]) or 1)
        up = (y - self._y[0]) / ((self._y[1] - self._y[0]) or 1)
        return (
            round(LEFT + across * (self._width - LEFT - RIGHT), 2),
            round(self._height - BOTTOM - up * (self._height - TOP - BOTTOM), 2),
        )

    def line(self, points: Iterable[Point], kind: str) -> None:
        """Draws a line through data points; `kind` is its CSS class."""
        path = " ".join(f"{x:g},{y:g}" for x, y in (self.at(*point) for point in points))
        self._parts.append(f'<polyline class="{kind}" points="{path}"/>')

    def band(self, lower: Sequence[Point], upper: Sequence[Point], kind: str) -> None:
        """Fills the area between two lines."""
        corners = [self.at(*point) for point in (*lower, *reversed(upper))]
        path = " ".join(f"{x:g},{y:g}" for x, y in corners)
        self._parts.append(f'<polygon class="{kind}" points="{path}"/>')

    def bar(self, low: Point, high: Point, kind: str, title: str = "") -> None:
        """Draws a filled box between two corners; `title` is its tooltip."""
        (x0, y1), (x1, y0) = self.at(*low), self.at(*high)
        tip = f"<title>{escape(title)}</title>" if title else ""
        self._parts.append(
            f'<rect class="{kind}" x="{min(x0, x1):g}" y="{min(y0, y1):g}" '
            f'width="{abs(x1 - x0):g}" height="{abs(y1 - y0):g}">{tip}</rect>'
        )

    def dot(self, point: Point, kind: str, title: str = "") -> None:
        """Draws a dot; `title` is its tooltip."""
        x, y = self.at(*point)
        tip = f"<title>{escape(title)}</title>" if title else ""
        self._parts.append(f'<circle class="{kind}" cx="{x:g}" cy="{y:g}" r="4">{tip}</circle>')

    def text(self, point: Point, words: str, kind: str = "note", anchor: str = "start") -> None:
        """Writes words at a data point."""
        x, y = self.at(*point)
        place = f'x="{x:g}" y="{y:g}" text-anchor="{anchor}"'
        self._parts.append(f'<text class="{kind}" {place}>{escape(words)}</text>')

    def svg(
        self, x_ticks: Sequence[float], y_ticks: Sequence[float], *, percent: bool = False
    ) -> str:
        """The chart as SVG. Ticks are data values; `percent` writes 0 to 1 as 0 to 100 %."""
        width, height = self._width, self._height
        frame = []
        for tick in x_ticks:
            x, y = self.at(tick, self._y[0])
            frame.append(f'<line class="grid" x1="{x:g}" y1="{TOP}" x2="{x:g}" y2="{y:g}"/>')
            frame.append(
                f'<text class="tick" x="{x:g}" y="{y + 14:g}" text-anchor="middle">'
                f"{_number(tick, percent=percent)}</text>"
            )
        for tick in y_ticks:
            x, y = self.at(self._x[0], tick)
            frame.append(
                f'<line class="grid" x1="{x:g}" y1="{y:g}" x2="{width - RIGHT}" y2="{y:g}"/>'
            )
            frame.append(
                f'<text class="tick" x="{x - 6:g}" y="{y + 3.5:g}" text-anchor="end">'
                f"{_number(tick, percent=percent)}</text>"
            )
        middle = (TOP + height - BOTTOM) / 2
        frame.append(
            f'<text class="axis" x="{(LEFT + width - RIGHT) / 2:g}" y="{height - 6}" '
            f'text-anchor="middle">{escape(self._labels[0])}</text>'
            f'<text class="axis" transform="translate(11 {middle:g}) rotate(-90)" '
            f'text-anchor="middle">{escape(self._labels[1])}</text>'
        )
        return (
            f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(self._title)}">'
            + "".join(frame + self._parts)
            + "</svg>"
        )


def _number(value: float, *, percent: bool) -> str:
    return f"{100 * value:g} %" if percent else f"{value:g}"
