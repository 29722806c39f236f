"""Lines with resistance in co-simulation: cells on the RTL's card as the numpy engine's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ohmloom.hw.isa import Instruction, Op, Reg, Train, instruction, pack_pulse
from ohmloom.hw.ranges import AUTO
from ohmloom.sim.array import SimulatedArray
from ohmloom.sim.array.lines import Wires
from ohmloom.sim.cosim.card import AnalogCard
from ohmloom.sim.cosim.fault import Fault
from ohmloom.sim.cosim.job import Job
from ohmloom.sim.cosim.runner import run_cosim
from ohmloom.sim.cosim.simulator import Simulator
from ohmloom.sim.engine import NumpyEngine

WIRES = Wires(1.0, 2.0, 3.0)


def wired(job: Job, together: int = 3, then: tuple[Instruction, ...] = ()) -> Job:
    """The job in lines with resistance; ``then`` is done behind tile 0's ``PROGRAM``."""
    code = list(job.image.code)
    spare = next(n for n, instr in enumerate(code) if instr.op is Op.WAIT)
    code[spare] = instruction(Op.SET, reg=Reg.TOGETHER, value=together)
    entry = job.image.entries["program/0"]
    own = [*code[entry : entry + 2], *then, instruction(Op.HALT)]
    image = replace(
        job.image,
        code=(*code, *own),
        entries=job.image.entries | {"program/0": len(code)},
    )
    return replace(job, image=image, wires=WIRES)


def pulsed(job: Job) -> Job:
    """Behind ``PROGRAM`` row 0 gets a RESET of all its cells, too far for the last of them."""
    device, params = job.device, list(job.image.params)
    width = int(device.reset_width_s * job.clk_hz)
    record = pack_pulse(Train(job.converters.dac_code(device.v_reset), width))
    at = {"tile": 0, "row": 0, "column": 0, "count": 8, "down": 0}
    job = wired(job, then=(instruction(Op.PULSE, **at, param=len(params)),))
    image = replace(job.image, params=np.array([*params, *record], np.uint64))
    return replace(job, image=image, wires=Wires(50.0, 2.0))


def engine(job: Job) -> NumpyEngine:
    made = NumpyEngine(job.image, job.array(), job.converters, job.clk_hz, job.seed)
    made.setup()
    return made


READS = (
    instruction(Op.READ, tile=0, cell=2, count=21),
    instruction(Op.SET, reg=Reg.AVERAGE, value=1),
    instruction(Op.SET, reg=Reg.TIA_RANGE, value=AUTO),
    instruction(Op.READ, tile=0, cell=5, count=10),
    instruction(Op.SET, reg=Reg.AVERAGE, value=0),
    instruction(Op.SET, reg=Reg.TIA_RANGE, value=0),
)


@pytest.mark.parametrize("together", [1, 3, 8])
def test_every_integer_is_the_numpy_engines(make_job, tmp_path, together):
    job = wired(make_job(samples=2, cells=20), together, READS)
    result = run_cosim(job, folder=tmp_path, simulator=Simulator.CXXRTL)
    assert result.report.first_mismatch is None
    alone = engine(job)
    alone.program(job.levels)
    assert np.array_equal(result.output, alone.infer(job.samples).output)
    ideal = engine(replace(job, wires=None))
    ideal.program(job.levels)
    assert not np.array_equal(result.output, ideal.infer(job.samples).output)


@pytest.mark.slow
def test_it_is_so_in_a_verilog_simulator(make_job, tmp_path):
    report = run_cosim(wired(make_job(samples=1, cells=3)), folder=tmp_path).report
    assert report.first_mismatch is None and report.values_compared


def test_a_planted_fault_is_found(make_job, tmp_path):
    job = wired(make_job(samples=1, cells=1, fault=Fault.CONDUCTANCE))
    report = run_cosim(job, folder=tmp_path, simulator=Simulator.CXXRTL).report
    assert report.first_mismatch is not None


def test_cells_written_in_another_order_are_found(make_job, tmp_path, monkeypatch):
    monkeypatch.setattr(
        NumpyEngine, "_side_by_side", lambda engine, instr, auto=False: [np.arange(instr["count"])]
    )
    job = wired(make_job(samples=1, cells=20), together=1)
    report = run_cosim(job, folder=tmp_path, simulator=Simulator.CXXRTL).report
    assert "programming tile 0" in str(report.first_mismatch)


def test_pulses_of_a_group_share_what_their_row_drops(make_job, tmp_path, monkeypatch):
    job = pulsed(make_job(samples=1, cells=8))
    alone = engine(job)
    alone.program_tile(0, job.levels[0])
    off = alone.array.g[0, 0] < 5e-5
    assert off[0] and not off[7]
    report = run_cosim(job, folder=tmp_path, simulator=Simulator.CXXRTL).report
    assert report.first_mismatch is None

    pulse = SimulatedArray.pulse
    monkeypatch.setattr(
        AnalogCard, "_pulse",
        lambda card, volts, i_cc, cycles: [
            pulse(card.array, cells.ravel(), volts, cycles / card.clk_hz, limit)
            for cells, _, limit in card._pulsed(i_cc)
        ],
    )  # fmt: skip
    report = run_cosim(job, folder=tmp_path, simulator=Simulator.CXXRTL).report
    assert "tile 0" in str(report.first_mismatch)
