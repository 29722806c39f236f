"""``report.html``: one page without scripts or outside files, from the numbers of the report."""

from __future__ import annotations

from html import escape
from string import Template
from typing import Any

from .compiled import Compiled
from .page_costs import (
    energy_section,
    host_section,
    programming_section,
    search_section,
    sensitivity_section,
    where_section,
)
from .page_parts import row, si
from .page_pictures import levels_section, maps_section

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
td { white-space:nowrap } table.text td,table.text th { text-align:left }
table.text td:nth-child(n+3) { white-space:normal }
svg { max-width:100%; height:auto } svg path { fill:var(--mark) }
svg text { fill:var(--soft); font-size:11px } svg line { stroke:var(--line) }
figure { margin:1rem 0 } figure img { image-rendering:pixelated; max-width:100%; display:block }
.charts { display:grid; grid-template-columns:repeat(auto-fill,minmax(16rem,1fr)); gap:0 1.5rem }
.scale { max-width:32rem; margin:1rem 0 } .scale div { height:.8rem; border-radius:.2rem }
.scale p { display:flex; justify-content:space-between; margin:.2rem 0; font-size:.85rem;
           color:var(--soft) }
</style></head><body>
<h1>$model on $device</h1>
<p class="sub">$title; $levels levels, $g_min to $g_max mS, read at $v_read V.</p>
<div class="cards">$cards</div>
<h2>Layers</h2>
<div class="wide"><table><thead><tr><th>layer</th><th>kind</th><th>outputs</th><th>weights</th>
<th>slices, scheme</th><th>tiles</th><th>TIA full scale</th><th>rows at once</th>
<th>MVMs</th><th>planes</th><th>conversions</th><th>output scale</th></tr></thead>
<tbody>$layers</tbody></table></div>
$where
$cycles
$energy
$programming
$host
$budget
$sensitivity
$search
<h2>Use of the controller</h2>
<div class="wide"><table><thead><tr><th>resource</th><th>used</th><th>there</th><th>share</th></tr>
</thead><tbody>$use</tbody></table></div>
$histograms
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
    if report["options"]["wire_ohms"]:
        cards["of lines from cell to cell"] = si(report["options"]["wire_ohms"], "&Omega;")
    cycles, energy, writing = report["cycles"], report["energy"], report["programming"]
    if energy:
        cards["energy per inference, estimated"] = si(energy["joules"], "J")
    if writing["total"]["seconds"] is not None:
        cards[f"to write the cells, {writing['tag']}"] = si(writing["total"]["seconds"], "s")
    if cycles:
        cards["cycles per inference, predicted"] = f"{cycles['later']:,}"
        cards[f"at {cycles['clk_hz'] / 1e6:g} MHz, predicted"] = si(cycles["seconds"], "s")
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
        where=where_section(report["where"]),
        cycles=_cycles(report["cycles"]),
        energy=energy_section(report["energy"]),
        programming=programming_section(report["programming"]),
        host=host_section(report["host"]),
        budget=_budget(report["budget"]),
        sensitivity=sensitivity_section(report["sensitivity"]),
        search=search_section(report["search"]),
        use="".join(
            row(name, used, there, f"{used / there:.0%}")
            for name, (used, there) in report["use"].items()
        ),
        histograms=levels_section(report),
        maps=maps_section(compiled),
    )


def _budget(layers: list[dict[str, Any]]) -> str:
    """Where errors come from; nothing if that was not asked for."""
    if not layers:
        return ""
    causes = list(layers[0]["costs"])
    head = "".join(f"<th>{escape(name)}</th>" for name in ("layer", "error", *causes))
    rows = "".join(
        row(
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


def _layer_row(layer: dict[str, Any]) -> str:
    """A layer; one without tiles has no figures of them."""
    figures = [
        f"{layer['weights']:,}",
        f"{layer['slices']}, {layer['scheme']}",
        len(layer["tiles"]),
        ", ".join(f"{scale * 1e6:g} \u00b5A" for scale in layer["tia_full_scale_a"]),
        layer["rows_at_once"],
        f"{layer['mvms']:,}",
        f"{layer['planes']:,}",
        f"{layer['conversions']:,}",
    ]
    return row(
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
        row(name, f"{count:,}", si(count / cycles["clk_hz"], "s"), f"{count / total:.1%}")
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
