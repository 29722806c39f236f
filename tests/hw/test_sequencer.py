"""The sequencer: every instruction, its cycles, and what the engines are told."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import product

import pytest
from amaranth import Module
from amaranth.hdl import Elaboratable
from amaranth.lib import memory
from amaranth.lib.wiring import connect

from ohmloom.hw.bounds import BOUNDS, REGISTER_BOUNDS, register_bits
from ohmloom.hw.geometry import Geometry
from ohmloom.hw.isa import (
    LAYOUTS,
    OPCODE_BITS,
    WORD_BITS,
    Dac,
    Op,
    Reg,
    Scheme,
    encode,
    instruction,
)
from ohmloom.hw.profile import arm_key
from ohmloom.hw.registers import SIGNED, registers_of
from ohmloom.hw.sequencer import ASKING, ENGINES, MVM, PULSE, SEQUENCER, STROBES, VERIFY, Sequencer
from ohmloom.hw.timers import COUNT_BITS, Timers

GEOMETRY = Geometry(rows=8, columns=8, program_depth=256)
REGISTERS = registers_of(GEOMETRY)
HALT = instruction(Op.HALT)
NOP = instruction(Op.NOP)
EMPTY = 5
"""Cycles of a run that begins at a HALT: accept, ready, fetch, decode, execute."""
DISPATCH = 3
"""Cycles to fetch, decode and execute any instruction."""
ENGINE_CYCLES = 11
"""From an engine's start to its answer."""


class Bench(Elaboratable):
    """Sequencer, program memory and timers, wired as in the top."""

    def __init__(self, words, timing, clk_hz, geometry=GEOMETRY, permits=True):
        self.permits = permits
        self.code = memory.Memory(shape=64, depth=geometry.program_depth, init=words)
        self.sequencer = Sequencer(geometry, timing, clk_hz)
        self.timers = Timers([COUNT_BITS])

    def elaborate(self, platform):
        m = Module()
        m.submodules.code = self.code
        m.submodules.sequencer = sequencer = self.sequencer
        m.submodules.timers = timers = self.timers
        connect(m, timers.channel[0], sequencer.timer)
        read = self.code.read_port()
        m.d.comb += [
            read.addr.eq(sequencer.code_address),
            read.en.eq(sequencer.code_enable),
            sequencer.code_data.eq(read.data),
            sequencer.step.eq(timers.step),
            sequencer.permitted.eq(self.permits),
        ]
        m.d.sync += sequencer.answered.eq(sequencer.ask)
        return m


@dataclass
class Run:
    """What one run did."""

    starts: list[tuple[str, int, int, int, int]] = field(default_factory=list)
    """Strobe, instruction word, pc, epoch and owner."""
    iterations: list[int] = field(default_factory=list)
    """At each strobe: ends since the outermost loop began."""
    registers: dict[Reg, int] = field(default_factory=dict)
    cycles: int = 0
    length: int = 0
    """Cycles from the strobe to ``done``, counted outside."""
    illegal: int = 0
    owners: set[int] = field(default_factory=set)


@pytest.fixture(scope="session", params=[False, True], ids=["fast", "compact"])
def compact(request):
    return request.param


@pytest.fixture(scope="session")
def execute(compact, simulate, front_end, front_end_times):
    """``execute(words or instructions, (address, epoch), ...)`` -> runs, front end."""

    def run(
        program, *entries, times=None, ready_after=0, geometry=GEOMETRY, faulty=None, permits=True
    ):
        times = times or front_end_times()
        geometry = replace(geometry, compact=compact)
        words = [word if isinstance(word, int) else encode(word) for word in program]
        dut = Bench(words, times.timing, times.CLK_HZ, geometry, permits)
        seq, now = dut.sequencer, dut.timers.now
        fe = front_end(seq.fe, now, lambda held: [], times, ready_after)
        runs = []

        async def bench(ctx):
            for address, epoch in entries or [(0, 0)]:
                ctx.set(seq.run_address, address)
                ctx.set(seq.run_epoch, epoch)
                ctx.set(seq.run, 1)
                begun = ctx.get(now)
                result = Run()
                await ctx.tick()
                ctx.set(seq.run, 0)
                ctx.set(seq.run_address, 0xFFFF)
                ctx.set(seq.run_epoch, 0)
                answer = 0
                while not ctx.get(seq.done):
                    assert ctx.get(seq.running)
                    result.owners.add(ctx.get(seq.owner))
                    for name in STROBES:
                        if ctx.get(getattr(seq, name)):
                            result.starts.append(
                                (
                                    name,
                                    ctx.get(seq.instruction),
                                    ctx.get(seq.pc),
                                    ctx.get(seq.epoch),
                                    ctx.get(seq.owner),
                                )
                            )
                            result.iterations.append(ctx.get(seq.iteration))
                            answer = ctx.get(now) + ENGINE_CYCLES
                    await ctx.tick()
                    ctx.set(seq.engine_done, ctx.get(now) == answer)
                    executed = ctx.get(seq.instruction) % (1 << OPCODE_BITS)
                    ctx.set(seq.engine_fault, executed == faulty)
                result.length = ctx.get(now) - begun
                result.cycles = ctx.get(seq.cycles)
                result.illegal = ctx.get(seq.illegal)
                for reg in registers_of(geometry):
                    result.registers[reg] = ctx.get(getattr(seq.registers, reg.name.lower()))
                await ctx.tick()
                assert not ctx.get(seq.running) and not ctx.get(seq.active)
                runs.append(result)

        simulate(dut, bench, background=[fe.run], cycles=20_000)
        assert fe.faults == []
        return runs, fe

    return run


def cost(execute, *instructions, **options) -> int:
    """Cycles that the instructions take."""
    (run,), _ = execute([*instructions, HALT], **options)
    assert run.length == run.cycles + 1
    return run.cycles - EMPTY


def test_an_empty_run(execute):
    (run,), fe = execute([HALT])
    assert (run.cycles, run.illegal, run.starts, run.owners) == (EMPTY, 0, [], {SEQUENCER})
    assert fe.updates == fe.writes == fe.conversions == []


def test_nop_takes_three_cycles(execute):
    assert cost(execute, NOP, NOP) == 2 * DISPATCH


def kept(reg: Reg, value: int) -> int:
    """What the register holds of a value that was written."""
    if reg is Reg.ARM:
        return value if value in {arm_key(*k) for k in product(range(64), range(8))} else 0
    low = value & (1 << register_bits(reg, GEOMETRY)) - 1
    if reg in SIGNED and low >> GEOMETRY.act_width - 1:
        return low - (1 << GEOMETRY.act_width)
    return low - (1 << 32) if low >> 31 else low


@pytest.mark.parametrize("reg", REGISTERS)
@pytest.mark.parametrize(
    "value", [0x1234_5678, -1, -(2**31), 2**31 - 1, arm_key(63, 7), arm_key(64, 1), arm_key(5, 8)]
)
def test_set_writes_its_register_and_no_other(execute, reg, value):
    others = {other: 1 + other % 4 for other in REGISTERS} | {Reg.ARM: arm_key(5, 3), Reg.LINE: 0}
    others[Reg.TOGETHER] = 0
    before = [instruction(Op.SET, reg=other, value=kept) for other, kept in others.items()]
    (run,), _ = execute([*before, instruction(Op.SET, reg=reg, value=value), HALT])
    assert run.registers == others | {reg: kept(reg, value)}


def test_registers_last_from_run_to_run(execute):
    program = [instruction(Op.SET, reg=Reg.CLAMP_LO, value=-77), HALT, HALT]
    (first, second), _ = execute(program, (0, 0), (2, 0))
    assert first.registers == second.registers and second.registers[Reg.CLAMP_LO] == -77


@pytest.mark.parametrize("cycles", [0, 1, 2, 50, 999])
def test_wait_takes_its_cycles(execute, cycles):
    assert cost(execute, instruction(Op.WAIT, cycles=cycles)) == DISPATCH + cycles


@pytest.mark.parametrize("channel", Dac)
def test_dac_writes_its_channel_and_waits_until_it_has_settled(execute, front_end_times, channel):
    times = front_end_times(dac_settle=31, shift=9)
    program = [instruction(Op.DAC, channel=channel, code=0xBEEF), HALT]
    (run,), fe = execute(program, times=times)
    assert [write[1:] for write in fe.writes] == [(channel, 0xBEEF)]
    assert run.cycles - EMPTY == DISPATCH + 1 + times.shift + times.dac_settle
    assert fe.rails == dict.fromkeys(Dac, 0x8000) | {channel: 0xBEEF}


TRIES = instruction(Op.SET, reg=Reg.TRIES, value=3)
STARTED = [
    (
        instruction(Op.MVM, tile=5, act=9, first=1, rows=7, planes=8, signed=1, clear=0),
        "start_mvm",
        MVM,
    ),
    (instruction(Op.REQUANT, out=3, param=4, count=2), "start_post", SEQUENCER),
    (instruction(Op.PROGRAM, tile=1, cell=2, count=3), "start_verify", VERIFY),
    (instruction(Op.READ, tile=63, cell=63, count=1), "start_verify", VERIFY),
    (instruction(Op.LUT, act=0, out=1536, table=15, count=512), "start_post", SEQUENCER),
    (instruction(Op.POOL, act=2047, out=0, param=1019, average=1), "start_post", SEQUENCER),
    (instruction(Op.ADD, out=0, param=1022, count=2048), "start_post", SEQUENCER),
    (instruction(Op.ARGMAX, act=0, out=2047, count=2048, last=1), "start_post", SEQUENCER),
    (instruction(Op.ADOPT), "start_mode", SEQUENCER),
    (instruction(Op.RESTORE, tile=63, mode=7), "start_mode", SEQUENCER),
    (instruction(Op.MODE, tile=2, to=3), "start_mode", PULSE),
]


@pytest.mark.parametrize(("instr", "strobe", "owner"), STARTED)
def test_engines_are_started_once_with_their_word_and_given_the_front_end(
    execute, instr, strobe, owner
):
    epoch = 0xFEDC_BA98
    (run,), _ = execute([NOP, TRIES, instr, NOP, HALT], (1, epoch))
    assert run.starts == [(strobe, encode(instr), 2, epoch, owner)]
    assert run.owners == {SEQUENCER, owner}
    # The mode engine answers here in the cycle after it was asked.
    assert run.cycles - EMPTY == 3 * DISPATCH + 2 + ENGINE_CYCLES + (instr.op in ASKING)


def test_what_is_not_permitted_ends_the_run_and_moves_nothing(execute):
    for instr, strobe, owner in STARTED:
        (run,), fe = execute([TRIES, instr, HALT], permits=False)
        asks = instr.op in ASKING
        assert run.illegal == asks
        assert run.starts == ([] if asks else [(strobe, encode(instr), 1, 0, owner)])
        assert fe.writes == fe.updates == []


def test_the_key_lasts_until_the_next_change_of_mode_or_run(execute):
    key = arm_key(0, 1)
    arm = instruction(Op.SET, reg=Reg.ARM, value=key)
    change = instruction(Op.MODE, tile=0, to=1)
    runs, _ = execute(
        [arm, NOP, HALT, NOP, HALT, arm, change, HALT, arm, instruction(Op.ADOPT), HALT],
        (0, 0), (3, 0), (5, 0), (8, 0),
    )  # fmt: skip
    assert [run.registers[Reg.ARM] for run in runs] == [key, 0, 0, key]


def test_engines_run_one_after_the_other_and_give_the_front_end_back(execute):
    # REQUANT does not use it, so that it is the sequencer's again.
    order = [engine for one in STARTED for engine in (one, STARTED[1])]
    (run,), _ = execute([TRIES, *(instr for instr, *_ in order), HALT])
    assert [(name, pc, owner) for name, _, pc, _, owner in run.starts] == [
        (strobe, address, owner) for address, (_, strobe, owner) in enumerate(order, 1)
    ]


def test_a_run_begins_at_its_address_and_ends_at_the_next_halt(execute):
    program = [instruction(Op.SET, reg=Reg.TRIES, value=n) for n in range(3)]
    program = [item for pair in zip(program, [HALT] * 3, strict=True) for item in pair]
    runs, _ = execute(program, (4, 1), (0, 2), (2, 3), (5, 4))
    assert [run.registers[Reg.TRIES] for run in runs] == [2, 0, 1, 1]


@pytest.mark.parametrize("opcode", sorted(set(range(64)) - set(Op))[::9])
def test_a_word_that_is_no_instruction_ends_the_run_and_moves_nothing(execute, opcode):
    last = instruction(Op.SET, reg=Reg.TRIES, value=9)
    (bad, good), fe = execute([NOP, opcode | 0xFFFF << 6, last, HALT], (0, 0), (2, 0))
    assert (bad.illegal, good.illegal) == (1, 0)
    assert bad.cycles == EMPTY + DISPATCH and bad.registers[Reg.TRIES] == 0
    assert bad.starts == fe.writes == fe.updates == []


def test_nothing_is_fetched_before_the_front_end_is_ready(execute):
    dac = instruction(Op.DAC, channel=0, code=1)
    (run,), fe = execute([dac, HALT], ready_after=200)
    assert fe.writes[0][0] == 200 + DISPATCH + 1
    assert run.cycles > 200


def test_cycles_are_those_of_the_last_run(execute):
    program = [instruction(Op.WAIT, cycles=300), HALT, NOP, HALT]
    (long, short), _ = execute(program, (0, 0), (2, 0))
    assert (long.cycles, short.cycles) == (EMPTY + DISPATCH + 300, EMPTY + DISPATCH)


# -- refusals -------------------------------------------------------------------------


NARROW = replace(GEOMETRY, act_width=9)
"""Of this one every bound can be broken alone."""


def at_the_limit(op: Op, bound, over: int):
    """An instruction that misses one of its bounds by ``over`` and keeps the others."""
    layout = {field.name: field for field in LAYOUTS[op]}
    values = {name: field.minimum for name, field in layout.items()}
    left = getattr(NARROW, bound.limit) - bound.plus + over
    left -= sum(values[name] for name in bound.operands)
    for name in bound.operands:
        step = min(left, layout[name].maximum - values[name])
        values[name] += step
        left -= step
    instr = instruction(op, **values)
    broken = [each for each in BOUNDS[op] if not each.holds(instr, NARROW)]
    assert left == 0 and broken == [bound] * bool(over)
    return instr


LIMITS = [(op, bound) for op, bounds in BOUNDS.items() for bound in bounds]


@pytest.mark.parametrize(("op", "bound"), LIMITS, ids=lambda each: getattr(each, "name", None))
def test_an_instruction_beyond_the_geometry_ends_the_run_and_moves_nothing(
    execute, compact, op, bound
):
    if compact and bound.name == "shift":
        return  # it takes none
    fits, beyond = at_the_limit(op, bound, 0), at_the_limit(op, bound, 1)
    (run,), fe = execute([TRIES, beyond, NOP, HALT], geometry=NARROW)
    assert run.illegal == 1 and run.starts == []
    assert run.cycles == EMPTY + DISPATCH + 1
    assert fe.writes == fe.updates == []
    (run,), _ = execute([TRIES, fits, HALT], geometry=NARROW)
    assert run.illegal == 0 and len(run.starts) == 1


@pytest.mark.parametrize(
    ("op", "field"),
    [(op, field) for op in ENGINES for field in LAYOUTS[op] if field.positive],
    ids=lambda each: each.name,
)
def test_an_instruction_of_nothing_ends_the_run(execute, op, field):
    values = {each.name: each.minimum for each in LAYOUTS[op]}
    one = encode(instruction(op, **values))
    three = encode(instruction(op, **values | {field.name: 3}))
    (run,), _ = execute([TRIES, one - (three - one) // 2, HALT])
    assert run.illegal == 1 and run.starts == []


def used_bits(op: Op) -> int:
    return OPCODE_BITS + sum(field.width for field in LAYOUTS[op])


@pytest.mark.parametrize("op", [op for op in Op if used_bits(op) < WORD_BITS])
def test_a_bit_outside_the_layout_ends_the_run(execute, op):
    values = {each.name: each.minimum for each in LAYOUTS[op]}
    word = encode(instruction(op, **values))
    for bit in (used_bits(op), WORD_BITS - 1):
        (run,), _ = execute([word | 1 << bit, HALT])
        assert run.illegal == 1 and run.starts == [] and run.cycles == EMPTY


@pytest.mark.parametrize("number", [max(Reg) + 1, *sorted(set(Reg) - set(REGISTERS))])
def test_an_unknown_register_ends_the_run(execute, number):
    """Those of banks and of single columns are unknown to this one."""
    word = encode(instruction(Op.SET, reg=0, value=5)) | number << OPCODE_BITS
    (run,), _ = execute([word, HALT])
    assert run.illegal == 1 and set(run.registers.values()) == {0}
    assert run.cycles == EMPTY


@pytest.mark.parametrize(
    ("low", "high", "taken"),
    [
        (-32768, 32767, True),
        (5, 5, True),
        (6, 5, False),
        (-32769, 0, False),
        (0, 32768, False),
        (-(2**31), 2**31 - 1, False),
    ],
)
def test_a_clamp_that_is_no_range_of_activations_ends_the_run(execute, low, high, taken):
    bounds = [
        instruction(Op.SET, reg=Reg.CLAMP_LO, value=low),
        instruction(Op.SET, reg=Reg.CLAMP_HI, value=high),
    ]
    clamped = [
        instruction(Op.REQUANT, out=0, param=0, count=1),
        instruction(Op.ADD, out=0, param=0, count=1),
        instruction(Op.POOL, act=0, out=0, param=0, average=1),
    ]
    for instr in clamped:
        (run,), _ = execute([*bounds, instr, HALT])
        assert (run.illegal, len(run.starts)) == (not taken, taken)
    largest_of = instruction(Op.POOL, act=0, out=0, param=0, average=0)
    (run,), _ = execute([*bounds, largest_of, HALT])
    assert (run.illegal, len(run.starts)) == (0, 1)


@pytest.mark.parametrize("bound", REGISTER_BOUNDS[Op.PROGRAM], ids=lambda bound: bound.reg.name)
def test_a_register_beyond_its_bounds_ends_the_run(execute, bound):
    program = instruction(Op.PROGRAM, tile=0, cell=0, count=1)
    high = bound.highest(GEOMETRY)
    for value, taken in ((bound.low, 1), (high, 1), (bound.low - 1, 0), (high + 1, 0)):
        if value >= 1 << 31:
            continue  # no register holds it
        (run,), _ = execute([TRIES, instruction(Op.SET, reg=bound.reg, value=value), program, HALT])
        assert (run.illegal, len(run.starts)) == (1 - taken, taken)


@pytest.mark.parametrize("value", [*Scheme, -1, 3, 4, 1 << 30])
def test_a_scheme_is_one_and_of_a_controller_with_single_columns(execute, compact, value):
    mvm = instruction(Op.MVM, act=40, **MVM_AT)
    program = [instruction(Op.SET, reg=Reg.SCHEME, value=value), mvm, HALT]
    taken = value in list(Scheme) and not compact
    (run,), _ = execute(program, geometry=replace(GEOMETRY, single=True))
    assert (run.illegal, len(run.starts)) == (not taken, taken)
    (run,), _ = execute(program)
    assert (run.illegal, run.starts, run.cycles) == (1, [], EMPTY)
    (run,), _ = execute([instruction(Op.NOP), mvm, HALT])
    assert (run.illegal, len(run.starts)) == (0, 1)


def test_an_engine_that_fails_ends_the_run(execute):
    lut = instruction(Op.LUT, act=0, out=0, table=0, count=1)
    last = instruction(Op.SET, reg=Reg.TRIES, value=9)
    (bad, good), _ = execute([lut, last, HALT], (0, 0), (1, 0), faulty=Op.LUT)
    assert bad.illegal == 1 and bad.registers[Reg.TRIES] == 0
    assert bad.cycles == EMPTY + 2 + ENGINE_CYCLES
    assert good.illegal == 0 and good.registers[Reg.TRIES] == 9


def test_what_a_controller_lacks_is_no_instruction(execute):
    lacking = replace(GEOMETRY, lut=False, pool=False)
    adding = instruction(Op.ADD, out=0, param=0, count=1)
    for op in (Op.LUT, Op.POOL):
        word = instruction(op, **{field.name: field.minimum for field in LAYOUTS[op]})
        (bad, good), _ = execute([word, HALT, adding, HALT], (0, 0), (2, 0), geometry=lacking)
        assert bad.illegal == 1 and bad.starts == []
        assert good.illegal == 0 and len(good.starts) == 1


@pytest.mark.parametrize(
    ("flag", "operand"),
    [("slices", {"shift": 3}), ("slices", {"shift": 16}), ("loop", {"move_act": 1})],
)
def test_an_operand_that_a_controller_does_not_take_ends_the_run(execute, compact, flag, operand):
    word = instruction(Op.MVM, act=40, **MVM_AT, **operand)
    (run,), _ = execute([word, HALT])
    taken = [] if compact else [encode(word)]
    assert (run.illegal, [start[1] for start in run.starts]) == (compact, taken)
    (run,), fe = execute([word, HALT], geometry=replace(GEOMETRY, **{flag: False}))
    assert run.illegal == 1 and run.starts == [] and run.cycles == EMPTY
    assert fe.writes == fe.updates == []


def test_a_program_does_not_wrap_around_at_its_end(execute):
    words = [NOP] * GEOMETRY.program_depth
    (run,), _ = execute(words, (GEOMETRY.program_depth - 2, 0))
    assert run.illegal == 1 and run.cycles == EMPTY + 2 * DISPATCH - 2


END = instruction(Op.END)
BIG = replace(GEOMETRY, act_depth=1 << 16, param_depth=1 << 16)
"""One in which no address is beyond an end."""


def loop(count: int, act_step: int = 0, out_step: int = 0, *, body: list) -> list:
    steps = {"act_step": act_step % (1 << 16), "out_step": out_step % (1 << 16)}
    return [instruction(Op.LOOP, count=count, **steps), *body, END]


def unrolled(program: list, address: int = 0, act: int = 0, out: int = 0) -> list:
    """(address, instruction as it is executed) of a program whose loops are written out."""
    done, at = [], 0
    while at < len(program):
        each = program[at]
        if each.op is Op.LOOP:
            depth, end = 1, at
            while depth:
                end += 1
                depth += {Op.LOOP: 1, Op.END: -1}.get(program[end].op, 0)
            for n in range(each["count"]):
                steps = (act + n * each["act_step"], out + n * each["out_step"])
                done += unrolled(program[at + 1 : end], address + at + 1, *steps)
                done.append((address + end, END))
            at = end
        else:
            moves = {"act": act * each.operands.get("move_act", 0)}
            moves["out"] = out * each.operands.get("move_out", 0)
            changed = {n: (each[n] + by) % (1 << 16) for n, by in moves.items() if by}
            done.append((address + at, instruction(each.op, **{**each.operands, **changed})))
        at += 1
    return done


def counted(executed: list) -> list[int]:
    """Ends before each instruction that an engine executes; every program here is one loop."""
    ends, found = 0, []
    for _, each in executed:
        if each.op is Op.END:
            ends += 1
        elif each.op in ENGINES:
            found.append(ends)
    return found


MVM_AT = {"tile": 1, "first": 0, "rows": 8, "planes": 8, "signed": 0, "clear": 1}
COPY = instruction(Op.POOL, act=100, out=900, param=3, average=0, move_act=1)
PRODUCT = instruction(Op.MVM, act=900, **MVM_AT)
RESULT = instruction(Op.REQUANT, out=3000, param=8, count=2, move_out=1)
STRIDED = instruction(Op.MVM, act=40, move_act=1, **MVM_AT)
BOTH_WAYS = instruction(Op.POOL, act=70, out=80, param=3, average=1, move_act=1, move_out=1)
STAYS = instruction(Op.POOL, act=70, out=80, param=3, average=1)
RANGE = instruction(Op.SET, reg=Reg.CLAMP_HI, value=1)
NESTS = {
    "a convolution": loop(3, 7, 20, body=loop(4, 1, 2, body=[COPY, PRODUCT, RESULT])),
    "one round": loop(1, 5, 5, body=[BOTH_WAYS]),
    "nothing inside": loop(3, 1, 1, body=[]),
    "backwards": loop(3, -3, -11, body=[BOTH_WAYS, STRIDED]),
    "around both ends": loop(3, 40_000, 50_000, body=[BOTH_WAYS]),
    "before and behind": loop(2, 1, 9, body=[STRIDED, *loop(2, 3, 5, body=[BOTH_WAYS]), STRIDED]),
    "two in one": loop(2, 100, 100, body=loop(2, 1, 1, body=[STRIDED]) * 2 + [BOTH_WAYS]),
    "four deep": loop(2, 1, 1, body=loop(2, 2, 2, body=loop(2, 4, 4, body=loop(2, 8, 8,
                      body=[BOTH_WAYS, STAYS])))),
}  # fmt: skip


@pytest.mark.parametrize("name", NESTS)
def test_loops_do_what_they_say_written_out(execute, compact, name):
    program = [RANGE, *NESTS[name]]
    (run,), _ = execute([*program, HALT], geometry=BIG)
    if compact:
        assert run.illegal and not run.starts
        return
    executed = unrolled(program)
    wanted = [(encode(each), at) for at, each in executed if each.op in ENGINES]
    assert [(word, pc) for _, word, pc, *_ in run.starts] == wanted
    assert run.iterations == counted(executed)
    assert not run.illegal


def test_rounds_are_counted_from_the_outermost_loop_on(execute, compact):
    if not compact:
        program = [STRIDED, *loop(3, 1, body=[STRIDED]), STRIDED, *loop(2, 1, body=[STRIDED]), HALT]
        (run,), _ = execute(program, geometry=BIG)
        assert run.iterations == [0, 0, 1, 2, 3, 0, 1]


def test_a_loop_takes_the_cycles_that_are_documented(execute, compact):
    if compact:
        return
    assert cost(execute, *loop(1, body=[])) == 2 * DISPATCH + 1
    assert cost(execute, *loop(5, body=[NOP, NOP])) == DISPATCH + 5 * 3 * (DISPATCH + 1)
    inner = DISPATCH + 1 + 2 * (DISPATCH + 1)
    assert cost(execute, *loop(3, body=loop(2, body=[]))) == DISPATCH + 3 * (inner + DISPATCH + 1)


DEEP = loop(1, body=loop(1, body=loop(1, body=loop(1, body=loop(1, body=[STAYS])))))


@pytest.mark.parametrize(
    "program",
    [[END], [*loop(2, body=[NOP]), END], DEEP, [0 | Op.LOOP | 5 << OPCODE_BITS + 16]],
    ids=["end alone", "end too many", "fifth", "count 0"],
)
def test_loops_that_are_none_end_the_run(execute, compact, program):
    if not compact:
        (run,), _ = execute([*program, HALT], geometry=BIG)
        assert run.illegal and not run.starts


def test_a_run_that_halts_inside_a_loop_leaves_none_open(execute, compact):
    if not compact:
        program = [
            instruction(Op.LOOP, count=9, act_step=7, out_step=7),
            BOTH_WAYS,
            HALT,
            END,
            HALT,
        ]
        (first, second), _ = execute([*program, BOTH_WAYS, HALT], (0, 0), (5, 0), geometry=BIG)
        assert [start[1] for start in first.starts + second.starts] == 2 * [encode(BOTH_WAYS)]
        (_, alone), _ = execute(program, (0, 0), (3, 0), geometry=BIG)
        assert alone.illegal


def test_the_bounds_are_those_of_the_moved_instruction(execute, compact):
    if not compact:
        last = replace(GEOMETRY, act_depth=1024)
        inside = instruction(Op.MVM, act=1000, move_act=1, **MVM_AT)
        (run,), _ = execute([*loop(3, 8, body=[inside]), HALT], geometry=last)
        assert not run.illegal and len(run.starts) == 3
        (run,), _ = execute([*loop(4, 8, body=[inside]), HALT], geometry=last)
        assert run.illegal and len(run.starts) == 3
