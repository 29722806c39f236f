"""Pulses, time and energy of writing: the estimate against what the engine does."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ohmloom.compiler import programming as module
from ohmloom.compiler.options import Options
from ohmloom.compiler.pipeline import compile_model
from ohmloom.compiler.programming import Estimate, Tag, programming, write
from ohmloom.compiler.report import front_end_of
from ohmloom.compiler.runner import build_engine
from ohmloom.hw.afe.power import Consumer
from ohmloom.hw.cycles import program_cycles
from ohmloom.hw.isa import CellStatus, pack_level, unpack_level
from ohmloom.sim.array import MeteredArray
from ohmloom.sim.devices import load

CARD = (Consumer("card", 2.0, "two watts"), Consumer("more", 0.5, "and a half"))


def simulated(compiled):
    engine = build_engine(compiled, program=False, array_type=MeteredArray)
    return engine, write(engine, compiled.levels)


@pytest.fixture(scope="module")
def written(compiled):
    return simulated(compiled)


def figures(compiled, what):
    return programming(compiled, what, front_end_of(compiled), CARD)


def test_what_is_written_is_what_the_array_has_had(compiled, written):
    engine, found = written
    assert np.array_equal(engine.array.pulses, 2 * found.tries.astype(int))
    assert np.array_equal(engine.array.g, build_engine(compiled).array.g)
    report = figures(compiled, found)
    assert report["tag"] == "simulated"
    assert [layer["name"] for layer in report["layers"]] == ["hidden", "readout"]
    total = report["total"]
    assert total["cells"] == 8192 and total["pulses"] == engine.array.pulses.sum()
    assert total["pulse_j"] == pytest.approx(engine.array.pulse_joules.sum())
    for key in ("cells", "pulses", "seconds", "pulse_j", "not_converged"):
        assert total[key] == pytest.approx(sum(layer[key] for layer in report["layers"]))


def test_time_is_that_of_the_controller_and_supplies_go_with_it(compiled, written):
    _, found = written
    total = figures(compiled, found)["total"]
    front_end = front_end_of(compiled)
    assert front_end is not None
    cycles = program_cycles(compiled.image, front_end, found.tries, found.status)
    assert total["seconds"] == pytest.approx(cycles / compiled.options.clk_hz)
    assert total["supplies_j"] == pytest.approx(2.5 * total["seconds"])
    # A SET after the other, 1 ms each, and a RESET at least for every row.
    sets = total["pulses"] / 2 * compiled.device.set_width_s
    assert sets + 8 * 32 * 1e-3 < total["seconds"] < 1.2 * sets


def test_an_estimate_is_close_and_says_what_it_is(compiled, written):
    estimate = Estimate.of(compiled)
    assert estimate.tag is Tag.ESTIMATED and len(estimate.sample) == 4096
    guess, truth = (figures(compiled, what)["total"] for what in (estimate, written[1]))
    assert figures(compiled, estimate)["tag"] == "estimated"
    for key in ("tries_per_cell", "seconds", "pulse_j"):
        assert guess[key] == pytest.approx(truth[key], rel=0.03)
    assert guess["cells"] == truth["cells"]


def test_an_estimate_sees_cells_that_do_not_converge(compiled):
    """Planted: windows of a single code."""
    params = compiled.image.params.copy()
    for level in range(len(compiled.device.level_codes)):
        gate, low, high = unpack_level(int(params[level]))
        params[level] = pack_level(gate, (low + high) // 2, (low + high) // 2)
    broken = replace(compiled, image=replace(compiled.image, params=params))
    guess = figures(broken, Estimate.of(broken))["total"]
    assert guess["not_converged"] > 1000 and guess["tries_per_cell"] > 10


def test_many_tiles_are_counted_by_some(compiled, monkeypatch):
    estimate = Estimate.of(compiled)
    whole = figures(compiled, estimate)["total"]
    monkeypatch.setattr(module, "COUNTED_CELLS", 2048)
    part = figures(compiled, estimate)["total"]
    assert part["cells"] == whole["cells"]
    assert part["seconds"] == pytest.approx(whole["seconds"], rel=0.05)
    assert part["seconds"] != whole["seconds"]


def test_one_shot_is_one_try(digits):
    made = compile_model(
        digits.model, load("cspbbr3_ogb"), digits.calib, options=Options(verify=False)
    )
    total = figures(made, Estimate.of(made))["total"]
    assert total["tries_per_cell"] == 1.0 and total["not_converged"] > 1000


def test_what_a_host_writes_takes_its_pulses_and_pauses(zoo, tmp_path):
    x = np.random.default_rng(0).random((4, 6)).astype(np.float32)
    made = compile_model(zoo.save(zoo.mlp((6, 5, 3)), tmp_path), load("all_in_one"), x)
    engine, found = simulated(made)
    assert isinstance(engine.array, MeteredArray)
    total = figures(made, found)["total"]
    assert total["pulses"] == engine.array.pulses.sum() > 0
    assert total["seconds"] == pytest.approx(2 * engine.array.pulse_seconds.sum())
    assert 0 < total["seconds"] <= 2 * 5e-3 * total["pulses"]
    guess = figures(made, Estimate.of(made))["total"]
    assert guess["seconds"] == pytest.approx(total["seconds"], rel=0.2)


def test_without_a_card_there_is_no_time(compiled, written):
    total = programming(compiled, written[1], None, CARD)["total"]
    assert total["seconds"] is None and total["supplies_j"] is None and total["pulses"] > 16384


def test_every_level_that_is_used_is_sampled():
    counts = np.array([100_000, 0, 1, 50])
    sample = module._sample(counts, 64)
    assert len(sample) == 64 and set(sample.tolist()) == {0, 2, 3}
    assert np.bincount(sample)[2] == 8 and np.bincount(sample)[0] > 40
    assert len(module._sample(np.ones(300, np.int64), 64)) == 64


def test_sampled_cells_are_dealt_out_in_turn():
    sample = np.array([0, 0, 0, 2, 2])
    levels = np.array([2, 0, 0, 0, 0, 2, 2, 3])
    assert module._deal(sample, levels).tolist() == [3, 0, 1, 2, 0, 4, 3, 4]
    assert set(sample[module._deal(sample, np.array([1]))]) == {0}


def test_a_status_that_is_not_done_is_not_converged(compiled, written):
    """Planted: two cells."""
    found = written[1]
    status = found.status.copy()
    status[0, 3, 3], status[7, 1, 1] = CellStatus.STUCK, CellStatus.NOT_CONVERGED
    layers = figures(compiled, replace(found, status=status))["layers"]
    assert [layer["not_converged"] for layer in layers] == [1, 1]
