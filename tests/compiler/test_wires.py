"""A network on tiles whose lines have resistance: options, bundle, and what writing takes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from ohmloom.compiler.bundle import load_bundle, write_bundle
from ohmloom.compiler.compiled import Compiled
from ohmloom.compiler.options import MAX_OHMS, Options
from ohmloom.compiler.pipeline import compile_model
from ohmloom.compiler.programming import Estimate, write
from ohmloom.compiler.runner import accuracy, build_engine, dequantise_output, quantise_input
from ohmloom.sim.array import MeteredArray
from ohmloom.sim.array.lines import Network, Wires
from ohmloom.sim.devices import load

OHMS = 0.5


@pytest.fixture(scope="module")
def wired(digits: Any) -> Compiled:
    options = Options(wire_ohms=OHMS)
    return compile_model(digits.model, load("cspbbr3_ogb"), digits.calib, options=options)


@pytest.fixture(scope="module")
def engine(wired: Compiled) -> Any:
    made = build_engine(wired, program=False, array_type=MeteredArray)
    return made, write(made, wired.levels)


def test_nothing_but_the_array_is_another_one(wired, compiled):
    assert wired.image == replace(compiled.image, params=wired.image.params)
    assert np.array_equal(wired.image.params, compiled.image.params)
    assert np.array_equal(wired.levels, compiled.levels) and wired.ranges == compiled.ranges
    assert np.array_equal(wired.golden.inputs, compiled.golden.inputs)
    assert not np.array_equal(wired.golden.layers[-1], compiled.golden.layers[-1])


def test_products_are_those_of_the_network_of_lines(wired, engine, digits):
    array = engine[0].array
    assert array.wires == Wires(OHMS, OHMS)
    seen = Network(array.g[3], array.wires).transfer()
    assert np.array_equal(array.g_code[3], array.device.g_codes(seen))
    trace = engine[0].infer(quantise_input(wired, digits.x))
    assert accuracy(dequantise_output(wired, trace.output), digits.y) > 0.95


def test_a_bundle_keeps_them(wired, tmp_path):
    back = load_bundle(write_bundle(wired, tmp_path / "d.ohm"))
    assert back.options.wires == wired.options.wires == Wires(OHMS, OHMS)
    trace = build_engine(back).infer(back.golden.inputs)
    for layer, golden in zip(back.image.layers, back.golden.layers, strict=True):
        assert np.array_equal(trace.layers[layer.name], golden)
    without = build_engine(back, lines=False)
    assert without.array.wires is None
    assert not np.array_equal(without.infer(back.golden.inputs).output, trace.output)
    assert "&Omega;</b><span>of lines from cell to cell" in (
        tmp_path / "d.ohm" / "report.html"
    ).read_text(encoding="utf-8")


def test_an_estimate_of_writing_is_of_cells_that_are_mixed(wired, engine):
    estimate, truth = Estimate.of(wired), engine[1]
    guess = estimate.of_tiles(range(wired.image.tiles))
    assert truth.tries.mean() > 1.8  # without lines 1.36
    assert guess.tries.mean() == pytest.approx(truth.tries.mean(), rel=0.15)


@pytest.mark.parametrize("ohms", [-1.0, float("nan"), float("inf"), 2 * MAX_OHMS])
def test_no_resistance_is_refused(ohms):
    with pytest.raises(ValidationError, match="wire_ohms"):
        Options(wire_ohms=ohms)
    assert Options().wires is None
