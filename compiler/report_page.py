"""``report.html``: one page without scripts or outside files, from the numbers of the report."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from string import Template
from typing import Any

import numpy as np

from .compiled import Compiled
from .mapping import Placement
from .png import PALETTE_COLOURS, png_data_uri

LOW_COLOUR = (237, 243, 250)
HIGH_COLOUR = (12, 60, 110)
PIXELS_PER_CELL = 6
MAX_CELLS_SHOWN = 1 << 22
"""Of all pictures together."""
CHART_WIDTH, CHART_HEIGHT, CHART_BASE = 640, 150, 22

PAGE = Template("""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$model on $device</title>
<style>
:root { --ink:#1b2733; --soft:#5b6b7a; --line:#d9e0e7; --page:#fff; --card:#f5f8fb; --mark:#1d6fb8 }
@media (prefers-color-scheme: dark) {
  :root { --ink:#e4eaf0; --soft:#93a3b3; --line:#2d3a47; --page:#12181f; --card:#1a222b;
          --mark:#5fa8e8 } }
body { font:16px/1.5 system-ui,sans-serif; color:var(--ink); background:var(--page);
       max-width:60rem; margin:2rem auto; padding:0 1rem }
h1 { font-size:1.5rem; margin-bottom:0 } h2 { font-size:1.1rem; margin-top:2.2rem }
p.sub, figcaption { color:var(--soft) } p.sub { margin-top:.2rem }
.cards { display:grid; grid-template-columns:repeat(auto-fit,minmax(9.5rem,1fr)); gap:.8rem }
.card { background:var(--card); border-radius:.5rem; padding:.7rem .9rem }
.card b { display:block; font-size:1.35rem; font-weight:600 } .card span { color:var(--soft) }
.wide { overflow-x:auto }
table { border-collapse:collapse; width:100%; font-variant-numeric:tabular-nums }
th,td { text-align:right; padding:.35rem .6rem; border-bottom:1px solid var(--line) }
th { color:var(--soft); font-weight:500 } th:first-child,td:first-child { text-align:left }
svg { max-width:100%; height:auto } svg rect { fill:var(--mark) }
svg text { fill:var(--soft); font-size:11px } svg line { stroke:var(--line) }
figure { margin:1rem 0 } figure img { image-rendering:pixelated; max-width:100%; display:block }
</style></head><body>
<h1>$model on $device</h1>
<p class="sub">$title; $levels levels, $g_min to $g_max mS, read at $v_read V.</p>
<div class="cards">$cards</div>
<h2>Layers</h2>
<div class="wide"><table><thead><tr><th>layer</th><th>kind</th><th>outputs</th><th>weights</th>
<th>tiles</th><th>TIA full scale</th><th>rows at once</th>
<th>MVMs</th><th>planes</th><th>conversions</th><th>output scale</th></tr></thead>
<tbody>$layers</tbody></table></div>
$cycles
$host
$budget
<h2>Use of the controller</h2>
<div class="wide"><table><thead><tr><th>resource</th><th>used</th><th>there</th><th>share</th></tr>
</thead><tbody>$use</tbody></table></div>
<h2>Cells per level</h2>
<p class="sub">Level 0 includes unused cells and one of each differential pair; the axis is
logarithmic.</p>
$histogram
<h2>Conductances</h2>
<p class="sub">Target level of every cell, rows down, columns across (G+ and G- alternate);
darker is more conductive.</p>
$maps
</body></html>
""")


def render_html(compiled: Compiled, report: dict[str, Any]) -> str:
    """The page of a compiled network and its report."""
    device, totals, converters = report["device"], report["totals"], report["converters"]
    cards = {
        "tiles": str(report["use"]["tiles"][0]),
        "weights": f"{totals['weights']:,}",
        "of the cells used": f"{totals['cell_utilisation']:.0%}",
        "planes per inference": f"{totals['planes']:,}",
        "conversions per inference": f"{totals['conversions']:,}",
        "ADC": f"{converters['adc_bits']} bits",
        "full scale of verify reads": f"{converters['verify_full_scale_a'] * 1e6:g} \u00b5A",
    }
    cycles = report["cycles"]
    if cycles:
        cards["cycles per inference, predicted"] = f"{cycles['later']:,}"
        cards[f"at {cycles['clk_hz'] / 1e6:g} MHz, predicted"] = _time(cycles["seconds"])
    return PAGE.substitute(
        model=escape(report["model"]),
        device=escape(device["name"]),
        title=escape(device["title"]),
        levels=device["levels"],
        g_min=f"{device['g_min_s'] * 1e3:.3f}",
        g_max=f"{device['g_max_s'] * 1e3:.3f}",
        v_read=f"{device['v_read_v']:g}",
        cards="".join(
            f'<div class="card"><b>{value}</b><span>{name}</span></div>'
            for name, value in cards.items()
        ),
        layers="".join(_layer_row(layer) for layer in report["layers"]),
        cycles=_cycles(report["cycles"]),
        host=_host(report["host"]),
        budget=_budget(report["budget"]),
        use="".join(
            _row(name, used, there, f"{used / there:.0%}")
            for name, (used, there) in report["use"].items()
        ),
        histogram=_histogram(report["level_histogram"]),
        maps=_maps(compiled),
    )


def _host(calls: list[dict[str, Any]]) -> str:
    """What runs on the host; nothing if nothing does."""
    if not calls:
        return ""
    rows = "".join(
        _row(
            call["name"],
            "; ".join(f"{n['operator']} {n['name']}: {n['reason']}" for n in call["nodes"]),
            f"{call['words_in']:,}",
            f"{call['words_out']:,}",
            "" if call["link_seconds"] is None else _time(call["link_seconds"]),
        )
        for call in calls
    )
    return (
        "<h2>On the host</h2>"
        '<p class="sub">What has no lowering runs on the host between two runs of the controller. '
        "The words that go over the link are counted, the time is estimated by its rate.</p>"
        '<div class="wide"><table><thead><tr><th>segment</th><th>nodes</th><th>words in</th>'
        f"<th>words out</th><th>link</th></tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _budget(layers: list[dict[str, Any]]) -> str:
    """Where errors come from; nothing if that was not asked for."""
    if not layers:
        return ""
    causes = list(layers[0]["costs"])
    head = "".join(f"<th>{escape(name)}</th>" for name in ("layer", "error", *causes))
    rows = "".join(
        _row(
            layer["name"],
            f"{layer['error']:.2%}",
            *(f"{layer['costs'][cause]:.2%}" for cause in causes),
        )
        for layer in layers
    )
    return (
        "<h2>Error budget</h2>"
        '<p class="sub">What the values of a layer are off against floats, root mean square over '
        "that of the floats, on calibration samples; and what each cause adds to it, in squares."
        f'</p><div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'
        "</div>"
    )


def _row(*cells: object) -> str:
    return "<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in cells) + "</tr>"


def _layer_row(layer: dict[str, Any]) -> str:
    """A layer; one without tiles has no figures of them."""
    figures = [
        f"{layer['weights']:,}",
        len(layer["tiles"]),
        ", ".join(f"{scale * 1e6:g} \u00b5A" for scale in layer["tia_full_scale_a"]),
        layer["rows_at_once"],
        f"{layer['mvms']:,}",
        f"{layer['planes']:,}",
        f"{layer['conversions']:,}",
    ]
    return _row(
        layer["name"],
        layer["kind"],
        f"{layer['outputs']:,}",
        *(figures if layer["tiles"] else [""] * len(figures)),
        f"{layer['output_scale']['scale']:.4g}",
    )


def _cycles(cycles: dict[str, Any] | None) -> str:
    """Where an inference's clock cycles go."""
    if not cycles:
        return ""
    total = cycles["later"]
    rows = [(each["name"], each["cycles"]) for each in cycles["layers"]]
    rows += [("no layer's", cycles["no_layer"]), ("inference", total)]
    table = "".join(
        _row(name, f"{count:,}", _time(count / cycles["clk_hz"]), f"{count / total:.1%}")
        for name, count in rows
    )
    kinds = ", ".join(f"{name} {count:,}" for name, count in cycles["instructions"].items())
    return (
        "<h2>Cycles</h2>"
        f'<p class="sub">Predicted at {cycles["clk_hz"] / 1e6:g} MHz; in co-simulation the '
        "controller counts the same. The first inference after the cells have been driven "
        f"takes {cycles['first']:,}.</p>"
        '<div class="wide"><table><thead><tr><th>layer</th><th>cycles</th><th>time</th>'
        f"<th>share</th></tr></thead><tbody>{table}</tbody></table></div>"
        f'<p class="sub">By instruction: {kinds}.</p>'
    )


def _time(seconds: float) -> str:
    """With three digits, in the unit that it needs."""
    for unit, scale in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds / 1e-6:.3g} us"


def _histogram(counts: list[int]) -> str:
    """Bars of cells per level, logarithmic, so that the many unused cells leave room."""
    heights = np.log10(1 + np.array(counts, float))
    heights *= CHART_HEIGHT / max(heights.max(), 1)
    step = CHART_WIDTH / len(counts)
    bars = "".join(
        f'<rect x="{number * step:.2f}" y="{CHART_HEIGHT - height:.2f}" '
        f'width="{step * 0.8:.2f}" height="{height:.2f}">'
        f"<title>level {number}: {count} cells</title></rect>"
        for number, (count, height) in enumerate(zip(counts, heights, strict=True))
    )
    label = CHART_HEIGHT + CHART_BASE - 6
    return (
        f'<svg viewBox="0 0 {CHART_WIDTH} {CHART_HEIGHT + CHART_BASE}" role="img" '
        f'aria-label="cells per level">{bars}'
        f'<line x1="0" x2="{CHART_WIDTH}" y1="{CHART_HEIGHT}" y2="{CHART_HEIGHT}"/>'
        f'<text x="0" y="{label}">level 0</text>'
        f'<text x="{CHART_WIDTH}" y="{label}" text-anchor="end">level {len(counts) - 1}</text>'
        "</svg>"
    )


def _maps(compiled: Compiled) -> str:
    """Pictures of all matrices, slice by slice, as far as a page can carry them."""
    parts: dict[tuple[int, int, int], list[Placement]] = {}
    for p in compiled.placements:
        parts.setdefault((p.layer, p.block, p.slice), []).append(p)
    shown, cells = [], 0
    for own in parts.values():
        cells += len(own) * compiled.image.geometry.cells
        if cells > MAX_CELLS_SHOWN:
            break
        shown.append(_map(compiled, own))
    left = len(parts) - len(shown)
    more = f"<p>{left} more are not shown; conductances.npz has all of them.</p>" if left else ""
    return "".join(shown) + more


def _map(compiled: Compiled, own: Sequence[Placement]) -> str:
    """Tiles of a slice of a matrix as they lie in it: inputs down, outputs across."""
    geometry, top = compiled.image.geometry, len(compiled.device.level_codes) - 1
    down = 1 + max(p.first_input for p in own) // geometry.rows
    across = 1 + max(p.first_output for p in own) // geometry.pairs
    levels = compiled.levels[[p.tile for p in own]].reshape(
        across, down, geometry.rows, geometry.columns
    )
    picture = levels.transpose(1, 2, 0, 3).reshape(down * geometry.rows, across * geometry.columns)
    shades = np.round(picture * ((PALETTE_COLOURS - 1) / top)).astype(np.uint8)
    palette = np.linspace(LOW_COLOUR, HIGH_COLOUR, PALETTE_COLOURS).round().astype(np.uint8)
    height, width = picture.shape
    number, block = own[0].layer, own[0].block
    blocks = {p.block for p in compiled.placements if p.layer == number}
    name = escape(compiled.layers[number].name + (f" [{block}]" if len(blocks) > 1 else ""))
    if compiled.options.slices > 1:
        name += f", slice {own[0].slice}"
    return (
        f'<figure><img alt="conductances of {name}" src="{png_data_uri(shades, palette)}" '
        f'width="{width * PIXELS_PER_CELL}">'
        f"<figcaption>{name}: {height} rows, {width} columns on {len(own)} tiles</figcaption>"
        "</figure>"
    )
