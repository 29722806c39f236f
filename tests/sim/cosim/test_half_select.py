"""Half-selected pulses of a passive array in co-simulation, as the numpy engine does them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ohmloom.hw.geometry import Geometry
from ohmloom.hw.isa import (
    Dac,
    Instruction,
    Op,
    Train,
    instruction,
    pack_pulse,
)
from ohmloom.sim.array import SimulatedArray
from ohmloom.sim.array.lines import Bias, Wires
from ohmloom.sim.converters import Converters, half_select
from ohmloom.sim.cosim.bench import lags
from ohmloom.sim.cosim.card import AnalogCard, CardFault
from ohmloom.sim.cosim.job import Job
from ohmloom.sim.cosim.runner import run_cosim
from ohmloom.sim.cosim.simulator import Simulator
from ohmloom.sim.devices import load
from ohmloom.sim.engine import NumpyEngine
from ohmloom.sim.engine.errors import EngineError

CARD = Converters()
BOTH = 3
SET_V, RESET_V = 1.2, -3.0
WIDTH_S = 0.6e-3


def half_selected(job: Job, bias: Bias, cells: list[tuple[int, int, float]], **changes: int) -> Job:
    """The job in a passive array, whose tile 0 gets a pulse of so many volts on each cell."""
    params = list(job.image.params)
    code: list[Instruction] = [instruction(Op.RESTORE, tile=0, mode=0)]
    width = int(WIDTH_S * job.clk_hz)
    for row, column, volts in cells:
        codes = half_select(CARD, volts, bias)
        record = Train(
            rail=codes.rail, gate=codes.program, limit=BOTH, others=int(codes.others),
            width=width, after=1, after_delay=width // 2, after_spacing=width // 4,
        )  # fmt: skip
        code.append(instruction(Op.DAC, channel=Dac.GATE_ON, code=codes.on))
        at = {"row": row, "column": column, "count": 1, "down": 0}
        code.append(instruction(Op.PULSE, tile=0, **at, param=len(params)))
        params += pack_pulse(replace(record, **changes))
    halt = len(code)
    code = [*job.image.code, *code, instruction(Op.HALT)]
    start = len(job.image.code)
    image = replace(
        job.image,
        geometry=replace(job.image.geometry, passive=True, param_depth=256, program_depth=128),
        code=tuple(code),
        params=np.array(params, np.uint64),
        entries=job.image.entries | {"program/0": start, "program/1": start + halt},
    )
    return replace(job, image=image)


CELLS = [(0, 0, SET_V), (1, 1, SET_V), (2, 2, SET_V), (1, 1, RESET_V), (7, 0, SET_V)]


@pytest.mark.parametrize("bias", [Bias.HALF, Bias.THIRD])
def test_every_cell_of_the_tile_is_the_numpy_engines(make_job, tmp_path, bias):
    job = half_selected(make_job("vb3", samples=1), bias, CELLS)
    report = run_cosim(job, folder=tmp_path, simulator=Simulator.CXXRTL).report
    assert report.first_mismatch is None
    others = 14 if bias is Bias.HALF else 63
    assert report.pulses == len(CELLS) * (1 + others)


def test_so_they_are_in_lines_with_resistance(make_job, tmp_path):
    job = half_selected(make_job("vb3", samples=1), Bias.HALF, CELLS)
    job = replace(job, wires=Wires(20.0, 10.0, 5.0))
    report = run_cosim(job, folder=tmp_path, simulator=Simulator.CXXRTL).report
    assert report.first_mismatch is None
    assert report.pulses == len(CELLS) * 64  # no cell is quite without voltage


@pytest.mark.slow
def test_so_they_are_in_a_verilog_simulator(make_job, tmp_path):
    job = half_selected(make_job("vb3", samples=1), Bias.THIRD, CELLS[:2])
    assert run_cosim(job, folder=tmp_path).report.first_mismatch is None


def test_a_column_without_its_bias_is_found(make_job, tmp_path, monkeypatch):
    job = half_selected(make_job("vb3", samples=1), Bias.HALF, CELLS[:1])
    none = np.zeros(job.image.geometry.columns)
    monkeypatch.setattr(AnalogCard, "_biases", lambda card, time: none)
    report = run_cosim(job, folder=tmp_path, simulator=Simulator.CXXRTL).report
    assert report.first_mismatch is not None


def test_a_bias_that_is_too_high_for_the_others_is_refused(make_job):
    made = make_job("vb3", samples=1)
    job = half_selected(made, Bias.HALF, CELLS[:1], gate=0x8000 - 900)
    array = SimulatedArray(job.device, 2, 8, 8, job.seed)
    engine = NumpyEngine(job.image, array, CARD, job.clk_hz, job.seed)
    engine.setup()
    with pytest.raises(EngineError, match="more than half of the voltage"):
        engine.program_tile(0, job.levels[0])
    assert not array.pulses.any()


def test_a_column_on_its_tia_has_no_bias():
    device = load("vb3")
    geometry = Geometry(rows=8, columns=8, tiles=1, passive=True)
    array = SimulatedArray(device, 1, 8, 8, seed=1)
    card = AnalogCard(array, CARD, geometry, 1_000_000, lags(1_000_000))
    card.set_lines(0, column_tia=np.arange(8) == 2)
    with pytest.raises(CardFault, match="on its TIA"):
        card.set_gate_b(10, True)
