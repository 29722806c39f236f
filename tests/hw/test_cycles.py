"""The cost model: its formulas, loops against every round written out, layers, refusals.

That the RTL takes these cycles is tested where it runs: ``tests/hw/test_mvm.py``,
``tests/hw/test_postprocess.py``, ``tests/hw/test_sequencer.py`` and, whole programs,
``tests/sim/cosim/test_cycles.py``.
"""

from __future__ import annotations

import random
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from ohmloom.hw.afe.array_card import front_end_cycles
from ohmloom.hw.cycles import (
    CycleError,
    FrontEndCycles,
    State,
    driven_cycles,
    executed,
    inference,
    layer_cycles,
    mvm_cycles,
    program_cycles,
    run_cycles,
    state_after,
)
from ohmloom.hw.cycles.run import instruction_cycles
from ohmloom.hw.geometry import Geometry
from ohmloom.hw.image import HostCall, Image, LayerSpan, Span
from ohmloom.hw.isa import (
    CellStatus,
    Grid,
    Instruction,
    IsaError,
    Loop,
    Op,
    Reg,
    instruction,
    pack_pool,
    pack_requant,
)

GEOMETRY = Geometry(rows=8, columns=8)
HALT, NOP, END = (instruction(op) for op in (Op.HALT, Op.NOP, Op.END))
EMPTY = 5
"""Cycles of a run that begins at a HALT."""
TIMES = FrontEndCycles(
    settle=(40, 50, 60, 70, 80, 90, 90, 90),
    load=6,
    recover=3,
    readout=20,
    write=(7, 8, 9, 10),
    dac_settle=12,
)
GRID = Grid(2, 3, 8, 1, (Loop(4, 1, 1), Loop(3, 1, 1), Loop(2, 1, 1)))
PARAMS = [*pack_pool(GRID), pack_requant(0, 1, 0)]


def image(*code: Instruction, geometry: Geometry = GEOMETRY, **spans: Span) -> Image:
    """An image whose inference is that code."""
    layers = tuple(LayerSpan(name, span) for name, span in spans.items())
    params = np.array(PARAMS, np.uint64)
    return Image(geometry, code, {"infer": 0}, params, 1, Span(0, 8), layers)


def cost(*code: Instruction, before: State | None = None, times: FrontEndCycles = TIMES) -> int:
    """Cycles of these instructions together."""
    return run_cycles(image(*code, HALT), times, before=before).cycles - EMPTY


def mvm(planes: int = 4, clear: int = 1, **moved: int) -> Instruction:
    operands = {"tile": 0, "act": 0, "first": 0, "rows": 8, "signed": 0}
    return instruction(Op.MVM, **operands, planes=planes, clear=clear, **moved)


def loop(count: int, *body: Instruction) -> list[Instruction]:
    return [instruction(Op.LOOP, count=count, act_step=1, out_step=1), *body, END]


def tia_range(number: int) -> Instruction:
    return instruction(Op.SET, reg=Reg.TIA_RANGE, value=number)


CONNECTED = State(configured=True)


def test_it_needs_no_amaranth():
    code = "import sys, ohmloom.hw.cycles; sys.exit('amaranth' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("instr", "cycles"),
    [
        (NOP, 3),
        (tia_range(3), 3),
        (instruction(Op.WAIT, cycles=0), 3),
        (instruction(Op.WAIT, cycles=10**12), 3 + 10**12),
        (instruction(Op.DAC, channel=0, code=0), 4 + 7 + 12),
        (instruction(Op.DAC, channel=3, code=0), 4 + 10 + 12),
        (instruction(Op.REQUANT, out=0, param=4, count=3), 5 + 6 * 3),
        (instruction(Op.LUT, act=0, out=0, table=0, count=7), 5 + 3 * 7),
        (instruction(Op.POOL, act=0, out=0, param=0, average=0), 8 + 24 * (6 + 3) + 2 * (6 + 2)),
        (instruction(Op.POOL, act=0, out=0, param=0, average=1), 8 + 24 * (6 + 7) + 2 * (6 + 2)),
        (instruction(Op.ADD, out=0, param=0, count=9), 7 + 7 * 9),
        (instruction(Op.ARGMAX, act=0, out=0, count=9, last=0), 7 + 9),
        (instruction(Op.ADOPT), 5 + 529),
        (instruction(Op.RESTORE, tile=0, mode=0), 7),
        (mvm(6), 5 + (8 + 2 + 6) + 40 + 5 * (40 + 1) + 20),
    ],
    ids=str,
)
def test_an_instruction_takes_what_the_page_says(instr, cycles):
    assert cost(instr, before=CONNECTED) == cycles
    assert cost(*loop(1, instr), before=CONNECTED) == 3 + (cycles + 1) + 4
    assert cost(*loop(9, NOP), instr, before=CONNECTED) == 3 + 9 * 8 + cycles


def test_a_compact_controller_scales_bit_by_bit():
    compact = replace(GEOMETRY, compact=True, residual=False, loop=False)
    requant = instruction(Op.REQUANT, out=0, param=4, count=3)
    scaling = 2 + max(40 + 25, 16 + 63)
    found = run_cycles(image(requant, HALT, geometry=compact), TIMES)
    assert found.cycles == EMPTY + 5 + (2 + scaling) * 3


@pytest.mark.parametrize(
    ("times", "period"),
    [
        ({"settle": (60,) * 8}, 61),
        ({"settle": (30,) * 8, "readout": 50}, 50),
        ({"settle": (12,) * 8, "load": 50}, 8 + 2 + 50),
        ({"settle": (1,) * 8, "load": 1, "readout": 16, "recover": 17}, 17 + 1),
        ({"settle": (30,) * 8, "hold": 15}, 30 + 15),
    ],
    ids=["settling", "read-out", "switch update", "slow switches", "one column after the other"],
)
def test_planes_follow_each_other_in_the_longest_step(times, period):
    front_end = replace(TIMES, **times)
    taken = [mvm_cycles(GEOMETRY, front_end, planes) for planes in range(1, 10)]
    first = 8 + 2 + front_end.load + front_end.settle[0] + front_end.readout
    assert taken == [first + n * period for n in range(9)]


def test_an_mvm_waits_for_clear_accumulators_and_a_calibrator():
    wide = replace(GEOMETRY, columns=248)
    fast = replace(TIMES, settle=(1,) * 8, load=1)
    late = (248 // 2 + 1) - (8 + 2 + 1 + 1)
    plain = mvm_cycles(wide, fast, 1, clear=False)
    assert mvm_cycles(wide, fast, 1) == plain + late
    assert mvm_cycles(replace(wide, calibration=True), fast, 1) == plain + late + 4


def test_rows_are_driven_from_latch_to_latch():
    driven = driven_cycles(GEOMETRY, TIMES, 5, 3)
    # The steps that are not hidden before the first latch, and the rest is driven.
    first = mvm_cycles(GEOMETRY, TIMES, 1, 3) - driven_cycles(GEOMETRY, TIMES, 1, 3)[0]
    assert sum(driven) + first == mvm_cycles(GEOMETRY, TIMES, 5, 3)
    assert len(driven) == 5 and len(set(driven[:-1])) == 1 and driven[-1] == 70 + 20
    assert driven_cycles(GEOMETRY, TIMES, 5, 0)[0] < driven[0]


def test_the_first_mvm_connects_columns_and_gates():
    anew = 2 * 6 + 3 + 1
    assert cost(mvm()) == cost(mvm(), before=CONNECTED) + anew
    assert cost(mvm(), mvm()) == 2 * cost(mvm(), before=CONNECTED) + anew
    assert cost(*loop(5, mvm())) == cost(*loop(5, mvm()), before=CONNECTED) + anew


def test_the_range_rules_the_settling_from_its_set_on():
    assert cost(tia_range(2), mvm(3), before=CONNECTED) == 3 + cost(
        mvm(3), before=State(tia_range=2, configured=True)
    )
    slow, fast = (cost(mvm(3), before=State(n, True)) for n in (2, 0))
    assert slow - fast == 3 * 20
    # In a loop the first round begins in the range before it.
    body = (mvm(3), tia_range(2))
    assert cost(*loop(4, *body), before=CONNECTED) == (
        3 + fast + 1 + 3 * (slow + 1) + 4 * (3 + 1 + 4)
    )
    found = run_cycles(image(*loop(4, *body), HALT), TIMES)
    assert found.after == State(tia_range=2, configured=True)


def written_out(code: list[Instruction], state: State) -> tuple[int, State]:
    """Cycles of a program, each round of its loops executed."""
    at, open_loops, taken = 0, [], 0
    while True:
        instr = code[at]
        taken += instruction_cycles(instr, PARAMS, GEOMETRY, TIMES, state) + bool(open_loops)
        if instr.op is Op.HALT:
            return taken, state
        if instr.op is Op.MVM:
            state = replace(state, configured=True)
        elif instr.op is Op.SET:
            state = replace(state, tia_range=instr["value"])
        elif instr.op is Op.LOOP:
            open_loops.append([at, instr["count"]])
        elif instr.op is Op.END:
            open_loops[-1][1] -= 1
            if open_loops[-1][1]:
                at = open_loops[-1][0]
            else:
                open_loops.pop()
        at += 1


def some_program(rng: random.Random, depth: int = 0) -> list[Instruction]:
    made: list[Instruction] = []
    for _ in range(rng.randrange(5)):
        simple = rng.choice((NOP, mvm(2), mvm(3, clear=0), tia_range(rng.randrange(4))))
        if depth < 4 and rng.random() < 0.5:
            made += loop(rng.randint(1, 4), *some_program(rng, depth + 1))
        else:
            made.append(simple)
    return made


@pytest.mark.parametrize("seed", range(60))
def test_loops_take_what_their_rounds_take_one_by_one(seed):
    rng = random.Random(seed)
    code = [*some_program(rng), *some_program(rng), HALT]
    for before in (State(), State(tia_range=3, configured=True)):
        found = run_cycles(image(*code), TIMES, before=before)
        assert (found.cycles - 2, found.after) == written_out(code, before)
        assert sum(step.cycles for step in found.steps) == found.cycles - 2
        assert {step.address: step.times for step in found.steps} == executed(image(*code))


def test_as_many_rounds_as_there_can_be_take_no_longer_to_predict():
    most = (1 << 16) - 1
    code = [NOP]
    for _ in range(4):
        code = loop(most, *code)
    inner = 4
    for depth in (3, 2, 1, 0):
        inner = (4 if depth else 3) + most * (inner + 4)
    assert cost(*code) == inner > most**4


def test_a_halt_ends_the_loops_around_it():
    halted = [*loop(7, *loop(5, NOP, HALT)), HALT]
    found = run_cycles(image(*halted), TIMES)
    assert found.cycles == 2 + 3 + 4 + 4 + 4
    assert [step.times for step in found.steps] == [1] * 4


def test_an_inference_follows_the_setup():
    setup = [tia_range(1), HALT]
    whole = replace(image(*setup, mvm(), HALT), entries={"setup": 0, "infer": 2})
    found = inference(whole, TIMES)
    alone = cost(mvm(), before=State(tia_range=1, configured=True))
    assert found.later.cycles == EMPTY + alone
    assert found.first.cycles == EMPTY + alone + 2 * 6 + 3 + 1
    assert run_cycles(whole, TIMES, "setup").cycles == EMPTY + 3
    assert found.later.by_op() == {"HALT": 3, "MVM": alone}


def test_runs_with_the_host_between_them_are_one_inference():
    setup = [tia_range(1), HALT]
    call = HostCall("host/0", (Span(0, 1),), (Span(1, 1),), "infer/1")
    last = HostCall("host/1", (Span(2, 1),), ())
    whole = replace(
        image(*setup, mvm(), HALT, NOP, mvm(), HALT),
        entries={"setup": 0, "infer": 2, "infer/1": 4},
        host=(call, last),
    )
    assert whole.runs == ("infer", "infer/1") and whole.outputs == (Span(2, 1),)
    found, alone = inference(whole, TIMES), replace(whole, host=())
    first = run_cycles(alone, TIMES)
    second = run_cycles(alone, TIMES, "infer/1", first.after)
    assert found.first.parts == (first.cycles, second.cycles)
    assert found.first.cycles == first.cycles + second.cycles
    assert found.later.parts[0] < found.first.parts[0]  # columns are connected already
    assert executed(whole) == {2: 1, 3: 1, 4: 1, 5: 1, 6: 1}


def test_what_drives_cells_leaves_the_lines_and_adopts_last():
    code = (instruction(Op.ADOPT), mvm(), instruction(Op.READ, tile=0, cell=0, count=1), HALT)
    whole = image(*code)
    assert state_after(whole, "infer") == State(adopted=True)
    assert state_after(whole, "nothing", CONNECTED) == CONNECTED
    assert cost(instruction(Op.ADOPT), instruction(Op.ADOPT)) == 5 + 529 + 6


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ([instruction(Op.READ, tile=0, cell=0, count=1)], "READ takes as long as cells"),
        ([instruction(Op.MODE, tile=0, to=1)], "MODE takes as long as cells"),
        ([tia_range(7)], "address 0: range 7 is that of the converters' temperatures"),
        ([NOP, END], "address 1: an END without a LOOP"),
        (loop(1, *loop(1, *loop(1, *loop(1, *loop(1))))), "address 4: a LOOP inside 4 others"),
    ],
)
def test_what_has_no_cycles_of_its_own_is_refused(code, said):
    with pytest.raises(CycleError, match=said):
        run_cycles(image(*code, HALT), TIMES)


def test_a_program_without_an_end_is_refused():
    with pytest.raises(CycleError, match="runs past its end, address 2"):
        run_cycles(image(NOP, NOP), TIMES)
    with pytest.raises(CycleError, match="runs past its end, address 1"):
        run_cycles(image(loop(3)[0]), TIMES)


def test_what_the_controller_lacks_is_refused():
    lacking = replace(GEOMETRY, lut=False, loop=False)
    lut = instruction(Op.LUT, act=0, out=0, table=0, count=1)
    for instr in (lut, loop(1)[0]):
        with pytest.raises(CycleError, match=f"address 0: this controller has no {instr.op.name}"):
            run_cycles(image(instr, HALT, geometry=lacking), TIMES)


def test_a_compact_controllers_dac_depends_on_its_link():
    compact = replace(GEOMETRY, compact=True)
    dac = instruction(Op.DAC, channel=0, code=0)
    whole = image(dac, HALT, geometry=compact)
    with pytest.raises(CycleError, match="DAC in a compact controller takes a cycle more where"):
        run_cycles(whole, TIMES)
    assert state_after(whole, "infer") == State()


def test_a_pool_without_a_record_is_refused():
    for param in (4, 3000):
        with pytest.raises(IsaError):
            cost(instruction(Op.POOL, act=0, out=0, param=param, average=0))


def test_a_front_end_that_the_model_does_not_hold_for_is_refused():
    with pytest.raises(ValueError, match="7 ranges and 4 DAC channels, there are 8 and 4"):
        replace(TIMES, settle=(1,) * 7)
    with pytest.raises(ValueError, match="8 ranges and 3 DAC channels"):
        replace(TIMES, write=(1,) * 3)
    with pytest.raises(ValueError, match="recover in 61 cycles, .* read out in 40 \\+ 20"):
        replace(TIMES, recover=61)


def test_the_reference_card_at_its_clock():
    assert front_end_cycles(Geometry(), 48_000_000) == FrontEndCycles(
        settle=(478, 478, 716, 3261, 28713, *[283237] * 3),
        load=47,
        recover=3,
        readout=172,
        write=(58,) * 4,
        dac_settle=576,
        drive=576,
        pulse=24,
    )


@pytest.mark.parametrize(
    ("geometry", "clk_hz"),
    [
        (Geometry(rows=6, columns=6, step=2), 48_000_000),
        (Geometry(columns=248), 48_000_000),
        (Geometry(compact=True), 100_000_000),
    ],
    ids=["small chips", "too many columns", "too fast"],
)
def test_a_card_that_cannot_be_built_has_no_cycles(geometry, clk_hz):
    with pytest.raises(ValueError):
        front_end_cycles(geometry, clk_hz)


# -- layers ---------------------------------------------------------------------------


def requant(out: int, **moved: int) -> Instruction:
    return instruction(Op.REQUANT, out=out, param=4, count=2, **moved)


def copy(out: int) -> Instruction:
    return instruction(Op.POOL, act=0, out=out, param=0, average=0)


def shares(*code: Instruction, **spans: Span) -> tuple[list[int], list[Instruction]]:
    """Cycles of each layer, and the instructions that are none's."""
    whole = image(*code, HALT, **spans)
    found = run_cycles(whole, TIMES, before=CONNECTED)
    layers = layer_cycles(whole, found)
    assert found.cycles == sum(layers) + 5
    return list(layers), [step.instruction for step in found.steps]


def test_a_layer_is_what_leads_to_its_last_write():
    first = [mvm(), requant(100), mvm(), mvm(clear=0), requant(102)]
    second = [mvm(), requant(200)]
    found, _ = shares(*first, *second, one=Span(100, 4), two=Span(200, 2))
    assert found == [cost(*each, before=CONNECTED) for each in (first, second)]


def test_loops_are_their_layers_with_their_ends():
    first = loop(3, *loop(2, copy(50), mvm(), requant(100, move_out=1)))
    second = [mvm(), requant(200)]
    found, _ = shares(*first, *second, one=Span(100, 12), two=Span(200, 2))
    assert found == [cost(*each, before=CONNECTED) for each in (first, second)]


def test_a_span_may_be_used_again_and_in_place():
    layers = [
        [mvm(), requant(100)],
        [instruction(Op.LUT, act=100, out=100, table=0, count=2)],
        [mvm(), requant(200)],
        # Its patches are where the first layer's results were.
        loop(2, copy(100), mvm(), requant(300, move_out=1)),
        [mvm(), requant(100)],
    ]
    addresses = {"a": 100, "b": 100, "c": 200, "d": 300, "e": 100}
    spans = {name: Span(at, 8) for name, at in addresses.items()}
    found, _ = shares(*(instr for layer in layers for instr in layer), **spans)
    assert found == [cost(*each, before=CONNECTED) for each in layers]


def test_a_layer_that_nothing_writes_takes_nothing():
    whole = image(mvm(), requant(100), HALT, one=Span(100, 2), two=Span(500, 2))
    found = run_cycles(whole, TIMES, before=CONNECTED)
    assert layer_cycles(whole, found) == (found.cycles - 5, 0)


# -- writing cells ------------------------------------------------------------------------

DONE, GIVEN_UP = CellStatus.DONE, CellStatus.NOT_CONVERGED


def written(tries, statuses=DONE, times=TIMES, geometry=GEOMETRY, **registers):
    """Cycles of writing a tile or several with these tries."""
    values = {Reg.TOGETHER: 8, Reg.SET_CYCLES: 1000, Reg.RESET_CYCLES: 700}
    values |= {Reg[name]: value for name, value in registers.items()}
    setup = [instruction(Op.SET, reg=reg, value=value) for reg, value in values.items()]
    whole = {"tile": 0, "cell": 0, "count": geometry.cells}
    code = (*setup, HALT, instruction(Op.PROGRAM, **whole), HALT)
    entries = {"setup": 0, "program/0": len(setup) + 1}
    made = Image(geometry, code, entries, np.array([0], np.uint64), 1, Span(0, 8), ())
    had = np.broadcast_to(tries, (1, geometry.rows, geometry.columns))
    return program_cycles(made, times, had, np.broadcast_to(statuses, had.shape))


def attempt(cells, left, average=0, set_cycles=1000, reset_cycles=700):
    """By the formula of the page, without the tens of cycles for each cell."""
    f, load, drive, settle, a = 8, 6, 1, 40, 20
    write = f + 3 * load + drive + reset_cycles + f + left * (f + load + drive + set_cycles)
    return write + 3 * load + settle + (1 << average) * (a + 1)


@pytest.mark.parametrize("average", [0, 3])
def test_an_attempt_takes_what_the_page_says_and_some_tens_a_cell(average):
    bare = written(0, AVERAGE=average)
    once, twice = (written(n, AVERAGE=average) - bare for n in (1, 2))
    page = 8 * attempt(8, 8, average)
    assert 0 < once - page < 8 * 8 * 40
    assert twice > 2 * page


def test_cells_that_are_done_take_no_pulses():
    tries = np.ones((8, 8), int)
    tries[3, 2] = 2
    # Of its group: a RESET, one SET and a read.
    more = written(tries) - written(1)
    assert attempt(8, 1) < more < attempt(8, 1) + 8 * 40
    tries[3, 5] = 2  # together with the other one: a SET more
    assert 1000 < written(tries) - written(1) - more < 1100
    tries[3, 5], tries[4, 5] = 1, 2  # in another row: all of it again
    assert written(tries) - written(1) > 2 * attempt(8, 1)


def test_groups_are_of_neighbours_in_a_row():
    alone, three, whole = (written(1, TOGETHER=n) for n in (1, 3, 8))
    resets = 8 * 700
    assert alone - whole > 7 * resets and 0 < three - whole - 2 * resets < alone - whole
    assert written(1, TOGETHER=200) == whole


def test_a_cell_that_is_given_up_takes_a_cycle_more():
    assert written(4, GIVEN_UP) == written(4) + 64


def test_pulses_are_not_shorter_than_the_front_end_makes_them():
    shortest = replace(TIMES, pulse=1000, drive=50)
    assert written(1, times=shortest, SET_CYCLES=1, RESET_CYCLES=2) == written(
        1, times=shortest, SET_CYCLES=1000, RESET_CYCLES=1000
    )


def test_tiles_add_up_with_the_runs_around_them():
    values = np.random.default_rng(0).integers(1, 9, (3, 8, 8))
    code = (HALT, instruction(Op.PROGRAM, tile=0, cell=0, count=64), HALT)
    made = Image(
        GEOMETRY, code, {"setup": 0, "program/0": 1}, np.array([0], np.uint64), 3, Span(0, 8), ()
    )
    all_done = np.full(values.shape, int(DONE))
    several = program_cycles(made, TIMES, values, all_done)
    assert several == sum(
        program_cycles(made, TIMES, each[np.newaxis], all_done[:1]) for each in values
    )
