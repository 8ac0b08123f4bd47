"""Sequence diagrams as SVG images: nothing but lines and text, in a palette that is readable on any page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ._arrows import Arrow, Tip, arrows_of
from ._lines import Line

_LANE, _ROW = 170, 30  # pixels between two lifelines at least, and between two rows
_LEFT, _RIGHT = 150, 60  # pixels: for times and half a name; for half a name
_TITLE, _HEAD = 34, 56  # pixels: of the title, and of the names
_LETTER = 6.7  # pixels that a letter of a label takes at most, more or less
_CROSS, _TIP_LENGTH, _TIP_HALF = 5, 9, 4  # pixels

_STYLE = (
    "text{font:12px ui-sans-serif,system-ui,sans-serif;fill:#1f2328}"
    ".n{font-weight:600;text-anchor:middle}.h{font-size:15px;font-weight:600}"
    ".t{font-family:ui-monospace,monospace;font-size:11px;fill:#656d76;text-anchor:end}"
    ".b{fill:#f6f8fa;stroke:#8c959f}.l{stroke:#d0d7de}.e{fill:#8250df;font-style:italic}"
    ".m,.e{paint-order:stroke;stroke:#fff;stroke-width:3px;stroke-linejoin:round}"
    ".a{stroke:#0969da;fill:none;stroke-width:1.4}.d{stroke:#cf222e;fill:none;stroke-width:1.4}"
    ".ah{fill:#0969da}.dh{fill:#cf222e}.x{fill:#cf222e}"
)


def diagram_svg(lines: Sequence[Line], columns: Sequence[str], title: str = "") -> str:
    """The diagram as a whole document. The same diagram gives the same text."""
    top = _HEAD + (_TITLE if title else 0)
    drawing = _Drawing(columns, top + _ROW // 2)
    for line in lines:
        drawing.add(line)
    y, width = drawing.y, drawing.width
    head = [*_title(title), *drawing.names(top)]
    size = f'width="{width}" height="{y}" viewBox="0 0 {width} {y}"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">',
            f"<style>{_STYLE}</style>",
            f'<rect width="{width}" height="{y}" fill="#fff"/>',
            *head,
            *drawing.elements,
            "</svg>\n",
        ]
    )


def _title(title: str) -> Iterator[str]:
    if title:
        yield f"<title>{_escaped(title)}</title>"
        yield f'<text class="h" x="16" y="26">{_escaped(title)}</text>'


class _Drawing:
    """Rows of elements, from above."""

    def __init__(self, columns: Sequence[str], y: int) -> None:
        self._columns = columns
        self._lane = max(_LANE, *(_width(name) + 36 for name in columns)) if columns else _LANE
        self.y = y
        self.width = max(self._x(len(columns) - 1), _LEFT) + max(_RIGHT, self._lane // 2)
        self.elements: list[str] = []

    def _x(self, column: int) -> int:
        return _LEFT + column * self._lane

    def names(self, top: int) -> Iterator[str]:
        for number, name in enumerate(self._columns):
            x, half = self._x(number), _width(name) // 2 + 12
            yield f'<path class="l" d="M{x} {top - 14}V{self.y}"/>'
            yield f'<rect class="b" x="{x - half}" y="{top - 40}" width="{2 * half}" height="26" rx="4"/>'
            yield f'<text class="n" x="{x}" y="{top - 23}">{_escaped(name)}</text>'

    def add(self, line: Line) -> None:
        if line.time is not None:
            self.elements.append(f'<text class="t" x="{_LEFT - 70}" y="{self.y + 4}">{line.time:.3f} s</text>')
        if line.journey is None:
            self._write("e", _LEFT + 8, self.y + 4, line.text)
            self.y += _ROW
            return
        arrows = arrows_of(line.journey, line.towards, self._columns)
        y, left = self.y, _LEFT
        for arrow in arrows:
            self.elements += self._arrow(arrow, self.y)
            self.y += _ROW
        if arrows:
            left = min(self._x(arrows[0].columns[0]), self._end(arrows[0]))
        else:
            self.y += _ROW
        is_dead = any(arrow.tip is Tip.DIES for arrow in arrows)
        self._write("m x" if is_dead else "m", max(left, 0) + 8, y - 5, line.label)

    def _write(self, kind: str, x: int, y: int, text: str) -> None:
        self.elements.append(f'<text class="{kind}" x="{x}" y="{y}">{_escaped(text)}</text>')
        self.width = max(self.width, x + _width(text) + 12)

    def _end(self, arrow: Arrow) -> int:
        return self._x(arrow.columns[-1]) + arrow.beyond * self._lane // 2

    def _arrow(self, arrow: Arrow, y: int) -> Iterator[str]:
        begin, end = self._x(arrow.columns[0]), self._end(arrow)
        kind = "d" if arrow.tip is Tip.DIES else "a"
        dashes = ' stroke-dasharray="4 3"' if arrow.tip is Tip.UNKNOWN else ""
        down = f"V{y + _ROW}" if arrow.tip is Tip.TURNS else ""
        yield f'<path class="{kind}" d="M{begin} {y}H{end}{down}"{dashes}/>'
        for column in arrow.columns[1:] if arrow.beyond else arrow.columns[1:-1]:
            yield f'<circle class="{kind}h" cx="{self._x(column)}" cy="{y}" r="3"/>'
        if arrow.tip is Tip.DIES:
            size = 2 * _CROSS
            yield f'<path class="d" d="M{end - _CROSS} {y - _CROSS}l{size} {size}m0 {-size}l{-size} {size}"/>'
        elif begin == end:
            yield f'<circle class="{kind}h" cx="{begin}" cy="{y}" r="3"/>'
        elif arrow.tip is Tip.ARRIVES:
            back = -_TIP_LENGTH if end > begin else _TIP_LENGTH
            yield f'<path class="{kind}h" d="M{end} {y}l{back} {-_TIP_HALF}v{2 * _TIP_HALF}z"/>'


def _width(text: str) -> int:
    return round(len(text) * _LETTER)


def _escaped(text: str) -> str:
    """Fit for XML: what cannot be in a document at all becomes a question mark."""
    clean = "".join(one if one.isprintable() else "?" for one in text)
    return clean.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")
