"""The numbers of the report against the engine, and the page against its own rules."""

from __future__ import annotations

import json
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from ohmloom.compiler.pipeline import compile_model
from ohmloom.compiler.report import predict, summarise
from ohmloom.compiler.report_page import render_html
from ohmloom.compiler.runner import build_engine
from ohmloom.compiler.trial import Outcome, Trial
from ohmloom.hw.afe import ad7606
from ohmloom.hw.afe.array_card import front_end_cycles
from ohmloom.hw.cycles import inference
from ohmloom.sim.devices import load


@pytest.fixture(scope="module")
def report(compiled):
    return summarise(compiled)


def test_counts_are_those_of_the_engine(compiled, report):
    trace = build_engine(compiled).infer(compiled.golden.inputs)
    assert report["totals"]["conversions"] * len(compiled.golden.inputs) == trace.conversions
    columns = compiled.image.geometry.columns
    assert report["totals"]["planes"] * columns == report["totals"]["conversions"]


def test_cycles_are_those_of_the_cost_model(compiled, report):
    cycles = report["cycles"]
    image, clk_hz = compiled.image, compiled.options.clk_hz
    told = inference(image, front_end_cycles(image.geometry, clk_hz))
    assert (cycles["first"], cycles["later"]) == (told.first.cycles, told.later.cycles)
    assert cycles["clk_hz"] == 48_000_000 and cycles["seconds"] == cycles["later"] / 48e6
    layers = [each["cycles"] for each in cycles["layers"]]
    assert [each["name"] for each in cycles["layers"]] == [layer.name for layer in image.layers]
    assert sum(layers) + cycles["no_layer"] == cycles["later"]
    # Six tiles of the first layer, two of the second one, and the run's own.
    assert 2.9 < layers[0] / layers[1] < 3.1 and cycles["no_layer"] == 5
    assert sum(cycles["instructions"].values()) == cycles["later"] - 2


def test_costs_are_of_the_converters_that_are_asked_for(compiled, report):
    slow = predict(compiled, ad7606.PART)
    assert slow is not None and slow["later"] > 5 * report["cycles"]["later"]
    other = summarise(compiled, ad7606.PART)
    assert other["cycles"] == slow
    # The same power for longer, and that of other converters.
    origins = {part["name"]: part["origin"] for part in other["energy"]["parts"]}
    assert other["energy"]["joules"] > 4 * report["energy"]["joules"]
    assert origins["ADCs"] == ad7606.PART.power.origin


def test_nothing_is_predicted_where_no_array_card_is_for_the_controller(compiled):
    image = replace(compiled.image, geometry=replace(compiled.image.geometry, compact=True))
    # Too fast for the converters of a compact card.
    options = compiled.options.model_copy(update={"clk_hz": 100_000_000})
    other = replace(compiled, image=image, options=options)
    report = summarise(other)
    assert report["cycles"] is None and report["energy"] is None
    assert report["programming"]["total"]["seconds"] is None
    assert "predicted" not in render_html(other, report).lower()


def test_use_of_the_controller(compiled, report):
    assert report["use"]["tiles"] == [8, 64]
    assert report["use"]["program words"][0] == len(compiled.image.code)
    assert report["totals"]["weights"] == 64 * 48 + 48 * 10
    assert report["totals"]["cell_utilisation"] == pytest.approx(2 * 3552 / 8192)


def test_layers_that_share_a_tile_have_their_own_products(zoo, tmp_path):
    path = zoo.save(zoo.mlp((70, 40, 20, 3)), tmp_path)
    x = np.random.default_rng(5).normal(size=(8, 70)).astype(np.float32)
    shared = compile_model(path, load("ideal:16"), x)
    report = summarise(shared)
    tiles = [set(layer["tiles"]) for layer in report["layers"]]
    assert tiles[0] & tiles[1] and tiles[1] & tiles[2]
    parts = [sum(p.layer == number for p in shared.placements) for number in range(3)]
    assert [layer["mvms"] for layer in report["layers"]] == parts == [9, 4, 1]
    # The picture of a matrix has its own cells alone.
    page = Page(render_html(shared, report)).text
    assert "MatMul_m1: 40 rows, 40 columns on" in page and "MatMul_m2: 20 rows, 6 columns" in page


def test_histogram_counts_every_cell(compiled, report):
    histogram = report["level_histogram"]
    assert len(histogram) == 32 and sum(histogram) == compiled.levels.size
    assert histogram[31] == np.count_nonzero(compiled.levels == 31) > 0


def test_knobs_are_shown_if_they_were_searched_for(compiled, report):
    assert report["search"] is None and "Knobs" not in render_html(compiled, report)
    best = Trial(1, 8, 12, drop=0.0, tiles=8)
    searched = summarise(compiled, search=Outcome(0.01, (best,), best))
    assert searched["search"]["trials"][0]["chosen"]
    assert "Knobs" in render_html(compiled, searched)


def test_report_is_plain_json(report):
    assert json.loads(json.dumps(report, allow_nan=False)) == report


class Page(HTMLParser):
    """Collects tags and attributes; checks that every tag is closed in order."""

    VOID = {"meta", "img", "path", "line"}

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.text = [], [], ""
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def test_page_is_well_formed_and_needs_nothing_else(compiled, report):
    page = Page(render_html(compiled, report))
    names = {tag for tag, _ in page.tags}
    assert {"svg", "table", "img"} <= names and not names & {"script", "link", "iframe"}
    sources = [attrs["src"] for tag, attrs in page.tags if tag == "img"]
    assert len(sources) == len(compiled.layers)
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    assert "33,100" in page.text and "690 \u00b5s" in page.text and "33,198" in page.text
    assert "hidden" in page.text and "cspbbr3_ogb" in page.text and "2000 \u00b5A" in page.text


def test_names_cannot_break_out_of_the_page(compiled):
    layers = (replace(compiled.layers[0], name="<script>alert(1)</script>"), *compiled.layers[1:])
    hostile = replace(compiled, name="$model<script>", layers=layers)
    text = render_html(hostile, summarise(hostile))
    assert "<script" not in text and "&lt;script&gt;alert(1)" in text
