"""The mode engine against the plain functions of ``hw/profile.py``, with exact cycles."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ohmloom.hw.isa import CellStatus, Op, pack_result
from ohmloom.hw.modes.engine import FAULT_KIND, FIRST_LIMIT, GRANT_CYCLES, LAST_LIMIT
from ohmloom.hw.profile import (
    ADOPT_CYCLES,
    MODE_BASE,
    SLOT_WORDS,
    WALK_CYCLES,
    WAY_BASE,
    Drive,
    ModeStatus,
    Profile,
    ProfileStatus,
    TileMode,
    arm_key,
    change,
    check,
    checksum,
    pack_profile,
    permit,
    restore,
)

from .conftest import (
    ANALOG,
    CHARGE,
    DRIVE,
    GEOMETRY,
    ONCE,
    POWER,
    PROFILE,
    TIGHT,
    TRAIN,
    TWICE,
    VOLATILE,
    tile_word,
    word,
)  # fmt: skip

SETTLED = TileMode(True, False, ANALOG)
"""Waits for the pulse engine here, in clock cycles."""
RECIPE_CYCLES = 6


class Host:
    """Drives an engine: what the sequencer and the pulse engine do."""

    def __init__(self, ctx, lane) -> None:
        self.ctx = ctx
        self.lane = lane
        self.engine = lane.engine
        self.visited: set[str] = set()
        self.moves: set[tuple[str, str]] = set()
        self.recipes: list[tuple[int, ...]] = []
        self.arm = 0

    def state(self) -> str:
        return self.engine.fsm.decoding[self.ctx.get(self.engine.fsm.state)]

    async def tick(self) -> None:
        before = self.state()
        await self.ctx.tick()
        self.visited.add(before)
        if self.state() != before:
            self.moves.add((before, self.state()))

    async def begin(self) -> None:
        """A run begins."""
        self.ctx.set(self.engine.run, 1)
        await self.tick()
        self.ctx.set(self.engine.run, 0)

    async def execute(self, instr: int, faults: int | None = None) -> tuple[bool, int]:
        """A mode instruction: whether it was refused, and the cycles from strobe to strobe."""
        ctx, engine = self.ctx, self.engine
        ctx.set(engine.instruction, instr)
        ctx.set(engine.arm, self.arm)
        ctx.set(engine.start, 1)
        cycles, working = 0, None
        while not ctx.get(engine.done):
            if ctx.get(engine.recipe_start):
                op = engine.operand
                self.recipes.append(
                    tuple(
                        ctx.get(v)
                        for v in (op.tile, op.row, op.column, op.count, op.param, engine.sweep)
                    )
                )
                assert ctx.get(engine.drive.granted)
                working = RECIPE_CYCLES
            await self.tick()
            ctx.set(engine.start, 0)
            cycles += 1
            if working is not None:
                assert ctx.get(engine.recipe)
                working -= 1
                ctx.set(engine.pulse_done, working == 0)
                ctx.set(engine.pulse_fault, working == 0 and len(self.recipes) - 1 == faults)
                working = working or None
            assert cycles < 2000
        refused = bool(ctx.get(engine.fault))
        await self.tick()
        ctx.set(engine.pulse_done, 0)
        assert not ctx.get(engine.active) and not ctx.get(engine.drive.granted)
        return refused, cycles

    async def ask(self, instr: int) -> tuple[bool, int]:
        """Whether an instruction may drive, and the cycles from strobe to strobe."""
        ctx, engine = self.ctx, self.engine
        ctx.set(engine.instruction, instr)
        ctx.set(engine.ask, 1)
        cycles = 0
        while not ctx.get(engine.answered):
            assert not ctx.get(engine.drive.granted)
            await self.tick()
            ctx.set(engine.ask, 0)
            cycles += 1
            assert cycles < 2000
        permitted = bool(ctx.get(engine.permitted))
        await self.tick()
        return permitted, cycles

    async def release(self) -> None:
        self.ctx.set(self.engine.release, 1)
        await self.tick()
        self.ctx.set(self.engine.release, 0)
        assert not self.ctx.get(self.engine.drive.granted)

    def status(self) -> ModeStatus:
        return ModeStatus(self.ctx.get(self.engine.status))

    def found(self) -> ProfileStatus:
        return ProfileStatus(self.ctx.get(self.engine.found))

    def tile(self, n: int) -> int:
        return self.ctx.get(self.lane.tiles.data[n])

    def locks(self) -> set[tuple[int, int, int]]:
        row_bits, column_bits = GEOMETRY.lock_bits
        return {
            (n >> row_bits + column_bits, n >> column_bits & 7, n & 7)
            for n in range(GEOMETRY.lock_depth)
            if self.ctx.get(self.lane.locks.data[n])
        }


VISITED: set[str] = set()
MOVES: set[tuple[str, str]] = set()
STATES: set[str] = set()


def run(simulate, lane, steps, cycles: int = 20_000) -> None:
    async def testbench(ctx):
        host = Host(ctx, lane)
        await steps(ctx, host)
        VISITED.update(host.visited)
        MOVES.update(host.moves)
        STATES.update(lane.engine.fsm.encoding)

    simulate(lane, testbench, cycles=cycles)


def words(profile: Profile = PROFILE, **changes: int) -> list[int]:
    """Packed words with some of them changed, the checksum as it should be."""
    packed = pack_profile(profile)
    for place, value in changes.items():
        packed[int(place[1:])] = value
    packed[0] = packed[0] & 0xFFFFFFFF | checksum(packed) << 32
    return packed


def unchecked(**changes: int) -> list[int]:
    """The same, with the checksum of the words before."""
    packed = pack_profile(PROFILE)
    for place, value in changes.items():
        packed[int(place[1:])] = value
    return packed


def flipped(at: int, bit: int) -> dict[str, int]:
    return {f"w{at}": pack_profile(PROFILE)[at] ^ 1 << bit}


def mode_word(n: int, word: int) -> str:
    return f"w{MODE_BASE + n * SLOT_WORDS + word}"


def way_word(n: int, word: int) -> str:
    return f"w{WAY_BASE + n * SLOT_WORDS + word}"


BAD = [
    pytest.param(words(), id="good"),
    pytest.param(words(Profile(PROFILE.modes * 2, PROFILE.ways[:3] + PROFILE.ways[:4])), id="full"),
    pytest.param([0] * len(words()), id="empty"),
    pytest.param(words(**flipped(0, 3)), id="magic"),
    pytest.param(words(**flipped(0, 17)), id="version"),
    pytest.param(words(**{"w0": pack_profile(PROFILE)[0] & ~(15 << 24) | 9 << 24}), id="modes"),
    pytest.param(words(**{"w0": pack_profile(PROFILE)[0] & ~(15 << 28) | 9 << 28}), id="ways"),
    pytest.param(unchecked(**flipped(0, 40)), id="checksum"),
    *(
        pytest.param(unchecked(**flipped(at, bit)), id=f"bit {bit} of word {at}")
        for at, bit in ((1, 0), (3, 63), (7, 40), (35, 16), (36, 1), (63, 63))
    ),
    pytest.param(words(**{mode_word(0, 0): 0}), id="no kind"),
    pytest.param(words(**{mode_word(3, 0): 5}), id="strange kind"),
    pytest.param(words(**{mode_word(1, 1): 0x9000_8FFF_8101_8100 ^ 0}), id="gap upside down"),
    pytest.param(words(**{mode_word(1, 1): 0x8500_8400_80FF_8100}), id="gate upside down"),
    pytest.param(words(**{mode_word(2, 2): 0x0003_7FFF_8000}), id="rail upside down"),
    pytest.param(words(**{mode_word(2, 3): 0}), id="no width"),
    pytest.param(words(**{mode_word(2, 3): 1 << 40}), id="width beyond its bits"),
    pytest.param(words(**{mode_word(2, 3): 1 << 39}), id="upper width"),
    pytest.param(words(**{mode_word(2, 3): 1 << 20}), id="middle width"),
    pytest.param(words(**{mode_word(5, 0): 6, mode_word(5, 3): 0}), id="an unused mode"),
    pytest.param(words(**{way_word(0, 0): 4}), id="way from nowhere"),
    pytest.param(words(**{way_word(1, 0): 4 << 3}), id="way to nowhere"),
    pytest.param(words(**{way_word(4, 0): 9}), id="way to itself"),
    pytest.param(words(**{way_word(4, 3): 0}), id="way without width"),
    pytest.param(words(**{way_word(4, 2): 1}), id="way upside down"),
    pytest.param(words(**{way_word(6, 0): 9}), id="an unused way"),
    pytest.param(words(**{mode_word(3, 0): 5, way_word(0, 0): 4}), id="mode before way"),
]


@pytest.mark.parametrize("packed", BAD)
def test_adopt_finds_what_the_plain_check_finds(simulate, lane, packed):
    expected = check(packed)

    async def steps(ctx, host):
        await host.begin()
        refused, cycles = await host.execute(word(Op.ADOPT))
        assert host.found() is expected
        assert refused == (expected is not ProfileStatus.OK) != bool(ctx.get(host.engine.adopted))
        if not refused:
            assert cycles == ADOPT_CYCLES
            assert await host.execute(word(Op.ADOPT)) == (False, 1)

    run(simulate, lane(packed), steps)


def test_every_verdict_was_among_them():
    assert {check(each.values[0]) for each in BAD} == set(ProfileStatus)


@pytest.mark.parametrize("tile", [
    TileMode(), TileMode(True, False, ANALOG), TileMode(True, True, POWER),
    TileMode(False, True, 0),
])  # fmt: skip
@pytest.mark.parametrize("mode", [ANALOG, VOLATILE, 4, 7])
def test_restore_says_what_the_plain_function_says(simulate, lane, tile, mode):
    async def steps(ctx, host):
        instr = word(Op.RESTORE, tile=2, mode=mode)
        await host.begin()
        assert await host.execute(instr) == (True, 2)
        assert host.status() is ModeStatus.NO_PROFILE is restore(None, tile, mode)[0]
        assert host.tile(2) == tile_word(tile)
        await host.begin()
        await host.execute(word(Op.ADOPT))
        status, after = restore(PROFILE, tile, mode)
        assert await host.execute(instr) == (status is not ModeStatus.OK, 2)
        assert host.status() is status
        assert host.tile(2) == tile_word(after)
        assert [host.tile(n) for n in (0, 1, 3)] == [0, 0, 0]

    run(simulate, lane(tiles=[TileMode(), TileMode(), tile, TileMode()]), steps)


TILES = [TileMode(True, False, ANALOG), TileMode(True, False, ONCE), TileMode(True, False, POWER),
         TileMode(True, True, VOLATILE)]  # fmt: skip
CELLS = [(1, 3, 4), (1, 3, 5), (1, 3, 7), (1, 4, 5), (1, 0, 0)]
LINE = {"row": 3, "column": 4, "count": 1}
ASKED = [
    (Op.PULSE, {"tile": tile, "param": param, **LINE}, pulses, source)
    for tile in range(4)
    for param, pulses, source in ((TRAIN, 1, False), (TWICE, 2, False), (CHARGE, 1, True))
] + [
    (op, {"tile": tile, **({"param": TRAIN, **LINE} if op is Op.SWEEP else {"count": 3})}, 1, False)
    for op in (Op.SWEEP, Op.PROGRAM)
    for tile in range(4)
]


def test_what_may_drive_is_what_the_plain_function_permits(simulate, lane):
    seen = set()

    async def steps(ctx, host):
        drive = host.engine.drive
        await host.begin()
        permitted, cycles = await host.ask(word(Op.PULSE, tile=0, param=TRAIN, **LINE))
        assert (permitted, cycles, host.status()) == (False, 2, ModeStatus.NO_PROFILE)
        await host.begin()
        await host.execute(word(Op.ADOPT))
        for op, operands, pulses, source in ASKED:
            await host.begin()
            tile = operands["tile"]
            expected = permit(PROFILE, TILES[tile], op, pulses, source)
            permitted, cycles = await host.ask(word(op, **operands))
            assert host.status() is expected, (op, operands)
            assert permitted == (expected is ModeStatus.OK) == bool(ctx.get(drive.granted))
            seen.add(expected)
            known = TILES[tile].known and not TILES[tile].fault
            once = permitted and PROFILE.modes[TILES[tile].mode].write_once
            assert cycles == (GRANT_CYCLES + 4 * once if known else 2)
            kind = PROFILE.modes[TILES[tile].mode].kind if known else FAULT_KIND
            assert ctx.get(host.engine.kind) == kind
            if permitted:
                mode = PROFILE.modes[TILES[tile].mode]
                assert await limits(ctx, host) == mode.drive
                assert ctx.get(drive.tile) == tile
                assert (ctx.get(drive.once), ctx.get(drive.source)) == (
                    mode.write_once,
                    mode.source,
                )
                for _ in range(3):
                    await host.tick()
                assert ctx.get(drive.granted)
                await host.release()

    run(simulate, lane(tiles=TILES, unlocked=CELLS), steps)
    assert seen == {ModeStatus.OK, ModeStatus.FORBIDDEN, ModeStatus.FAULT}


async def limits(ctx, host) -> Drive:
    """As the warden is shown them, from first to last again and again."""
    drive, shown = host.engine.drive, {}
    while ctx.get(drive.quarter) != FIRST_LIMIT:
        await host.tick()
    for quarter in (*range(FIRST_LIMIT, LAST_LIMIT + 1), FIRST_LIMIT):
        assert ctx.get(drive.quarter) == quarter
        shown[quarter] = ctx.get(drive.limit)
        await host.tick()
    return Drive(*list(shown.values())[:-1], ctx.get(drive.width) + 1, shown[LAST_LIMIT])


def test_an_unknown_tile_is_not_driven(simulate, lane):
    async def steps(ctx, host):
        await host.begin()
        await host.execute(word(Op.ADOPT))
        assert await host.ask(word(Op.PULSE, tile=1, param=TRAIN, **LINE)) == (False, 2)
        assert host.status() is ModeStatus.UNKNOWN

    run(simulate, lane(), steps)


@pytest.mark.parametrize(("line", "locked"), [
    ({"row": 3, "column": 4, "count": 2}, set()),
    ({"row": 3, "column": 4, "count": 3}, None),  # (3, 6) has been written
    ({"row": 3, "column": 5, "count": 2, "down": 1}, set()),
    ({"row": 3, "column": 7, "count": 2}, None),  # beyond the line
    ({"row": 7, "column": 5, "count": 2, "down": 1}, None),
    ({"row": 5, "column": 5, "count": 1}, None),
])  # fmt: skip
def test_lock_bits_are_looked_at_and_then_cleared(simulate, lane, line, locked):
    async def steps(ctx, host):
        await host.begin()
        await host.execute(word(Op.ADOPT))
        before = host.locks()
        permitted, cycles = await host.ask(word(Op.PULSE, tile=1, param=TRAIN, **line))
        if locked is None:
            assert (permitted, host.status()) == (False, ModeStatus.LOCKED)
            assert host.locks() == before == set(CELLS)
            return
        step = (1, 0) if line.get("down") else (0, 1)
        cells = {
            (1, line["row"] + n * step[0], line["column"] + n * step[1])
            for n in range(line["count"])
        }
        assert (permitted, cycles) == (True, GRANT_CYCLES + 4 * line["count"])
        assert host.locks() == before - cells != before
        await host.release()
        await host.begin()
        assert not (await host.ask(word(Op.PULSE, tile=1, param=TRAIN, **line)))[0]
        assert host.status() is ModeStatus.LOCKED

    run(simulate, lane(tiles=TILES, unlocked=CELLS), steps)


@pytest.mark.parametrize("columns", [8, 24])
def test_a_read_unlocks_what_reads_as_unwritten(simulate, lane, columns):
    geometry = replace(GEOMETRY, columns=columns, tiles=2)
    cell = columns - 1
    codes = [(-300, False), (-299, False), (-5000, True), (-32768, False)]

    async def steps(ctx, host):
        engine = host.engine
        await host.begin()
        await host.execute(word(Op.ADOPT))
        for tile in (1, 0):
            permitted, cycles = await host.ask(word(Op.READ, tile=tile, cell=cell, count=4))
            rows = cell // columns
            assert permitted and cycles == GRANT_CYCLES + (1 + rows if tile else 0)
            assert not ctx.get(engine.drive.granted)
            for code, saturated in codes:
                result = pack_result(code, 0, CellStatus.READ, saturated=saturated)
                ctx.set(engine.cell_result, result)
                ctx.set(engine.cell_write, 1)
                await host.tick()
                ctx.set(engine.cell_write, 0)
                await host.tick()
            await host.release()
            ctx.set(engine.cell_write, 1)  # of another instruction
            await host.tick()
            ctx.set(engine.cell_write, 0)
            await host.tick()
            ones = [n for n in range(geometry.lock_depth) if ctx.get(host.lane.locks.data[n])]
            places = [(1, 0, columns - 1), (1, 1, 2)]
            assert ones == sorted(geometry.lock_address(*place) for place in places)

    tiles = [TILES[0], TILES[1], TILES[0], TILES[0]]
    run(simulate, lane(tiles=tiles, geometry=geometry), steps)


@pytest.mark.parametrize("tile", [TileMode(), TileMode(True, True, ONCE)])
def test_a_read_is_never_refused(simulate, lane, tile):
    async def steps(ctx, host):
        for _ in range(2):
            await host.begin()
            assert await host.ask(word(Op.READ, tile=0, cell=0, count=1)) == (True, 2)
            assert host.status() is ModeStatus.OK
            await host.release()
            await host.execute(word(Op.ADOPT))

    run(simulate, lane(tiles=[tile] * 4), steps)


KEY = arm_key(0, ONCE)
CHANGES = [
    (0, VOLATILE, 0), (0, ONCE, KEY), (0, ONCE, 0), (0, ONCE, arm_key(1, ONCE)), (0, ONCE, KEY ^ 8),
    (0, POWER, KEY), (0, ANALOG, 0), (1, ANALOG, 0), (2, ANALOG, 0), (3, ANALOG, 0),
]  # fmt: skip


@pytest.mark.parametrize(("tile", "to", "arm"), CHANGES)
def test_a_change_takes_the_way_that_the_plain_function_finds(simulate, lane, tile, to, arm):
    status, way = change(PROFILE, TILES[tile], tile, to, arm)

    async def steps(ctx, host):
        await host.begin()
        instr = word(Op.MODE, tile=tile, to=to)
        assert await host.execute(instr) == (True, 2)
        assert host.status() is ModeStatus.NO_PROFILE
        await host.begin()
        await host.execute(word(Op.ADOPT))
        host.arm = arm
        refused, cycles = await host.execute(instr)
        assert refused == (way is None)
        assert host.status() is status
        if way is None:
            assert host.tile(tile) == tile_word(TILES[tile])
            assert host.recipes == []
            return
        assert host.tile(tile) == tile_word(TileMode(True, False, to))
        assert host.recipes == [
            (tile, row, 0, GEOMETRY.columns, way.param, way.sweep) for row in range(GEOMETRY.rows)
        ]
        looked = PROFILE.ways.index(way) + 1
        before = 2 + WALK_CYCLES + 1 + looked * (2 + WALK_CYCLES)
        assert cycles == before + GEOMETRY.rows * (1 + RECIPE_CYCLES)

    run(simulate, lane(tiles=TILES), steps)


def test_every_refusal_of_a_change_was_among_them():
    said = {change(PROFILE, TILES[tile], tile, to, arm)[0] for tile, to, arm in CHANGES}
    assert said == {
        ModeStatus.OK, ModeStatus.UNARMED, ModeStatus.NO_WAY, ModeStatus.FORBIDDEN, ModeStatus.FAULT
    }  # fmt: skip


@pytest.mark.parametrize("row", [0, 3, 7])
def test_a_recipe_that_breaks_off_leaves_a_fault(simulate, lane, row):
    async def steps(ctx, host):
        await host.begin()
        await host.execute(word(Op.ADOPT))
        refused, _ = await host.execute(word(Op.MODE, tile=0, to=VOLATILE), faults=row)
        assert refused and host.status() is ModeStatus.FAULT
        assert ctx.get(host.engine.kind) == FAULT_KIND
        assert len(host.recipes) == row + 1
        assert host.tile(0) == tile_word(TileMode(True, True, ANALOG))
        await host.begin()
        assert not (await host.ask(word(Op.PULSE, tile=0, param=TRAIN, **LINE)))[0]
        assert host.status() is ModeStatus.FAULT
        await host.begin()
        assert await host.execute(word(Op.RESTORE, tile=0, mode=POWER)) == (False, 2)
        assert host.tile(0) == tile_word(TileMode(True, False, POWER))

    run(simulate, lane(tiles=TILES), steps)


def test_the_limits_of_a_way_are_those_of_its_recipe(simulate, lane):
    async def steps(ctx, host):
        await host.begin()
        await host.execute(word(Op.ADOPT))
        host.arm = KEY
        await host.execute(word(Op.MODE, tile=0, to=ONCE))
        assert ctx.get(host.engine.drive.width) == DRIVE.width_max - 1 != TIGHT.width_max - 1
        assert host.tile(0) == tile_word(TileMode(True, False, ONCE))

    run(simulate, lane(tiles=TILES), steps)


def test_without_lock_memory_everything_is_locked(simulate, lane):
    async def steps(ctx, host):
        await host.begin()
        await host.execute(word(Op.ADOPT))
        assert not (await host.ask(word(Op.PULSE, tile=1, param=TRAIN, row=0, column=0)))[0]
        assert host.status() is ModeStatus.LOCKED

    run(simulate, lane(tiles=TILES, geometry=replace(GEOMETRY, locks=64)), steps)


LEGAL = {
    "IDLE": {"SUM", "ANSWER", "LOOK"},
    "SUM": {"JUDGE"},
    "JUDGE": {"TEST", "ANSWER"},
    "TEST": {"ANSWER"},
    "LOOK": {"LOAD", "ANSWER"},
    "LOAD": {"CHECK", "WAY"},
    "CHECK": {"ANSWER", "LOCATE", "NEXT", "LOCK"},
    "LOCK": {"LOCKED"},
    "LOCKED": {"LOCK", "ANSWER"},
    "LOCATE": {"ANSWER"},
    "NEXT": {"LOAD", "ANSWER"},
    "WAY": {"NEXT", "ANSWER", "ROW"},
    "ROW": {"RECIPE"},
    "RECIPE": {"ROW", "ANSWER"},
    "ANSWER": {"IDLE"},
}


def test_every_state_and_every_transition_was_seen():
    """After the others, of which it is the sum."""
    if not STATES:
        pytest.skip("runs after the other tests of this file")
    assert STATES == VISITED == set(LEGAL)
    assert {(a, b) for a, after in LEGAL.items() for b in after} == MOVES
