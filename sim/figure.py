"""Figures in one style, drawn without a display, the same bytes each time for one version."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SEED = "#d1495b"
"""Colour of what the source reports."""
OURS = "#1f5a93"
"""Colour of what the model gives."""
THIRD = "#3a8f6b"
FOURTH = "#c98a1b"
QUIET = "#8a8f98"
"""Colour of lines that only guide the eye."""
SERIES = (OURS, THIRD, FOURTH, "#7b4fa3", SEED)
"""Colours of the curves of one panel, in order."""

_SIZE = (7.2, 4.4)  # inches
_STYLE: dict[str, Any] = {
    "axes.grid": True,
    "axes.labelsize": 10,
    "axes.linewidth": 0.8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 10,
    "figure.dpi": 150,
    "figure.titlesize": 11.5,
    "figure.titleweight": "bold",
    "font.size": 9,
    "grid.alpha": 0.25,
    "grid.linewidth": 0.6,
    "legend.fontsize": 8.5,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "svg.fonttype": "none",
    "svg.hashsalt": "ohmloom",
}


def draw(plot: Callable[[Figure], None], title: str, folder: Path, stem: str) -> tuple[Path, Path]:
    """Draw a figure into ``folder`` as ``stem.png`` and ``stem.svg``; returns both paths."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    folder.mkdir(parents=True, exist_ok=True)
    png, svg = folder / f"{stem}.png", folder / f"{stem}.svg"
    with rc_context(cast(Any, _STYLE)), warnings.catch_warnings():
        warnings.simplefilter("error")  # a figure that would be drawn wrong is not drawn
        figure = Figure(figsize=_SIZE, layout="constrained")
        FigureCanvasAgg(figure)
        plot(figure)
        figure.suptitle(title, x=0.01, ha="left")
        for path in (png, svg):
            temporary = path.with_name(f".{path.name}.part")
            figure.savefig(
                temporary, format=path.suffix[1:], metadata={"Date": None} if path is svg else {}
            )
            temporary.replace(path)
    return png, svg
