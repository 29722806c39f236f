"""Pictures of ``report.html``: cells per level, and conductances of the tiles."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np

from .compiled import Compiled
from .mapping import Placement
from .page_parts import note, si
from .png import PALETTE_COLOURS, png_data_uri

LOW_COLOUR = (237, 243, 250)
HIGH_COLOUR = (12, 60, 110)
PIXELS_PER_CELL = 6
MAX_CELLS_SHOWN = 1 << 19
"""Of all pictures together: about as many bytes of the page."""
MAX_HISTOGRAMS = 64
CHART_BASE = 22
LARGE, SMALL = (640, 150), (260, 70)
"""Width and height of a histogram."""
SCALE_MARKS = 5


def levels_section(report: dict[str, Any]) -> str:
    """Cells per level: of all tiles, and of the weights of each layer."""
    layers = [each for each in report["layers"] if each["level_histogram"]]
    charts = "".join(
        f"<figure>{_histogram(each['level_histogram'], each['name'], SMALL)}"
        f"<figcaption>{escape(each['name'])}: {sum(each['level_histogram']):,} cells</figcaption>"
        "</figure>"
        for each in layers[:MAX_HISTOGRAMS]
    )
    left = len(layers) - MAX_HISTOGRAMS
    more = note(f"{left} layers more are not shown; report.json has all of them.")
    return (
        "<h2>Cells per level</h2>"
        + note(
            "All cells of all tiles: level 0 includes those that are not used and one of each "
            "differential pair. The axis is logarithmic."
        )
        + _histogram(report["level_histogram"], "all tiles", LARGE)
        + note("The same of each layer, of the cells that hold its weights alone.")
        + f'<div class="charts">{charts}</div>'
        + (more if left > 0 else "")
    )


def _histogram(counts: list[int], what: str, size: tuple[int, int]) -> str:
    """Bars of cells per level, logarithmic, so that the many unused cells leave room."""
    width, height = size
    bars = np.log10(1 + np.array(counts, float))
    bars *= height / max(bars.max(), 1)
    step = width / len(counts)
    path = "".join(
        f"M{number * step:.1f} {height}v-{bar:.1f}h{step * 0.8:.1f}v{bar:.1f}z"
        for number, bar in enumerate(bars)
        if bar
    )
    label = height + CHART_BASE - 6
    return (
        f'<svg viewBox="0 0 {width} {height + CHART_BASE}" role="img" '
        f'aria-label="cells per level, {escape(what)}"><path d="{path}"/>'
        f'<line x1="0" x2="{width}" y1="{height}" y2="{height}"/>'
        f'<text x="0" y="{label}">level 0</text>'
        f'<text x="{width / 2}" y="{label}" text-anchor="middle">highest bar {max(counts):,}</text>'
        f'<text x="{width}" y="{label}" text-anchor="end">level {len(counts) - 1}</text>'
        "</svg>"
    )


def maps_section(compiled: Compiled) -> str:
    """Pictures of all matrices, slice by slice, as far as a page can carry them."""
    parts: dict[tuple[int, int, int], list[Placement]] = {}
    for p in compiled.placements:
        parts.setdefault((p.layer, p.block, p.slice), []).append(p)
    shown, cells = [], 0
    for own in parts.values():
        encoding = compiled.encodings[own[0].layer]
        more_cells = sum(p.inputs * encoding.columns(p.outputs) for p in own)
        if cells + more_cells > MAX_CELLS_SHOWN:
            continue
        cells += more_cells
        shown.append(_map(compiled, own))
    left = len(parts) - len(shown)
    others = note(
        f"{left} of {len(parts)} matrices are not shown, since a page carries {MAX_CELLS_SHOWN:,} "
        "cells at most; conductances.npz has all of them."
    )
    return (
        "<h2>Conductances</h2>"
        + note(
            "Target of every cell, inputs down, outputs across, the tiles of a matrix side by "
            "side. Columns of pairs alternate (G+ and G-); of single ones each tile's first is the "
            "reference, less which the others count."
        )
        + _scale(compiled)
        + "".join(shown)
        + (others if left else "")
    )


def _scale(compiled: Compiled) -> str:
    """The colours of the maps, in siemens."""
    low, high = float(compiled.device.levels[0]), float(compiled.device.levels[-1])
    ends = ",".join(f"rgb{colour}" for colour in (LOW_COLOUR, HIGH_COLOUR))
    marks = "".join(
        f"<span>{escape(si(float(value), 'S'))}</span>"
        for value in np.linspace(low, high, SCALE_MARKS)
    )
    return (
        f'<div class="scale" role="img" aria-label="colours of conductances">'
        f'<div style="background:linear-gradient(to right,{ends})"></div><p>{marks}</p></div>'
    )


def _map(compiled: Compiled, own: Sequence[Placement]) -> str:
    """The cells of a slice of a matrix as they lie in it: inputs down, outputs across."""
    codes = compiled.device.level_codes
    inputs = max(p.first_input + p.inputs for p in own)
    encoding = compiled.encodings[own[0].layer]
    begins, width = {}, 0  # columns of the parts, side by side
    for first, count in sorted({(p.first_output, p.outputs) for p in own}):
        begins[first] = width
        width += encoding.columns(count)
    picture = np.zeros((inputs, width), compiled.levels.dtype)
    for p in own:
        part = p.cells(compiled.levels, encoding)
        picture[p.weights[0], begins[p.first_output] :][:, : part.shape[1]] = part
    # Conductance, not level: the same thing but for what rounding to codes has done.
    siemens = (codes - codes[0]) / (codes[-1] - codes[0])
    shades = np.round(siemens * (PALETTE_COLOURS - 1)).astype(np.uint8)[picture]
    palette = np.linspace(LOW_COLOUR, HIGH_COLOUR, PALETTE_COLOURS).round().astype(np.uint8)
    height, width = picture.shape
    number, block = own[0].layer, own[0].block
    blocks = {p.block for p in compiled.placements if p.layer == number}
    name = escape(compiled.layers[number].name + (f" [{block}]" if len(blocks) > 1 else ""))
    tiles = len({p.tile for p in own})
    if encoding.slices > 1:
        name += f", slice {own[0].slice}"
    if encoding.single:
        name += f", {encoding.scheme}"
    return (
        f'<figure><img alt="conductances of {name}" src="{png_data_uri(shades, palette)}" '
        f'width="{width * PIXELS_PER_CELL}">'
        f"<figcaption>{name}: {height} rows, {width} columns on {tiles} tiles</figcaption>"
        "</figure>"
    )
