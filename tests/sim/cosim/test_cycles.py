"""Predicted cycles against those that the RTL counts, run for run."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from ohmloom.boards.link import LinkClient
from ohmloom.compiler.pipeline import compile_model
from ohmloom.compiler.profile import make_profile
from ohmloom.compiler.runner import quantise_input
from ohmloom.hw.afe import ad7606, ad7606c
from ohmloom.hw.afe.adc_part import AdcPart
from ohmloom.hw.afe.array_card import ADCS, front_end_cycles
from ohmloom.hw.cycles import CycleError, FrontEndCycles, State, run_cycles, state_after
from ohmloom.hw.cycles import post as post_model
from ohmloom.hw.cycles import run as run_model
from ohmloom.hw.geometry import Geometry
from ohmloom.hw.image import Image, Span
from ohmloom.hw.isa import (
    TABLE_WORDS,
    Dac,
    Grid,
    Instruction,
    Loop,
    Op,
    Reg,
    Sum,
    assemble,
    instruction,
    pack_add,
    pack_pool,
    pack_requant,
    pack_table,
)
from ohmloom.hw.link.protocol import Space
from ohmloom.hw.profile import quarters
from ohmloom.sim.array import SimulatedArray
from ohmloom.sim.converters import Converters
from ohmloom.sim.cosim.fast.plugged import plugged
from ohmloom.sim.cosim.job import Job
from ohmloom.sim.cosim.runner import run_cosim
from ohmloom.sim.cosim.simulator import Simulator
from ohmloom.sim.devices import load

DIGITS = Path(__file__).parents[3] / "examples" / "digits"
HALT, END = instruction(Op.HALT), instruction(Op.END)
ZERO = 0x8000
BIT_CYCLES = 4
PROGRAMS = 40
"""Random programs of a controller."""
SCRATCH = 128
"""Activations that programs use, behind them room for what loops move."""
GRIDS = (
    Grid(1, 1, 0, 0),
    Grid(2, 3, 4, 1, (Loop(4, 1, 1), Loop(3, 8, 4), Loop(2, 16, 12))),
    Grid(3, 1, 1, 0, (Loop(1, 0, 0), Loop(5, 2, 1), Loop(1, 0, 0))),
    Grid(1, 4, 0, 1, (Loop(2, 4, 1), Loop(1, 0, 0), Loop(6, 8, 2))),
)
POOL, POOL_STEP = 2 * TABLE_WORDS, 8
"""Where the records of the grids are, each with a requantisation; before them two tables."""
ADD = POOL + POOL_STEP * len(GRIDS)


@dataclass(frozen=True)
class Case:
    """A controller and its card."""

    geometry: Geometry
    clk_hz: int
    adc: AdcPart = ad7606c.PART

    @property
    def front_end(self) -> FrontEndCycles:
        return front_end_cycles(self.geometry, self.clk_hz, self.adc)


SIZE = Geometry(rows=8, columns=8, tiles=2, program_depth=2048, param_depth=256, act_depth=256)
CASES = {
    "48 MHz": Case(SIZE, 48_000_000),
    "compact": Case(
        replace(SIZE, rows=24, compact=True, residual=False, calibration=True), 12_000_000
    ),
    "long, 3 MHz": Case(replace(SIZE, rows=120, columns=16), 3_000_000),
    "slow converters": Case(
        replace(SIZE, columns=16, calibration=True, act_width=9, loop=False),
        20_000_000,
        ad7606.PART,
    ),
}
"""Settling rules the plane period of the first one in every range, and of the others in some;
read-out or, where there are many rows, the switch update in the others."""
FIRST, *SLOW = CASES
UNKNOWN = ("cells", "rails")
"""Entries of which nothing can be predicted, the second one of a compact controller."""


class Programs:
    """Random programs of every instruction whose cycles are known, loops included."""

    def __init__(self, case: Case, seed: int) -> None:
        self.geometry = case.geometry
        self.random = random.Random(seed)
        known = {
            Op.NOP: self.nothing,
            Op.SET: self.set_range,
            Op.WAIT: self.wait,
            Op.MVM: self.mvm,
            Op.REQUANT: self.requant,
            Op.LUT: self.lut,
            Op.POOL: self.pool,
            Op.ADD: self.add,
            Op.ARGMAX: self.argmax,
        }
        if not self.geometry.compact:
            known[Op.DAC] = self.dac
        self.known = [make for op, make in known.items() if self.geometry.has(op)]

    def body(self, length: int, depth: int = 0) -> list[Instruction]:
        made: list[Instruction] = []
        for _ in range(length):
            if self.geometry.has(Op.LOOP) and depth < 4 and self.random.random() < 0.15:
                steps = {"act_step": self.random.randrange(3), "out_step": self.random.randrange(3)}
                made.append(instruction(Op.LOOP, count=self.random.choice((1, 2, 3)), **steps))
                made += [*self.body(self.random.randrange(4), depth + 1), END]
            else:
                made.append(self.random.choice(self.known)())
        return made

    def address(self) -> int:
        return self.random.randrange(SCRATCH - 32)

    def moves(self, *names: str) -> dict[str, int]:
        return {name: self.random.randrange(2) * self.geometry.has(Op.LOOP) for name in names}

    def nothing(self) -> Instruction:
        return instruction(Op.NOP)

    def set_range(self) -> Instruction:
        return instruction(Op.SET, reg=Reg.TIA_RANGE, value=self.random.randrange(6))

    def wait(self) -> Instruction:
        return instruction(Op.WAIT, cycles=self.random.choice((0, 1, 2, 3, 77, 1000, 10**7)))

    def dac(self) -> Instruction:
        channel = self.random.choice(list(Dac))
        return instruction(Op.DAC, channel=channel, code=ZERO + self.random.randint(100, 300))

    def mvm(self) -> Instruction:
        first = self.random.randrange(self.geometry.rows)
        return instruction(
            Op.MVM,
            tile=self.random.randrange(self.geometry.tiles),
            act=self.address(),
            first=first,
            rows=self.random.randint(1, self.geometry.rows - first),
            planes=self.random.randint(1, 5),
            signed=self.random.randrange(2),
            clear=self.random.randrange(2),
            **self.moves("move_act"),
        )

    def requant(self) -> Instruction:
        count = self.random.randint(1, self.geometry.pairs)
        return instruction(
            Op.REQUANT, out=self.address(), param=0, count=count, **self.moves("move_out")
        )

    def lut(self) -> Instruction:
        places = {"act": self.address(), "out": self.address()}
        return instruction(Op.LUT, **places, table=1, count=self.random.randint(1, 30))

    def pool(self) -> Instruction:
        return instruction(
            Op.POOL,
            act=self.address(),
            out=self.address(),
            param=POOL + POOL_STEP * self.random.randrange(len(GRIDS)),
            average=self.random.randrange(2),
            **self.moves("move_act", "move_out"),
        )

    def add(self) -> Instruction:
        return instruction(Op.ADD, out=self.address(), param=ADD, count=self.random.randint(1, 30))

    def argmax(self) -> Instruction:
        places = {"act": self.address(), "out": self.address()}
        return instruction(
            Op.ARGMAX, **places, count=self.random.randint(1, 30), last=self.random.randrange(2)
        )


def params() -> np.ndarray:
    """Two tables' room, the records of the pools and that of a sum."""
    words = [pack_requant(3, 1 << 23, 25)] * TABLE_WORDS + pack_table([7] * 256)
    for grid in GRIDS:
        record = [*pack_pool(grid), pack_requant(0, 1 << 23, 25)]
        words += record + [0] * (POOL_STEP - len(record))
    return np.array(words + pack_add(Sum(0, 40, 1 << 20, 1 << 20, 5, 22)), np.uint64)


@dataclass(frozen=True)
class Found:
    """An image, and what the RTL has counted of runs of its entries, in their order."""

    case: Case
    image: Image
    runs: tuple[tuple[str, int], ...]

    def states(self) -> list[State]:
        """Before each run."""
        states = [State()]
        for entry, _ in self.runs:
            states.append(state_after(self.image, entry, states[-1]))
        return states[:-1]

    def differences(
        self, front_end: FrontEndCycles | None = None, connected: bool = False
    ) -> list[tuple[str, int, int]]:
        """Entry, cycles and prediction of each run that is predicted wrongly.

        With ``connected`` the lines are always said to be.
        """
        wrong = []
        for (entry, counted), state in zip(self.runs, self.states(), strict=True):
            before = replace(state, configured=True) if connected else state
            try:
                found = run_cycles(self.image, front_end or self.case.front_end, entry, before)
            except CycleError:
                assert entry in UNKNOWN
                continue
            if found.cycles != counted:
                wrong.append((entry, counted, found.cycles))
        return wrong


def measure(case: Case) -> Found:
    """Runs of the random programs, some behind one that drives cells."""
    device, card, geometry = load("cspbbr3_ogb"), Converters(), case.geometry
    entries: dict[str, int] = {}
    code: list[Instruction] = []

    def entry(name: str, *body: Instruction) -> None:
        entries[name] = len(code)
        code.extend([*body, HALT])

    adopt, restore = instruction(Op.ADOPT), instruction(Op.RESTORE, tile=1, mode=0)
    entry("setup", adopt, adopt, restore, restore)
    rails = (Dac.RAIL_A, card.read_code(device.v_read)), (Dac.GATE_ON, card.gate_on_code)
    entry("rails", *(instruction(Op.DAC, channel=dac, code=value) for dac, value in rails))
    entry("cells", instruction(Op.READ, tile=0, cell=0, count=1))
    programs = Programs(case, 1)
    for n in range(PROGRAMS):
        entry(f"random {n}", *programs.body(8))
    image = Image(geometry, tuple(code), entries, params(), 2, Span(0, SCRATCH), ())
    # Each third one directly behind a run that drives cells, and then again.
    order = ["setup", "setup", "rails"]
    for n, name in enumerate(name for name in entries if name.startswith("random")):
        order += [name] if n % 3 else ["cells", name, name]
    array = SimulatedArray(device, image.tiles, geometry.rows, geometry.columns, 1)
    runs, rng = [], np.random.default_rng(2)
    with plugged(geometry, case.clk_hz, BIT_CYCLES, array, card, adc=case.adc) as wire:
        client = LinkClient(wire, timeout=200_000 / case.clk_hz)
        words = np.frombuffer(assemble(image.code), "<u8").tolist()
        client.write_words(Space.PROGRAM, 0, words)
        client.write_words(Space.PARAM, 0, image.params.tolist())
        profile = make_profile(device, card, case.clk_hz).without_ways().words
        client.write_words(Space.PROFILE, 0, quarters(profile))
        for epoch, name in enumerate(order):
            values = rng.integers(0, 1 << geometry.act_width, geometry.act_depth)
            client.write_words(Space.ACT, 0, values.tolist())
            runs.append((name, client.run(entries[name], epoch).cycles))
    return Found(case, image, tuple(runs))


@pytest.fixture(scope="session")
def measured() -> Callable[[str], Found]:
    """``measured(name)``: runs on a controller of :data:`CASES`, made once."""
    return cache(lambda name: measure(CASES[name]))


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name in SLOW)) for name in CASES]
)
def test_every_run_takes_what_is_predicted(measured, name):
    """Whatever the activations are: they are others before each run."""
    found = measured(name)
    assert found.differences() == []
    assert len(found.runs) > PROGRAMS and max(counted for _, counted in found.runs) > 10**7


def test_the_programs_have_every_instruction_that_can_be_predicted(measured):
    used = {instr.op for instr in measured(FIRST).image.code}
    assert used == set(Op) - set(run_model.CELL_OPS) | {Op.READ}


CONSTANTS = [
    (run_model, "BEGIN_CYCLES"),
    (run_model, "DISPATCH_CYCLES"),
    (run_model, "MOVE_CYCLES"),
    (run_model, "ENGINE_CYCLES"),
    (run_model, "RESTORE_CYCLES"),
    (run_model, "ADOPTED_CYCLES"),
    (run_model, "ADOPT_CYCLES"),
    (post_model, "SCALER_CYCLES"),
    (post_model, "REQUANT_CYCLES"),
    (post_model, "LUT_CYCLES"),
    (post_model, "ADD_CYCLES"),
    (post_model, "ADD_OVERHEAD"),
    (post_model, "ARGMAX_CYCLES"),
    (post_model, "ARGMAX_OVERHEAD"),
    (post_model, "POOL_OVERHEAD"),
    (post_model, "POOL_WINDOW"),
    (post_model, "POOL_TURN"),
]


@pytest.mark.parametrize(("module", "name"), CONSTANTS, ids=[name for _, name in CONSTANTS])
def test_a_constant_that_is_off_by_one_is_found(measured, monkeypatch, module, name):
    found = measured(FIRST)
    monkeypatch.setattr(module, name, getattr(module, name) + 1)
    assert found.differences()


OF_WRITING = ("closing", "drive", "pulse")
"""Times that only the cycles of writing have in them (fast/test_programming.py)."""


@pytest.mark.parametrize("field", sorted({f.name for f in fields(FrontEndCycles)} - {*OF_WRITING}))
def test_a_time_of_the_front_end_that_is_off_by_one_is_found(measured, field):
    found = measured(FIRST)
    right = found.case.front_end
    value = getattr(right, field)
    more = tuple(each + 1 for each in value) if isinstance(value, tuple) else value + 1
    assert found.differences(replace(right, **{field: more}))


def test_what_is_not_connected_anew_is_found(measured):
    """After a run that drives cells an inference takes longer, once."""
    found = measured(FIRST)
    assert any(not state.configured for state in found.states())
    assert found.differences(connected=True)


@pytest.mark.slow
def test_the_digits_network():
    x = np.load(DIGITS / "calib_x.npy")
    compiled = compile_model(DIGITS / "digits.onnx", load("cspbbr3_ogb"), x)
    few = {"count": 4}  # cells that the RTL writes itself; the others it takes over
    code = tuple(
        instruction(each.op, **{**each.operands, **few}) if each.op is Op.PROGRAM else each
        for each in compiled.image.code
    )
    job = Job(
        image=replace(compiled.image, code=code),
        device=compiled.device,
        levels=compiled.levels,
        samples=quantise_input(compiled, x[:3]),
        converters=compiled.converters,
        seed=compiled.options.seed,
        clk_hz=compiled.options.clk_hz,
    )
    report = run_cosim(job, simulator=Simulator.CXXRTL).report
    assert report.first_mismatch is None and report.samples == 3
    assert report.predicted_cycles == report.cycles_per_inference == 33198


@pytest.mark.parametrize("adc", ADCS.values(), ids=ADCS)
@pytest.mark.slow
def test_icarus_counts_the_same(make_job, tmp_path, adc):
    job = replace(make_job(cells=1, samples=2), adc=adc)
    report = run_cosim(job, folder=tmp_path).report
    assert report.first_mismatch is None and report.samples == 2
    assert report.predicted_cycles == report.cycles_per_inference > 0


@pytest.fixture
def small_job(make_job) -> Job:
    """On the controller of the first case, which is compiled anyway."""
    job = make_job(cells=1, samples=2)
    return replace(job, image=replace(job.image, geometry=SIZE))


def test_a_co_simulation_that_takes_longer_than_predicted_fails(small_job, monkeypatch):
    job = small_job
    report = run_cosim(job, simulator=Simulator.CXXRTL).report
    assert report.mismatches == 0 and report.predicted_cycles == report.cycles_per_inference
    monkeypatch.setattr(run_model, "BEGIN_CYCLES", 3)
    found = run_cosim(job, simulator=Simulator.CXXRTL).report
    wanted = report.cycles_per_inference + 1
    assert found.mismatches == 1 and found.samples == 2
    assert found.first_mismatch == f"sample 0 took {wanted - 1} cycles, predicted were {wanted}"


def test_nothing_is_predicted_of_what_depends_on_cells(small_job):
    job = small_job
    at = job.image.entries["infer"]
    read = instruction(Op.READ, tile=0, cell=0, count=1)
    code = (*job.image.code[:at], read, *job.image.code[at:])
    report = run_cosim(
        replace(job, image=replace(job.image, code=code)), simulator=Simulator.CXXRTL
    ).report
    assert report.first_mismatch is None
    assert report.predicted_cycles == 0 < report.cycles_per_inference
