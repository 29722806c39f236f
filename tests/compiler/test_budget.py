"""The error budget: each cause shows where it is on, and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest

from ohmloom.compiler.budget import CAUSES, LINES, error_budget
from ohmloom.compiler.frontend import load_model
from ohmloom.compiler.options import Options
from ohmloom.compiler.pipeline import calibrated, compile_network
from ohmloom.hw.geometry import Geometry
from ohmloom.sim.converters import Converters
from ohmloom.sim.devices import changed, load


@pytest.fixture(scope="module")
def source(digits):
    return calibrated(load_model(digits.model), digits.calib)


def budget(source, device, adc_bits=16, faults=None, **options):
    compiled = compile_network(
        "digits", source, device, Geometry(), Options(**options), Converters(adc_bits=adc_bits),
        faults,
    )  # fmt: skip
    return error_budget(source, compiled, faults)


@pytest.mark.parametrize(
    ("scheme", "slices", "most"),
    # Conversions of a sign are rounded too, and count 256 times as much.
    [("differential", 1, 0.02), ("offset", 1, 0.02), ("twos-complement", 2, 0.25)],
)
def test_an_ideal_device_has_quantisation_only(source, scheme, slices, most):
    layers = budget(source, load("ideal:256"), scheme=scheme, slices=slices)
    assert [layer.name for layer in layers] == [layer.name for layer in source.network.layers]
    for layer in layers:
        assert set(layer.costs) == {*CAUSES, "quantisation"}
        assert 0 < layer.error == layer.costs["quantisation"] < most
        assert all(layer.costs[cause] == 0 for cause in CAUSES)


def test_each_cause_is_found(source):
    ogb = load("cspbbr3_ogb")
    usual = {layer.name: layer for layer in budget(source, ogb)}
    noisy = {
        layer.name: layer
        for layer in budget(source, changed(ogb, **{"modes.nonvolatile.read.noise": 0.05}))
    }
    coarse = {layer.name: layer for layer in budget(source, ogb, adc_bits=9)}
    rough = {layer.name: layer for layer in budget(source, ogb, act_bits=4)}
    for name, layer in usual.items():
        assert layer.costs["programming error"] > 0 and layer.costs["ADC"] == 0
        assert noisy[name].costs["read noise"] > 3 * layer.costs["read noise"]
        assert coarse[name].costs["ADC"] > layer.error / 2
        assert rough[name].costs["quantisation"] > 2 * layer.costs["quantisation"]


def test_stuck_cells_are_stuck_in_every_run(source):
    ogb = load("cspbbr3_ogb")
    faults = np.full((8, 32, 32), np.nan)
    faults[:, ::4] = ogb.levels[-1]
    sound, broken = budget(source, ogb), budget(source, ogb, faults=faults)
    assert all(b.costs["quantisation"] > 2 * s.costs["quantisation"]
               for s, b in zip(sound, broken, strict=True))  # fmt: skip


def test_lines_with_resistance_are_a_cause_of_their_own(source):
    ideal = load("ideal:256")
    without, little, more = (budget(source, ideal, verify=False, wire_ohms=r) for r in (0, 0.5, 2))
    assert all(LINES not in layer.costs for layer in without)
    for none, some, many in zip(without, little, more, strict=True):
        assert set(some.costs) == {*CAUSES, "quantisation", LINES}
        assert some.costs["quantisation"] == none.costs["quantisation"] == none.error
        assert many.costs[LINES] > 2 * some.costs[LINES] > 0
        assert some.error**2 == pytest.approx(none.error**2 + some.costs[LINES] ** 2)
