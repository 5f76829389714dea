"""How plots look: matplotlib without its global state, as SVG that takes its colours from the page around it."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Colours of first and second run, of something bad, and of something reached; told apart by colour-blind people
#: (after Okabe and Ito, "Color Universal Design", 2008), and on white as on black.
FIRST: Final = "#0072b2"
SECOND: Final = "#e69f00"
BAD: Final = "#d55e00"
GOOD: Final = "#009e73"
SERIES: Final = (FIRST, SECOND, GOOD, "#cc79a7", "#56b4e9", BAD)

#: Of a legend: a character of it, the line before a name, and what is beside a plot, in points.
_CHARACTER, _HANDLE, _BESIDE = 4.8, 42.0, 45.0
#: Stand-ins that are replaced by the page's own colours, which change with the reader's light or dark.
_INK: Final = "#010203"
_LINE: Final = "#040506"
_PAGE_COLOURS: Final = {
    _INK: "currentColor",
    _LINE: "var(--line, #8888)",
    FIRST: f"var(--first, {FIRST})",
    SECOND: f"var(--second, {SECOND})",
}

_STYLE: Final[Any] = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 10,
    "text.color": _INK,
    "axes.edgecolor": _LINE,
    "axes.labelcolor": _INK,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "grid.color": _LINE,
    "grid.linewidth": 0.6,
    "xtick.color": _LINE,
    "ytick.color": _LINE,
    "xtick.labelcolor": _INK,
    "ytick.labelcolor": _INK,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "lines.linewidth": 1.6,
}


class Picture(NamedTuple):
    """What a page shows.

    Attributes:
        title: of the picture. svg: an element.
    """

    title: str
    svg: str


class Drawing:
    """One picture of one or more plots above each other.

    Args:
        plots: how many. width, height: of the whole, in inches of 72 points.
    """

    def __init__(self, plots: int = 1, width: float = 7.2, height: float = 2.4) -> None:
        import matplotlib
        from matplotlib.figure import Figure

        self._context = matplotlib.rc_context(_STYLE)
        self._context.__enter__()
        self.figure: Figure = Figure(figsize=(width, height), layout="constrained")
        self.axes: Sequence[Axes] = list(self.figure.subplots(plots, 1, squeeze=False, sharex=plots > 1)[:, 0])

    def picture(self, title: str) -> Picture:
        """The picture as an ``<svg>`` element.

        Args:
            title: what it shows; also keeps ids of several pictures in one page apart.
        """
        out = io.StringIO()
        try:
            import matplotlib

            with matplotlib.rc_context({"svg.hashsalt": title}):
                self.figure.savefig(out, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
        finally:
            self._context.__exit__(None, None, None)
        return Picture(title, _for_page(out.getvalue(), title))


def _for_page(svg: str, title: str) -> str:
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    for stand_in, colour in _PAGE_COLOURS.items():
        svg = svg.replace(stand_in, colour)
    # Ids that matplotlib does not salt, such as figure_1, would be in each picture.
    prefix = re.sub(r"\W+", "-", title.lower())
    svg = re.sub(
        r' id="(figure|axes|patch|line2d|xtick|ytick|matplotlib\.axis|text|PathCollection|FillBetween'
        r'PolyCollection|LineCollection)_\d+"',
        "",
        svg,
    )
    svg = re.sub(r'id="([^"]+)"', rf'id="{prefix}-\1"', svg)
    svg = re.sub(r'((?:xlink:)?href="#|url\(#)', rf"\g<1>{prefix}-", svg)
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1)
    return svg.replace("<svg", f'<svg role="img" aria-label="{_escaped(title)}"', 1)


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")


def legend(axes: Any) -> None:
    """A legend over the plot, where it covers nothing; none when there is nothing to name.

    Names that do not fit beside each other are in two columns: one for each run, where there are two.
    """
    _, names = axes.get_legend_handles_labels()
    if len(names) < 2:
        return
    room = axes.figure.get_figwidth() * 72 - _BESIDE
    needed = sum(_HANDLE + _CHARACTER * len(name) for name in names)
    columns = len(names) if needed <= room else 2
    axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=columns, borderaxespad=0.1)
