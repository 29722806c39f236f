"""Energy of an inference against hand calculations."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ohmloom.compiler.compiled import Golden
from ohmloom.compiler.energy import (
    CELLS,
    NO_LAYER,
    CellEnergy,
    Products,
    inference_energy,
    metered_cell_energy,
    sampled_cell_energy,
)
from ohmloom.compiler.pipeline import compile_model
from ohmloom.compiler.programming import Tag
from ohmloom.compiler.report import front_end_of, predict
from ohmloom.compiler.runner import build_engine
from ohmloom.hw.afe.power import Consumer
from ohmloom.hw.cycles import mvm_cycles
from ohmloom.sim.array import MeteredArray
from ohmloom.sim.devices import load

SOURCE = Consumer("rail", 1.0, "assumed", signal_v=15.0, feeds=True)
SINK = Consumer("adc", 0.0, "assumed", conversion_j=1e-6)


@pytest.fixture(scope="module")
def front_end(compiled):
    found = front_end_of(compiled)
    assert found is not None
    return found


def resistors(compiled, x, g=2e-4, by_round=False) -> MeteredArray:
    """Cells of one conductance, or of several, with a meter, after an inference."""
    faults = np.broadcast_to(g, compiled.levels.shape)
    engine = build_engine(
        compiled, program=False, read_noise=False, faults=faults, array_type=MeteredArray
    )
    engine.by_round = by_round
    engine.infer(x)
    assert isinstance(engine.array, MeteredArray)
    return engine.array


def test_planes_are_those_of_the_program_and_last_as_long(compiled, front_end):
    products = Products.of(compiled, front_end)
    assert products.planes.tolist() == [8.0] * 8
    period = mvm_cycles(compiled.image.geometry, front_end, 8) / 8 / compiled.options.clk_hz
    assert (products.seconds > 0.95 * period).all() and (products.seconds < period).all()


def test_cells_of_one_conductance_take_what_a_hand_calculates(compiled, front_end):
    x = compiled.golden.inputs[:3]
    found = metered_cell_energy(compiled, resistors(compiled, x), 3, front_end)
    # Tile 0 has the first 32 inputs: their bits, on 32 columns.
    bits = (x[:, :32, np.newaxis] >> np.arange(8) & 1).sum() / 3
    converters, geometry = compiled.converters, compiled.image.geometry
    volts = converters.dac_volts(converters.read_code(compiled.device.v_read))
    seconds = Products.of(compiled, front_end).seconds[0]
    wanted = volts**2 * 2e-4 * geometry.columns * bits * seconds
    assert found.joules[0] == pytest.approx(wanted, rel=1e-12) and wanted > 0
    assert found.tag is Tag.SIMULATED


def test_twice_the_conductance_takes_twice_twice_the_voltage_four_times(compiled, front_end):
    x = compiled.golden.inputs[:2]
    # The first layer's inputs do not depend on its conductances.
    once, twice = (
        metered_cell_energy(compiled, resistors(compiled, x, g), 2, front_end).joules[:2]
        for g in (1e-4, 2e-4)
    )
    np.testing.assert_allclose(twice, 2 * once, rtol=1e-12)
    array = resistors(compiled, x)
    low, high = (array.product_joules(volts, 1e-6) for volts in (0.05, 0.1))
    np.testing.assert_allclose(high, 4 * low, rtol=1e-12)


def test_rounds_that_are_executed_together_drive_the_same_rows(zoo, tmp_path):
    x = np.random.default_rng(0).random((4, 1, 6, 6)).astype(np.float32)
    made = compile_model(zoo.save(zoo.cnn(), tmp_path), load("ideal"), x)
    inputs = made.golden.inputs
    together, apart = (resistors(made, inputs, by_round=each) for each in (False, True))
    assert np.array_equal(together.driven, apart.driven) and together.driven.sum() > 1000


def test_layers_on_one_tile_take_what_their_own_rows_do(zoo, tmp_path):
    x = np.random.default_rng(1).random((4, 6)).astype(np.float32)
    made = compile_model(zoo.save(zoo.mlp((6, 5, 3)), tmp_path), load("ideal"), x)
    first, second = made.placements
    assert first.tile == second.tile and first.rows.stop == second.rows.start
    front_end = front_end_of(made)
    assert front_end is not None
    array, products = resistors(made, made.golden.inputs), Products.of(made, front_end)
    count = len(made.golden.inputs)
    found = metered_cell_energy(made, array, count, front_end).joules
    volts = made.converters.dac_volts(made.converters.read_code(made.device.v_read))
    for number, p in enumerate(made.placements):
        times = array.driven[p.tile, p.rows.start : p.rows.stop].sum() / count
        wanted = volts**2 * 2e-4 * made.image.geometry.columns * times * products.seconds[number]
        assert found[number] == pytest.approx(wanted, rel=1e-12) and wanted > 0


def test_golden_inputs_say_how_often_rows_are_driven(compiled, front_end):
    found = sampled_cell_energy(compiled, front_end)
    levels = compiled.device.levels[compiled.levels]
    exact = resistors(compiled, compiled.golden.inputs, levels)
    wanted = metered_cell_energy(compiled, exact, len(compiled.golden.inputs), front_end)
    np.testing.assert_array_equal(found.joules, wanted.joules)
    assert "8 inferences" in found.origin


def test_without_golden_inputs_half_of_the_rows_are_assumed(compiled, front_end):
    empty = Golden(compiled.golden.inputs[:0], tuple(each[:0] for each in compiled.golden.layers))
    found = sampled_cell_energy(replace(compiled, golden=empty), front_end)
    assert found.tag is Tag.ESTIMATED and "assumed" in found.origin
    counted = sampled_cell_energy(compiled, front_end).joules.sum()
    assert 0.5 < found.joules.sum() / counted < 5


def test_parts_and_layers_add_up(compiled, front_end):
    cycles = predict(compiled)
    assert cycles is not None
    cells = CellEnergy(np.full(8, 1e-8), Tag.SIMULATED, "planted")
    energy = inference_energy(compiled, front_end, cells, (SOURCE, SINK), cycles)
    parts = {part["name"]: part["joules"] for part in energy["parts"]}
    assert parts[CELLS] == pytest.approx(8e-8)
    volts = compiled.converters.dac_volts(compiled.converters.read_code(compiled.device.v_read))
    # A watt, and 15 V for the charge that 80 nJ are at the read voltage, less these.
    wanted = cycles["seconds"] + 15 * 8e-8 / volts - 8e-8
    assert parts["rail"] == pytest.approx(wanted, rel=1e-12)
    assert parts["adc"] == pytest.approx(64e-6)  # 8 tiles of 8 planes
    assert energy["joules"] == pytest.approx(sum(parts.values()))
    assert energy["watts"] == pytest.approx(energy["joules"] / cycles["seconds"])
    assert [layer["name"] for layer in energy["layers"]] == ["hidden", "readout", NO_LAYER]
    for name, joules in parts.items():
        shares = [layer["joules"][name] for layer in energy["layers"]]
        assert sum(shares) == pytest.approx(joules)
    tags = {part["name"]: part["tag"] for part in energy["parts"]}
    assert tags == {CELLS: "simulated", "rail": "estimated", "adc": "estimated"}
