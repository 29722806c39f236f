"""Every state and every transition of every state machine of the controller is taken.

Each scenario is a simulation of the whole controller with its chips, over its serial
line. Together they take every transition that there is in the elaborated design, but
for those in :data:`EXCUSED`. ``make cover`` runs them all and prints the table.
"""

from __future__ import annotations

import zlib
from dataclasses import replace

import pytest

from ohmloom.hw.isa import (
    ONCE,
    OPCODE_BITS,
    SEGMENTS,
    CellStatus,
    Dac,
    Grid,
    Loop,
    Op,
    Staircase,
    Sum,
    Train,
    encode,
    instruction,
    pack_add,
    pack_level,
    pack_pool,
    pack_pulse,
    pack_requant,
    pack_sweep,
    pack_table,
    unpack_result,
)
from ohmloom.hw.line import Line, Piece, pack_line
from ohmloom.hw.link.codec import Frame, encode_frame
from ohmloom.hw.link.exchange import GuardStopped, LinkError, LinkRefused
from ohmloom.hw.link.protocol import (
    LIMIT_VALUE_BYTES,
    MAX_READ,
    READ_HEAD,
    REPLY,
    RUN_HEAD,
    WRITE_HEAD,
    Kind,
    Limit,
    Space,
    Status,
)
from ohmloom.hw.profile import MODE_BASE, SLOT_WORDS, checksum, pack_profile, quarters
from ohmloom.hw.ranges import AUTO
from ohmloom.sim.cosim.fast.coverage import Coverage

from .conftest import ANALOG, POWER, PROFILE, RECIPE, VOLATILE, WIDE, WRITE_ONCE

AFE = "top.afe"
pytestmark = pytest.mark.slow
ZERO = 0x8000
VOLT = ZERO // 10
ROWS = {"tile": 0, "act": 0, "first": 0, "rows": 8, "planes": 3, "signed": 1}
MVM = instruction(Op.MVM, **ROWS, clear=1)


async def instructions(rig):
    """What the sequencer executes itself, and each way in which it refuses a word."""
    await rig.set_up(CLAMP_LO=-100, CLAMP_HI=100)
    wait = instruction(Op.WAIT, cycles=200)
    await rig.run(instruction(Op.NOP), instruction(Op.WAIT, cycles=0), wait)
    loop, end = instruction(Op.LOOP, count=2, act_step=1, out_step=1), instruction(Op.END)
    await rig.run(loop, loop, instruction(Op.NOP), end, end)
    await rig.refused(encode(end))
    await rig.refused(63)
    await rig.refused(encode(instruction(Op.NOP)) | 1 << 63)
    await rig.refused(Op.SET | 63 << OPCODE_BITS)
    await rig.refused(instruction(Op.READ, tile=9, cell=0, count=1))
    # An address beyond its memory that only the parameters tell.
    beyond = pack_add(Sum(0, rig.geometry.act_depth, 1, 1, 0, 0))
    await rig.refused(instruction(Op.ADD, out=0, param=0, count=1), params=beyond)
    depth = rig.geometry.program_depth
    await rig.link.write_words(Space.PROGRAM, 0, [encode(instruction(Op.NOP))] * depth)
    with pytest.raises(LinkError):
        await rig.link.run(0, 0)


async def products(rig):
    """Two MVMs, the second with columns and gates as the first has left them."""
    await rig.set_up(CLAMP_LO=-100, CLAMP_HI=100)
    requant = instruction(Op.REQUANT, out=8, param=0, count=4)
    await rig.run(
        MVM, instruction(Op.MVM, **ROWS, clear=0), requant, params=[pack_requant(0, 1, 0)] * 4
    )


async def tensors(rig):
    """Tables, both pools, sums, places of the largest."""
    table = pack_table([n // 2 for n in range(256)])
    params = [*table]
    maximum = len(params)
    params += pack_pool(Grid(2, 2, 4, 1, (Loop(2, 1, 1), Loop(2, 1, 1), ONCE)))
    average = len(params)
    params += [*pack_pool(Grid(1, 2, 0, 1, (Loop(2, 1, 1), ONCE, ONCE))), pack_requant(0, 1, 0)]
    add = len(params)
    params += pack_add(Sum(0, 8, 3, 5, 7, 2))
    await rig.set_up(CLAMP_LO=-100, CLAMP_HI=100)
    await rig.run(
        instruction(Op.LUT, act=0, out=16, table=0, count=2),
        instruction(Op.POOL, act=0, out=32, param=maximum, average=0),
        instruction(Op.POOL, act=0, out=32, param=average, average=1),
        instruction(Op.ADD, out=48, param=add, count=2),
        instruction(Op.ARGMAX, act=0, out=64, count=3, last=0),
        params=params,
    )


REGISTERS = {
    "LEVELS": 0,
    "TRIES": 2,
    "SET_CYCLES": 200,
    "RESET_CYCLES": 300,
    "RAIL_SET": ZERO + VOLT,
    "RAIL_RESET": ZERO - VOLT,
    "AVERAGE": 1,
    "STUCK": 5,
}
PROGRAM = instruction(Op.PROGRAM, tile=0, cell=7, count=3)
"""The first cell is the last of its row."""
LEVEL = pack_level(ZERO + VOLT, 100, 200)


def reading(rig, *codes):
    """What the next conversions find, the last code for ever."""
    left = list(codes)
    rig.codes = lambda: [left.pop(0) if len(left) > 1 else left[0]] * 8


async def cells(rig):
    """Write-verify of a cell that converges, one that does not, and one that is stuck."""
    await rig.set_up(**REGISTERS)
    await rig.link.write_words(Space.LEVEL, 0, [0, 0, 0])
    reading(rig, 150, 150, 0, 0, 1000, 1000, 3)
    await rig.run(PROGRAM, params=[LEVEL])
    found = [unpack_result(word)[2] for word in await rig.link.read_words(Space.CELL, 0, 3)]
    assert found == [CellStatus.DONE, CellStatus.NOT_CONVERGED, CellStatus.STUCK]
    await rig.run(instruction(Op.READ, tile=1, cell=30, count=2))


async def groups(rig):
    """Three cells at once, of which the one in the middle comes later; then all are worn."""
    await rig.set_up(**REGISTERS | {"AVERAGE": 0, "TOGETHER": 3, "ENDURANCE": 2})
    group = instruction(Op.PROGRAM, tile=0, cell=8, count=3)
    rounds = [[150, 0, 150], [150, 50, 150], [150] * 3]
    rig.codes = lambda: [*(rounds.pop(0) if len(rounds) > 1 else rounds[0]), *[0] * 5]
    for wanted in (CellStatus.NOT_CONVERGED, CellStatus.WORN):
        await rig.link.write_words(Space.LEVEL, 0, [0, 0, 0])
        await rig.run(group, params=[LEVEL])
        found = [unpack_result(word)[2] for word in await rig.link.read_words(Space.CELL, 0, 3)]
        assert found[1] == wanted
    await rig.link.write_words(Space.WEAR, 0, [9] * 16)
    await rig.run(group)


async def targets(rig):
    """Gate codes that are computed, and reads that find their range."""
    pieces = tuple(Piece((ZERO << 8) + n, 256) for n in range(SEGMENTS))
    line = Line(offset=0, mantissa=1 << 16, half=20, low=0, high=65535, pieces=pieces)
    await rig.set_up(**REGISTERS | {"LINE": 1})
    await rig.link.write_words(Space.TARGET, 0, [150, 160, 170])
    reading(rig, 160)
    await rig.run(PROGRAM, params=[0, *pack_line(line)])
    await rig.set_up(**REGISTERS | {"TIA_RANGE": AUTO})
    reading(rig, 10, 10, 32767, 32767, 32767, 20000, 20000)
    await rig.run(instruction(Op.READ, tile=0, cell=5, count=3))


WIDTH = 3000
TRAIN = Train(rail=ZERO + VOLT, width=WIDTH, pulses=2, interval=10 * WIDTH)
SENSED = replace(TRAIN, inside=2, delay=1000, spacing=1000, average=0)
READ_AFTER = replace(SENSED, after=2, after_delay=WIDTH, after_spacing=WIDTH)
STAIRS = Staircase(
    start=ZERO, stop=ZERO + 2 * VOLT, step=VOLT, both=True, width=WIDTH, interval=10 * WIDTH,
    gate=ZERO + VOLT, limit=1, delay=1000, spacing=1000, average=0,
)  # fmt: skip


def pulse(**changes):
    operands = {"tile": 0, "row": 1, "column": 2, "count": 2, "down": 0, "param": 0}
    return instruction(Op.PULSE, **operands | changes)


SWEEP = instruction(Op.SWEEP, tile=0, row=1, column=2, count=2, down=0, param=0)


async def trains(rig):
    """Trains and staircases that end as they should."""
    await rig.set_up()
    limited = replace(READ_AFTER, limit=3, gate=ZERO + VOLT, average=1, inside=1)
    for train in (TRAIN, SENSED, READ_AFTER, limited):
        await rig.run(pulse(), params=pack_pulse(train))
    await rig.run(pulse(down=1), params=pack_pulse(SENSED))
    await rig.run(SWEEP, params=pack_sweep(STAIRS))


async def trains_that_fail(rig):
    """Refused, late in each of three ways, and with more samples than there is room for."""
    await rig.set_up()
    for train in (
        replace(SENSED, delay=1),
        replace(READ_AFTER, interval=WIDTH + 2 * WIDTH + 10),
        replace(READ_AFTER, after_delay=10),
        replace(SENSED, spacing=2),
        replace(TRAIN, pulses=1, width=100 * WIDTH, interval=200 * WIDTH, inside=70, delay=1000,
                spacing=1000),
    ):  # fmt: skip
        await rig.refused(pulse(), params=pack_pulse(train))


async def trains_that_are_ended(rig):
    """The controller's abort input in each state that looks at it."""
    await rig.set_up()
    for state in ("ROWS", "DRIVE-WAIT", "READY", "OPEN", "PULSE", "CLOSED", "SETTLE", "AFTER"):
        await rig.start(pulse(), params=pack_pulse(READ_AFTER))
        await abort_in(rig, state)


CHARGE = Train(
    rail=ZERO + VOLT, width=40 * WIDTH, inside=3, delay=4 * WIDTH, spacing=2 * WIDTH, after=1,
    after_delay=WIDTH, after_spacing=WIDTH, source=1, react=WIDTH, v_high=20000,
)  # fmt: skip
ON_THE_LINE = pulse(tile=1, count=1)


async def charges(rig):
    """The current source: to the end, cut at a limit, ended in each state."""
    await rig.set_up()
    await rig.run(ON_THE_LINE, params=pack_pulse(CHARGE))
    reading(rig, 30000)
    await rig.run(ON_THE_LINE, params=pack_pulse(CHARGE))
    reading(rig, 100)
    await rig.run(ON_THE_LINE, params=pack_pulse(replace(CHARGE, after=0)))
    states = (
        "SOURCE-WAIT", "ROWS", "DRIVE-WAIT", "READY", "OPEN", "PULSE", "CLOSED", "SETTLE", "AFTER",
    )  # fmt: skip
    for state in states:
        await rig.start(ON_THE_LINE, params=pack_pulse(CHARGE))
        await abort_in(rig, state)


async def modes(rig):
    """Profiles that are none, modes that are not known, and each way from one to another."""
    sound = quarters(pack_profile(PROFILE))
    wrong = list(sound)
    wrong[-1] ^= 1
    adopt = instruction(Op.ADOPT)
    for words in ([1, *sound[1:]], wrong):
        await rig.link.write_words(Space.PROFILE, 0, words)
        await rig.refused(adopt)
    upside_down = replace(PROFILE.modes[0], drive=replace(WIDE, rail_low=2, rail_high=1))
    broken = pack_profile(PROFILE)
    broken[MODE_BASE : MODE_BASE + SLOT_WORDS] = slot_of(upside_down, broken)
    broken[0] ^= checksum(broken) << 32
    await rig.link.write_words(Space.PROFILE, 0, quarters(broken))
    await rig.refused(adopt)
    await rig.link.write_words(Space.PROFILE, 0, sound)
    rig.adopted = True
    change = instruction(Op.MODE, tile=0, to=VOLATILE)
    sweep = pack_sweep(replace(STAIRS, both=False, limit=0, width=600, interval=2000, delay=500,
                               spacing=50))  # fmt: skip
    await rig.run(adopt, adopt)
    await rig.link.write_words(Space.PARAM, RECIPE, sweep)
    await rig.refused(change)
    await rig.refused(pulse())
    for tile, mode in ((0, ANALOG), (1, WRITE_ONCE)):
        await rig.run(instruction(Op.RESTORE, tile=tile, mode=mode))
    await rig.refused(instruction(Op.RESTORE, tile=0, mode=POWER))
    await rig.refused(instruction(Op.MODE, tile=0, to=POWER))
    await rig.refused(instruction(Op.MODE, tile=0, to=WRITE_ONCE))
    await rig.refused(instruction(Op.MODE, tile=1, to=ANALOG))
    await rig.run(change)
    await rig.refused(PROGRAM)
    once = pulse(tile=1, count=1)
    single = pack_pulse(replace(TRAIN, pulses=1, interval=0))
    await rig.refused(once, params=single)
    reading(rig, 10)
    await rig.run(instruction(Op.READ, tile=1, cell=0, count=64))
    await rig.run(pulse(tile=1, count=2), params=single)
    await rig.refused(pulse(tile=1, count=2), params=single)
    await rig.refused(pulse(tile=1), params=pack_pulse(TRAIN))
    # A recipe that is broken off leaves the tile in FAULT.
    await rig.start(instruction(Op.MODE, tile=0, to=ANALOG))
    await abort_in(rig, "PULSE")
    await rig.refused(pulse())
    await rig.run(instruction(Op.RESTORE, tile=0, mode=ANALOG))
    await rig.start(change)
    rig.until("top.modes", "RECIPE")
    rig.stop()
    rig.until("top.sequencer", "IDLE")


def slot_of(record, words):
    """The words of a mode's slot, of limits that :func:`pack_profile` would not take."""
    drive = record.drive
    slot = list(words[MODE_BASE : MODE_BASE + SLOT_WORDS])
    slot[2] = drive.rail_low | drive.rail_high << 16
    return slot


async def abort_in(rig, state):
    """The controller's abort input while the pulse sequencer is in that state."""
    rig.until("top.pulse", state)
    rig.set("abort", 1)
    rig.step()
    rig.set("abort", 0)
    rig.until("top.pulse", "IDLE")
    await idle(rig)


async def idle(rig):
    """No run is under way any more, and its event has come."""
    while (await rig.link.status()).running:
        rig.step(100)
    rig.step(1000)
    rig.engine.received()


async def stops(rig):
    """The guard stops each engine at its work: all are reset."""
    table = pack_table([0] * 256)
    grid = Grid(4, 4, 4, 1)
    requants = [pack_requant(0, 1, 0)] * 8
    registers = REGISTERS | {"CLAMP_LO": -100, "CLAMP_HI": 100}
    for path, state, code, params in (
        ("sequencer", "TIMER", instruction(Op.WAIT, cycles=10_000), []),
        ("mvm.load", "GATHER", MVM, []),
        ("post.requant", "READ", instruction(Op.REQUANT, out=8, param=0, count=4), requants),
        ("post.lut", "READ", instruction(Op.LUT, act=0, out=16, table=0, count=16), table),
        ("post.pool", "READ", instruction(Op.POOL, act=0, out=32, param=0, average=0),
         pack_pool(grid)),
        ("post.add", "READ-A", instruction(Op.ADD, out=48, param=0, count=9),
         pack_add(Sum(0, 8, 3, 5, 7, 2))),
        ("post.argmax", "READ", instruction(Op.ARGMAX, act=0, out=64, count=64, last=0), []),
        ("verify", "PULSE-WAIT", PROGRAM, [LEVEL]),
        ("verify.averager", "CONVERT", PROGRAM, [LEVEL]),
        ("pulse", "PULSE", pulse(), pack_pulse(READ_AFTER)),
        ("pulse.readout", "CONVERT", pulse(), pack_pulse(READ_AFTER)),
    ):  # fmt: skip
        await rig.set_up(**registers)
        await rig.link.write_words(Space.LEVEL, 0, [0, 0, 0])
        await rig.start(code, params=params)
        rig.until(f"top.{path}", state)
        rig.stop()
        rig.until("top.sequencer", "IDLE")
        await rig.recover()


async def requests(rig):
    """Every request, whole, cut short, too long, twice, and with replies of every shape."""
    link = rig.link
    await link.write_words(Space.ACT, 0, list(range(100)))
    await link.write_words(Space.PARAM, 0, [0x0101010101010101] * 40)
    assert len(await link.read_words(Space.PARAM, 0, 40)) == 40
    await link.read_words(Space.ACT, 0, 1)
    await link.health()
    await link.lower({Limit.WIDTH: 10**6})
    with pytest.raises(LinkRefused, match="LOCKED"):
        await rig.link.lower({Limit.WIDTH: 10**5})
    await link.abort()
    with pytest.raises(GuardStopped):
        await link.run(0, 0)
    await rig.recover()
    for kind, payload in (
        (Kind.WRITE, b""),
        (Kind.WRITE, WRITE_HEAD.pack(Space.ACT, 0)),
        (Kind.WRITE, WRITE_HEAD.pack(Space.ACT, 0) + b"\1\2\3"),
        (Kind.READ, READ_HEAD.pack(Space.ACT, 0, 0)),
        (Kind.READ, b"\1"),
        (Kind.PING, bytes(60)),
    ):
        await rig.request(kind, payload)
    # A reply whose last byte is zero needs one more block.
    for seq, kind in ((seq, kind) for kind in range(100, 128) for seq in range(256)):
        reply = bytes([seq, kind | REPLY, Status.BAD_KIND])
        if zlib.crc32(reply) >> 24 == 0:
            rig.engine.send(encode_frame(Frame(seq, kind, b"")))
            rig.step(3000)
            assert rig.engine.received().endswith(b"\1\0")
            break
    rig.engine.send(b"\7\7\7\0\0\1\2\3\4\5\6\7\0")
    await rig.run(instruction(Op.WAIT, cycles=1000))
    await rig.start(instruction(Op.WAIT, cycles=100_000))
    with pytest.raises(LinkRefused, match="BUSY"):
        await link.write_words(Space.ACT, 0, [1])
    await idle(rig)


async def refusals(rig):
    """Every request that the link refuses, repeats, gaps, a busy controller, the log."""
    low, high = LIMIT_VALUE_BYTES, 1 << 16
    await rig.set_up()
    numbers = iter(range(1, 200))

    def change(kind, payload=b""):
        rig.answer(next(numbers), kind, payload)

    rig.answer(0, Kind.PING)
    for kind in (Kind.STATUS, Kind.HEALTH):
        rig.answer(0, kind, b"?")
    for kind in (Kind.ABORT, Kind.CLEAR, Kind.RUN, Kind.LIMIT):
        change(kind, b"?")
    for index, value in ((99, 1), (Limit.WIDTH, high**2), (Limit.DUTY, 16)):
        change(Kind.LIMIT, bytes([index]) + value.to_bytes(low, "little"))
    change(Kind.RUN, RUN_HEAD.pack(rig.geometry.program_depth, 0))
    change(Kind.WRITE, WRITE_HEAD.pack(16, 0))
    change(Kind.WRITE, WRITE_HEAD.pack(Space.CELL, 0) + bytes(4))
    change(Kind.WRITE, WRITE_HEAD.pack(Space.PROFILE, 0) + bytes(2))
    rig.answer(0, Kind.READ, READ_HEAD.pack(Space.PARAM, 0, MAX_READ // 8 + 1))
    rig.answer(0, Kind.READ, READ_HEAD.pack(Space.PARAM, rig.geometry.param_depth, 1))
    rig.answer(0, Kind.READ, READ_HEAD.pack(Space.LOG, 0, 3), 10_000)

    # The same number again: answered, not executed; with another kind, or too far on, a gap.
    seq = next(numbers)
    for number, kind in (
        (seq, Kind.CLEAR),
        (seq, Kind.CLEAR),
        (seq, Kind.RUN),
        (seq + 9, Kind.RUN),
    ):
        rig.answer(number, kind)
    rig.set("interlock", 0)
    rig.answer(seq + 40, Kind.ABORT)
    rig.answer(seq + 41, Kind.CLEAR)
    rig.set("interlock", 1)
    await rig.link.ping()
    await rig.recover()

    # While it runs. Between requests time would jump to its end.
    for kind, payload in (
        (Kind.RUN, RUN_HEAD.pack(0, 0)),
        (Kind.LIMIT, bytes([Limit.WIDTH]) + bytes(low)),
        (Kind.READ, READ_HEAD.pack(Space.LOG, 0, 1)),
    ):
        await rig.start(instruction(Op.WAIT, cycles=100_000))
        await rig.request(kind, payload)
        await idle(rig)

    # A run that ends while the next one is being asked for.
    for ends in range(200, 1200, 40):
        await rig.load(instruction(Op.WAIT, cycles=ends))
        rig.answer(0, Kind.PING)
        for seq in (1, 2):
            rig.engine.send(encode_frame(Frame(seq, Kind.RUN, RUN_HEAD.pack(0, 0))))
        rig.step(8000)
        rig.engine.received()
        await rig.link.ping()

    # More than 256 frames.
    for _ in range(300):
        rig.answer(0, 100, edges=1500)


async def breadboard(rig):
    """The pmod front end: initialised, a code written, a cell read; stopped, and so again."""
    rail = instruction(Op.DAC, channel=Dac.RAIL_A, code=ZERO)
    read = instruction(Op.READ, tile=0, cell=5, count=1)
    await rig.run(rail, read)
    rig.stop()
    await rig.recover()
    await rig.run(rail, read)


ON_THE_BREADBOARD = (breadboard,)
SCENARIOS = (
    instructions, products, tensors, cells, groups, targets, trains, trains_that_fail,
    trains_that_are_ended, charges, modes, stops, requests,
    refusals,
)  # fmt: skip

EXCUSED = {
    ("top.pulse", "SOURCE-WAIT -> END"): "the source is selected there, so ISOLATE comes first",
    ("top.link.command", "count+9 -> counted"): "after 2^32 frames",
    **{
        ("top.link.command", each): "none is lost here: test_log.py and test_link.py lose some"
        for each in (
            "idle+4 -> lost", "lost", *(f"lost+{n}" for n in range(1, 12)), "lost -> lost+1",
            *(f"lost+{n} -> lost+{n + 1}" for n in range(1, 11)),
            "lost+7 -> idle", "lost+11 -> idle",
        )
    },
}  # fmt: skip
"""What cannot happen in the whole controller, and why."""


@pytest.fixture(scope="module")
def measured(play):
    """What each scenario has been through, by its name; of the breadboard its front end."""
    found = {each.__name__: play(each, "array_card") for each in SCENARIOS}
    for each in ON_THE_BREADBOARD:
        found[each.__name__] = play(each, "pmod").part(AFE, "pmod")
    return found


def all_but(measured, left_out=None):
    """All scenarios together; what there is stays known without one, what was seen does not."""
    total = Coverage()
    for name, coverage in measured.items():
        for path, each in coverage.machines.items():
            seen = [each.seen_states, each.seen_transitions] if name != left_out else [set(), set()]
            total.add(path, each.states, each.transitions, *seen)
    return total


def test_every_state_and_transition_is_taken(measured, record_property):
    total = all_but(measured)
    record_property("table", total.table())
    record_property("record", total.record())
    complaints = total.complaints(EXCUSED)
    assert not complaints, "\n".join(complaints)


# Replies of every shape may come in other scenarios too, as their checksums have it.
ALONE = [each.__name__ for each in (*SCENARIOS, *ON_THE_BREADBOARD) if each is not requests]


@pytest.mark.parametrize("name", ALONE)
def test_it_finds_what_is_missing_without_a_scenario(measured, name):
    assert all_but(measured, name).complaints(EXCUSED)


def test_it_finds_an_excuse_for_what_has_been_seen(measured):
    excused = EXCUSED | {("top.sequencer", "EXECUTE -> FETCH"): "planted"}
    assert "top.sequencer: EXECUTE -> FETCH has been seen, though planted" in all_but(
        measured
    ).complaints(excused)
