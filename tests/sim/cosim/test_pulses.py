"""Pulses and sweeps in co-simulation: every word and the whole state as the numpy engine's."""

from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np
import pytest

from ohmloom.hw.isa import (
    LIMIT_POSITIVE,
    Op,
    Staircase,
    Train,
    instruction,
    pack_pulse,
    pack_sweep,
)
from ohmloom.sim.converters import Converters
from ohmloom.sim.cosim.fault import Fault
from ohmloom.sim.cosim.runner import run_cosim
from ohmloom.sim.cosim.simulator import Simulator

CARD = Converters()
MS = 1e-3
VOLT = CARD.dac_code(1.0) - 0x8000
GATE = int(CARD.gate_code(100e-6))


def stairs(clk_hz: int, **changes) -> Staircase:
    """Up to 1 V and back with I_cc, which sets cells on the way."""
    dwell = int(0.6 * MS * clk_hz)
    step = VOLT // 3
    record = Staircase(
        start=0x8000, stop=0x8000 + 3 * step, step=step, both=True, width=dwell,
        interval=dwell + int(0.1 * MS * clk_hz), gate=GATE, limit=LIMIT_POSITIVE,
        delay=dwell // 4, spacing=dwell // 4, average=1,
    )  # fmt: skip
    return replace(record, **changes)


def train(clk_hz: int, **changes) -> Train:
    """RESET pulses, the current inside and the conductance after each."""
    width = int(0.6 * MS * clk_hz)
    record = Train(
        rail=0x8000 - 3 * VOLT // 2, limit=LIMIT_POSITIVE, gate=GATE, width=width, pulses=2,
        interval=3 * width, inside=2, delay=width // 3, spacing=width // 3, after=1,
        after_delay=width // 2, after_spacing=width // 4, average=0,
    )  # fmt: skip
    return replace(record, **changes)


def with_steps(job, steps):
    """The job, whose tile 0 is not written cell by cell but goes through ``steps``."""
    params = list(job.image.params)
    code = [instruction(Op.RESTORE, tile=0, mode=0)]
    for op, operands, words in steps:
        code.append(instruction(op, tile=0, **operands, param=len(params)))
        params += words
    code = [*job.image.code, *code, instruction(Op.HALT)]
    entries = job.image.entries | {"program/0": len(job.image.code)}
    image = replace(
        job.image,
        geometry=replace(job.image.geometry, param_depth=128),
        code=tuple(code),
        params=np.array(params, np.uint64),
        entries=entries,
    )
    return replace(job, image=image)


def line(row=1, column=2, count=1, down=0):
    return {"row": row, "column": column, "count": count, "down": down}


def steps(clk_hz: int, **changes):
    """The last words of the first sweep outlive the shorter results and are compared too."""
    return [
        (Op.SWEEP, line(count=3), pack_sweep(stairs(clk_hz))),
        (Op.PULSE, line(count=3), pack_pulse(train(clk_hz, **changes))),
        (Op.SWEEP, line(row=3, column=5, count=2, down=1), pack_sweep(stairs(clk_hz, both=False))),
        (Op.PULSE, line(row=7), pack_pulse(train(clk_hz, rail=0x8000 + VOLT, inside=0, pulses=1))),
    ]


def test_trains_and_sweeps_are_the_numpy_engines_with_and_without_jumps(make_job, tmp_path):
    """At a slow clock, where the pulses can be stepped through cycle by cycle."""
    job = make_job(clk_hz=2_000_000, samples=1, cells=1)
    runs = []
    for jump in (True, False):
        job = replace(job, jump=jump)
        report = asdict(
            run_cosim(with_steps(job, steps(job.clk_hz)), folder=tmp_path / str(jump)).report
        )
        assert report["first_mismatch"] is None
        assert (report.pop("skipped_cycles") > 15_000) == jump
        del report["simulated_cycles"]
        runs.append(report)
    assert runs[0] == runs[1]
    # 7 and 4 steps, two pulses and one, each on its cells.
    assert runs[0]["pulses"] == 3 * 7 + 3 * 2 + 2 * 4 + 1


@pytest.mark.slow
@pytest.mark.parametrize("simulator", [Simulator.ICARUS, Simulator.CXXRTL])
def test_trains_and_sweeps_are_the_numpy_engines_at_full_speed(make_job, tmp_path, simulator):
    job = with_steps(make_job(samples=1, cells=1), steps(48_000_000))
    report = run_cosim(job, folder=tmp_path, simulator=simulator).report
    assert report.first_mismatch is None
    assert report.skipped_cycles > 10 * MS * job.clk_hz


@pytest.mark.slow
def test_a_sample_before_the_input_has_settled_is_found(make_job, tmp_path):
    """The earliest sample that is taken, with an input that is slower than it says."""
    probe = Train(rail=0x8000 + VOLT // 4, width=2000, inside=1, delay=480)
    job = make_job(samples=1, cells=1)
    job = with_steps(job, [(Op.PULSE, line(), pack_pulse(probe))])
    assert run_cosim(job, folder=tmp_path / "sound").report.first_mismatch is None
    slow = replace(job, fault=Fault.SETTLING)
    found = run_cosim(slow, folder=tmp_path / "slow").report.first_mismatch
    assert found is not None and "programming tile 0" in found
