"""Write-verify to targets by the RTL, bit for bit the numpy engine's, and how good it is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ohmloom.compiler.tuning import target_codes, target_image
from ohmloom.hw.afe.array_card import front_end_cycles
from ohmloom.hw.cycles import program_cycles
from ohmloom.hw.geometry import Geometry
from ohmloom.hw.isa import CellStatus, Op, Reg, instruction, unpack_result
from ohmloom.sim.converters import Converters
from ohmloom.sim.cosim.comparison import Comparison
from ohmloom.sim.cosim.fast.programming import program_fast
from ohmloom.sim.cosim.job import Job
from ohmloom.sim.devices import load
from ohmloom.sim.engine import NumpyEngine
from ohmloom.sim.engine.tally import tally

from .conftest import CLK_HZ

MODULE = "ohmloom.sim.cosim.fast.programming"
STUCK = ((9, 3e-6), (36, 9e-4))
"""Open and shorted, outside the window."""


def make_job(geometry, clk_hz, seed=1, stuck=(), **options):
    """Targets spread evenly over the window; the job and the wanted conductances of tile 0."""
    device, card = load("cspbbr3_ogb"), Converters()
    image, gain = target_image(device, card, geometry, clk_hz, **options)
    shape = (geometry.tiles, geometry.rows, geometry.columns)
    wanted = np.linspace(device.levels[0], device.levels[-1], int(np.prod(shape)))
    wanted = np.random.default_rng(seed).permutation(wanted).reshape(shape)
    job = Job(
        image=image,
        device=device,
        levels=target_codes(wanted, device, gain),
        samples=np.zeros((0, 1), np.int64),
        converters=card,
        seed=seed,
        clk_hz=clk_hz,
        stuck=stuck,
    )
    return job, wanted[0]


SMALL = Geometry(rows=8, columns=8, tiles=2, program_depth=64, param_depth=64, act_depth=64)


def small_job(**options):
    """On the bench that the tests here share."""
    return make_job(SMALL, CLK_HZ, **options)


@pytest.fixture
def shared(compiled, monkeypatch):
    """Runs find the library without elaborating the design each time."""
    monkeypatch.setattr(f"{MODULE}.library", lambda *_: compiled)


def run(job):
    return program_fast(job, lambda stage, done, total: None)


def judge(job, wanted, done):
    levels = job.device.levels
    tolerance = 0.01 * float(levels[-1] - levels[0])
    return tally(done.words, done.g, wanted, tolerance, [cell for cell, _ in job.stuck])


def altered(job, **registers):
    """The job with other values in registers that its setup writes."""
    code = [
        instruction(Op.SET, reg=word["reg"], value=registers[Reg(word["reg"]).name])
        if word.op is Op.SET and Reg(word["reg"]).name in registers
        else word
        for word in job.image.code
    ]
    return replace(job, image=replace(job.image, code=tuple(code)))


def test_targets_are_met_and_stuck_cells_named(shared):
    job, wanted = small_job(stuck=STUCK, conversions=64)
    done = run(job)
    assert done.report.first_mismatch is None
    found = judge(job, wanted, done)
    assert found.inside >= 0.95 and found.most_pairs <= 10
    assert found.unreported == found.slandered == ()
    assert found.statuses[CellStatus.STUCK] == len(STUCK)
    # Every pair was counted, one for each RESET and SET.
    tries = [unpack_result(int(word))[1] for word in done.words]
    assert done.cycles.tolist() == tries
    assert done.report.pulses == 2 * sum(tries)


def test_one_cell_after_the_other_gives_the_same(shared):
    """The order of cells, pulses and reads changes no bit; together it takes less time."""
    job, _ = small_job(conversions=4, tries=3)
    together = run(job)
    alone = run(altered(job, TOGETHER=1))
    three = run(altered(job, TOGETHER=3))
    for other in (alone, three):
        assert other.report.first_mismatch is None
        assert np.array_equal(other.words, together.words)
        assert np.array_equal(other.g, together.g)
    times = [made.report.simulated_cycles for made in (together, three, alone)]
    assert times == sorted(times) and times[0] < 0.7 * times[2]


def test_cells_are_refused_at_their_endurance(shared):
    job, _ = small_job(conversions=4)
    done = run(altered(job, ENDURANCE=2))
    assert done.report.first_mismatch is None
    results = [unpack_result(int(word)) for word in done.words]
    assert {status for *_, status in results} == {CellStatus.DONE, CellStatus.WORN}
    assert all(tries == 2 for _, tries, status in results if status is CellStatus.WORN)
    assert done.cycles.max() == 2


def set_registers(job, **values):
    """The job with further registers written at the beginning of its setup."""
    more = [instruction(Op.SET, reg=Reg[name], value=value) for name, value in values.items()]
    code = [job.image.code[0], *more, *job.image.code[1:]]
    entries = {name: at and at + len(more) for name, at in job.image.entries.items()}
    return replace(job, image=replace(job.image, code=tuple(code), entries=entries))


@pytest.mark.parametrize(
    ("together", "average", "tries"), [(1, 0, 32), (8, 0, 32), (8, 2, 2), (3, 1, 1)]
)
def test_a_run_takes_the_cycles_that_are_predicted_of_its_tries(
    shared, make_job, together, average, tries
):
    job = replace(make_job(clk_hz=CLK_HZ, cells=64, planes=3), samples=np.zeros((0, 16), np.int64))
    job = altered(set_registers(job, TOGETHER=together, AVERAGE=average), TRIES=tries)
    done = run(job)
    assert done.report.first_mismatch is None
    _, had, found = np.transpose([unpack_result(int(word)) for word in done.words])
    assert had.max() == tries if tries < 4 else had.max() > 2
    front_end = front_end_cycles(SMALL, CLK_HZ)
    shape = (1, 8, 8)
    predicted = program_cycles(job.image, front_end, had.reshape(shape), found.reshape(shape))
    assert predicted == done.run_cycles
    # Planted: a cell that is said to have had a try more, or a pulse that is a cycle longer.
    had[17] += 1
    more = program_cycles(job.image, front_end, had.reshape(shape), found.reshape(shape))
    assert more > done.run_cycles + CLK_HZ // 1000
    had[17] -= 1
    longer = replace(front_end, drive=front_end.drive + 1)
    assert program_cycles(job.image, longer, had.reshape(shape), found.reshape(shape)) > predicted


def test_a_row_is_read_at_once(shared):
    """``READ`` after ``PROGRAM``, a row a conversion: each cell's noise is its own."""
    job, _ = small_job(conversions=4, tries=2)
    start = job.image.entries["program/0"]
    code = list(job.image.code)
    code[start + 2 : start + 2] = [instruction(Op.READ, tile=0, cell=3, count=61)]
    entries = {name: at + (at > start) for name, at in job.image.entries.items()}
    done = run(replace(job, image=replace(job.image, code=tuple(code), entries=entries)))
    assert done.report.first_mismatch is None
    status = [unpack_result(int(word))[2] for word in done.words]
    assert status[:61] == [CellStatus.READ] * 61 and CellStatus.READ not in status[61:]


def with_another_reference(monkeypatch, **registers):
    """Compare with a numpy engine that works with other register values."""

    class Other(Comparison):
        def __init__(self, job, *arguments):
            super().__init__(job, *arguments)
            self.reference = NumpyEngine(
                altered(job, **registers).image, self.reference_array, self.converters,
                job.clk_hz, job.seed,
            )  # fmt: skip

    monkeypatch.setattr(f"{MODULE}.Comparison", Other)


def test_a_line_that_is_off_is_found(shared, monkeypatch):
    job, _ = small_job(conversions=4, tries=2)

    class Off(Comparison):
        def __init__(self, job, *arguments):
            super().__init__(job, *arguments)
            params = job.image.params.copy()
            params[1] += np.uint64(4 << 41)  # four codes more of half a window
            self.reference.image = replace(job.image, params=params)

    monkeypatch.setattr(f"{MODULE}.Comparison", Off)
    assert "programming tile 0" in str(run(job).report.first_mismatch)


@pytest.mark.parametrize("registers", [{"TRIES": 3}, {"STUCK": 0}, {"ENDURANCE": 1}])
def test_another_number_of_tries_spread_or_cycles_is_found(shared, monkeypatch, registers):
    job, _ = small_job(conversions=4, tries=2, stuck=STUCK)
    with_another_reference(monkeypatch, **registers)
    assert "programming tile 0" in str(run(job).report.first_mismatch)


def test_a_stuck_cell_that_the_reference_does_not_have_is_found(shared, monkeypatch):
    job, _ = small_job(conversions=4, tries=2)

    class Sound(Comparison):
        def __init__(self, job, *arguments):
            super().__init__(job, *arguments)
            self.array.stick([21], [9e-4])

    monkeypatch.setattr(f"{MODULE}.Comparison", Sound)
    assert "row 2, column 5" in str(run(job).report.first_mismatch)


def test_a_cycle_that_is_not_counted_is_found(shared, monkeypatch):
    job, _ = small_job(conversions=4, tries=2)

    class Forgetful(Comparison):
        async def _program_tile(self, link, tile, expected):
            self.reference.wear[0, 5] -= 1
            await super()._program_tile(link, tile, expected)

    monkeypatch.setattr(f"{MODULE}.Comparison", Forgetful)
    assert "cycles of tile 0, row 0, column 5" in str(run(job).report.first_mismatch)


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.0, 0.01])
def test_a_tile_of_32_by_32_at_full_speed(share):
    geometry = Geometry(tiles=1, program_depth=64, param_depth=64, act_depth=64)
    cells = np.random.default_rng(5).permutation(geometry.cells)[: round(share * geometry.cells)]
    stuck = tuple((int(cell), STUCK[n % 2][1]) for n, cell in enumerate(cells))
    job, wanted = make_job(geometry, 48_000_000, stuck=stuck)
    done = run(job)
    assert done.report.first_mismatch is None
    found = judge(job, wanted, done)
    assert found.inside >= 0.995
    assert found.mean_pairs <= 2.3 and found.most_pairs <= 10
    assert found.unreported == found.slandered == ()
    assert found.statuses[CellStatus.STUCK] == len(stuck)
    others = geometry.cells - len(stuck) - found.statuses[CellStatus.DONE]
    assert found.statuses[CellStatus.NOT_CONVERGED] == others
