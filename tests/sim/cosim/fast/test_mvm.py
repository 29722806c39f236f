"""An MVM takes at most 5 % more than the data sheets of the front end say; no sample is early."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ohmloom.hw.afe.array_card import ADCS, ArrayCard, plane_period_cycles
from ohmloom.hw.afe.interface import PlaneStep
from ohmloom.hw.geometry import Geometry
from ohmloom.hw.isa import Op
from ohmloom.sim.cosim.overhead import MVM_LIMIT, MvmFigure, mvm_figure, with_another_mvm
from ohmloom.sim.cosim.runner import run_cosim
from ohmloom.sim.cosim.simulator import Simulator

CLK_HZ = 48_000_000
PERIOD = {PlaneStep.SETTLE: 478, PlaneStep.READOUT: 172, PlaneStep.SWITCH: 50}


def test_the_bound_is_the_planes_and_one_read_out():
    figure = MvmFigure(8, PERIOD, 4090)
    assert plane_period_cycles(Geometry(), CLK_HZ) == PERIOD
    assert figure.bound == 8 * 478 + 172 == 3996
    assert figure.met and figure.ratio == 4090 / 3996
    *_, bound, measured = figure.lines(CLK_HZ)
    assert bound == "bound: 8 x 478 + 172 = 3996 cycles"
    assert measured == "measured: 4090 cycles, 1.024 of the bound (<= 1.05)"


def test_what_takes_longer_than_the_limit_is_not_met():
    limit = int(MVM_LIMIT * 3996)
    assert MvmFigure(8, PERIOD, limit).met
    assert not MvmFigure(8, PERIOD, limit + 1).met
    assert not MvmFigure(8, PERIOD, 0).met


def test_settling_is_printed_term_by_term():
    line = next(MvmFigure(8, PERIOD, 4090).lines(CLK_HZ))
    assert line == (
        "settling: 485 ns (switch) + 11.78 x (79.6 ns (TIA) + 723.4 ns (ADC filter)) = 9947 ns"
    )


def test_another_mvm_moves_what_comes_behind_it(make_job):
    image = make_job(planes=8).image
    longer = with_another_mvm(image)
    assert [each.op for each in longer.code].count(Op.MVM) == 3
    assert longer.entries == image.entries
    assert mvm_figure(image, PERIOD, 10_000, 14_090).cycles == 4090


@pytest.mark.slow
@pytest.mark.parametrize("lines", [8, 32])
def test_an_mvm_takes_little_more_than_its_bound(make_job, lines):
    job = make_job(planes=8, samples=1, cells=2, lines=lines)
    cycles = []
    for image in (job.image, with_another_mvm(job.image)):
        report = run_cosim(replace(job, image=image), simulator=Simulator.CXXRTL).report
        assert report.first_mismatch is None
        cycles.append(report.cycles_per_inference)
    period = plane_period_cycles(job.image.geometry, job.clk_hz)
    figure = mvm_figure(job.image, period, *cycles)
    assert period[PlaneStep.SETTLE] == 478 and figure.bound == 8 * 478 + period[PlaneStep.READOUT]
    assert figure.met, f"{figure.cycles} cycles, {figure.ratio:.3f} of {figure.bound}"
    assert figure.cycles > figure.bound


@pytest.mark.slow
@pytest.mark.parametrize("adc", ADCS.values(), ids=ADCS)
def test_a_sample_before_its_time_gives_wrong_codes(make_job, monkeypatch, adc):
    """The controller waits for a quarter of what the inputs need."""
    sound = ArrayCard.timing

    def hasty(card):
        timing = sound(card)
        ranges = tuple(duration // 4 for duration in timing.range_settle_ps)
        return replace(timing, settle_ps=timing.settle_ps // 4, range_settle_ps=ranges)

    job = replace(make_job(samples=1, cells=2), adc=adc)
    report = run_cosim(job, simulator=Simulator.CXXRTL).report
    assert report.first_mismatch is None and report.cells_programmed and report.pulses
    slowest = max(plane_period_cycles(job.image.geometry, job.clk_hz, adc=adc).values())
    assert report.cycles_per_inference > 10 * slowest == report.afe_bound_cycles
    monkeypatch.setattr(ArrayCard, "timing", hasty)
    found = run_cosim(job, simulator=Simulator.CXXRTL).report.first_mismatch
    assert found is not None and "expected" in found


def test_as_many_outputs_as_a_tile_has_pairs_which_are_no_power_of_two(make_job):
    """Post-processing asks for the one behind the last, which has no word of its own."""
    report = run_cosim(make_job(lines=24, cells=2, samples=1), simulator=Simulator.CXXRTL).report
    assert report.mismatches == 0 and report.values_compared > 0
