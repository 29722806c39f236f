"""What the modes guarantee, for every behaviour of everything around them, for ever.

The statements are at the outputs: the warden's are made where the guard drives the
front end, with engines, front end and host free in every cycle; the mode engine's where
it grants, with its memories and its pulse engine free. In between is one contract,
:class:`~ohmloom.hw.modes.engine.DriveSignature`: the warden's proofs assume it and
``AGrantStands`` proves it. A word of a memory, a tile and a cell that a statement speaks
of are arbitrary but fixed: what holds for that one holds for all. Both may be reset in
any cycle, as the guard's safe state does it.
"""

from __future__ import annotations

import pytest
from amaranth import Cat, Const, Module, Mux, ResetInserter, Signal, Value
from amaranth.hdl import Assert, Assume, Cover
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from ohmloom.hw.afe.interface import Ceilings, FrontEndTiming, SwitchGroup
from ohmloom.hw.fields import operands
from ohmloom.hw.geometry import Geometry
from ohmloom.hw.guard import Guard
from ohmloom.hw.isa import OPCODE_BITS, Dac, Op
from ohmloom.hw.modes.engine import (
    FIRST_LIMIT,
    FIRST_MODE,
    FIRST_WAY,
    LAST_LIMIT,
    LAST_SLOT,
    SHOWN_CYCLES,
    STEPS,
    ModeEngine,
)
from ohmloom.hw.modes.warden import WEIGHING_CYCLES, Warden
from ohmloom.hw.profile import ARM_KEY, MODE_SLOTS, QUARTER_BITS, WAY_SLOTS

CLK_HZ = 1_000_000_000
ZERO = 0x8000
GEOMETRY = Geometry(rows=8, columns=8, tiles=4, power=False)
TIMING = FrontEndTiming(settle_ps=2000, dac_settle_ps=1000, switch_ps=1000, pulse_min_ps=1000)
"""The guard lets a gate open after its least cycles."""
LIMITS = ("gate_low", "gate_high", "gap_low", "gap_high", "rail_low", "rail_high", "limited")
"""What the warden is shown, in this order."""
MOST = 31
"""Where counters of cycles end: beyond all that they are compared with."""
CEILINGS = Ceilings(
    low=(0,) * len(Dac),
    high=(0xFFFF,) * len(Dac),
    read=0x7FFF,
    sense=0x8000,
    width_ps=10**6,
    budget_ps=10**6,
    duty=1,
    energy_ps=10**16,
    watchdog_ps=10**6,
    zero_code=ZERO,
)


def free_inputs(component: wiring.Component, *bound: str) -> dict[str, Value]:
    """Its inputs but those whose first name is in ``bound``, by their whole names."""
    return {
        "_".join(map(str, path)): value
        for path, member, value in component.signature.flatten(component)
        if member.flow is In and path[0] not in bound and not isinstance(value, Const)
    }


class Spec(wiring.Component):
    """Something with free inputs. A subclass adds assertions in ``check``."""

    def __init__(self, free: dict[str, Value], **more: int) -> None:
        self.free = free
        ports = {name: In(len(Value.cast(value))) for name, value in free.items()}
        super().__init__(ports | {name: In(width) for name, width in more.items()})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        self.build(m)
        for name, value in self.free.items():
            m.d.comb += Value.cast(value).eq(getattr(self, name))
        self.started = Signal()
        m.d.sync += self.started.eq(1)
        self.check(m)
        return m

    def build(self, m: Module) -> None:
        raise NotImplementedError

    def check(self, m: Module) -> None:
        raise NotImplementedError

    def fixed(self, m: Module, name: str) -> Signal:
        """An arbitrary value that never changes: what the input had in the first cycle."""
        free = getattr(self, name)
        held, value = (
            Signal.like(free, name=f"{name}_held"),
            Signal.like(free, name=f"{name}_fixed"),
        )
        m.d.comb += value.eq(Mux(self.started, held, free))
        m.d.sync += held.eq(value)
        return value

    def since(self, m: Module, changed: Value, name: str, most: int = MOST) -> Signal:
        """Cycles since it changed, up to ``most``: 0 in the cycle in which it has."""
        count, now = Signal(range(most + 1), name=name), Signal(range(most + 1), name=f"{name}_now")
        m.d.comb += now.eq(Mux(changed, 0, count))
        m.d.sync += count.eq(Mux(now == most, most, now + 1))
        return now

    def age(self, m: Module, quarter: Signal) -> Signal:
        """Cycles since the limits that have been shown last, all of them, began to be shown."""
        age = Signal(range(MOST + 1), init=MOST)
        shown = LAST_LIMIT - FIRST_LIMIT + 1
        m.d.sync += age.eq(Mux(quarter == LAST_LIMIT, shown, Mux(age == MOST, MOST, age + 1)))
        return age

    def before(self, m: Module, value: Value, name: str) -> Signal:
        """The value of the cycle before; 0 in the first one."""
        register = Signal.like(value, name=name)
        m.d.sync += register.eq(value)
        return register


# The warden before the guard.


SAID = ("tile", "width", "once", "source")
"""What a grant says without showing it."""


class WardenSpec(Spec):
    """A warden and a guard; the grant keeps its contract, all else is free."""

    def __init__(self, warden: Warden) -> None:
        self.warden = warden
        self.guard = Guard(GEOMETRY, TIMING, CEILINGS, CLK_HZ, WEIGHING_CYCLES)
        free = {f"warden_{n}": v for n, v in free_inputs(warden, "fe", "standing", "timer").items()}
        free.pop("warden_core_source", None)
        guard = free_inputs(self.guard, "core", "timer", "skipped")
        super().__init__(
            free | {f"guard_{n}": v for n, v in guard.items()}, shown=QUARTER_BITS * len(LIMITS)
        )

    def build(self, m: Module) -> None:
        m.submodules.warden, m.submodules.guard = self.warden, self.guard
        wiring.connect(m, self.warden.fe, self.guard.core)
        wiring.connect(m, self.guard.standing, self.warden.standing)
        timer, self.left = self.warden.timer, Signal(40)
        m.d.comb += [timer.busy.eq(self.left != 0), timer.done.eq(self.left == 1)]
        with m.If(timer.start):
            m.d.sync += self.left.eq(Mux(timer.cycles == 0, 1, timer.cycles))
        with m.Elif(timer.stop):
            m.d.sync += self.left.eq(1)
        with m.Elif(self.left != 0):
            m.d.sync += self.left.eq(self.left - 1)
        self.contract(m)

    def contract(self, m: Module) -> None:
        """What a grant says stands while it lasts, and has for two cycles when it begins.

        Its limits are shown one after the other, all of them not long ago.
        """
        drive = self.warden.drive
        said = Cat(*(getattr(drive, name) for name in SAID))
        held = self.before(m, said, "said_before")
        since = Signal(2)
        with m.If(said != held):
            m.d.sync += since.eq(1)
        with m.Elif(since != 3):
            m.d.sync += since.eq(since + 1)
        granted = drive.granted
        m.d.comb += Assume(~granted | ((said == held) & (since >= 2)))
        # The safe state resets the mode engine.
        m.d.comb += Assume(~granted | ~self.before(m, self.guard.safe, "was_safe"))
        self.stood, self.held = since, (said == held)

        quarter = drive.quarter
        for n in range(len(LIMITS)):
            word = self.shown.word_select(n, QUARTER_BITS)
            m.d.comb += Assume((quarter != FIRST_LIMIT + n) | (drive.limit == word))
        was = self.before(m, quarter, "quarter_before")
        later = (quarter > FIRST_LIMIT) & (quarter <= LAST_LIMIT)
        m.d.comb += Assume(~later | (was + 1 == quarter))
        changed = self.shown != self.before(m, self.shown, "shown_before")
        self.shown_since, self.shown_age = self.since(m, changed, "same"), self.age(m, quarter)
        recent = Signal()
        m.d.comb += recent.eq(
            (self.shown_age <= SHOWN_CYCLES) & (self.shown_since >= self.shown_age)
        )
        m.d.comb += Assume(~granted | (recent & self.before(m, recent, "recent_before")))

    def codes(self, m: Module) -> tuple[Signal, Signal]:
        """Codes of RAIL_B and GATE_PROGRAM that have left since the front end was ready."""
        afe = self.guard.afe
        codes = []
        for dac in (Dac.RAIL_B, Dac.GATE_PROGRAM):
            code = Signal(16, init=ZERO, name=f"sent_{dac.name}")
            with m.If(afe.dac.valid & afe.dac.ready & (afe.dac.payload.channel == dac)):
                m.d.sync += code.eq(afe.dac.payload.code)
            with m.If(~afe.ready):
                m.d.sync += code.eq(ZERO)
            m.d.comb += Assert(code == self.guard.codes[dac])
            codes.append(code)
        return codes[0], codes[1]

    def through(self, m: Module) -> Signal:
        """Whether a column's gate is on GATE_ON."""
        afe, update = self.guard.afe, self.guard.update
        group, loaded, through = Signal(SwitchGroup), Signal(), Signal()
        with m.If(afe.switch.valid & afe.switch.ready):
            m.d.sync += [
                group.eq(afe.switch.payload.group),
                loaded.eq(afe.switch.payload.b.any()),
            ]
        with m.If(afe.latch & afe.loaded & (group == SwitchGroup.GATES)):
            m.d.sync += through.eq(loaded)
        with m.If(~afe.ready):
            m.d.sync += through.eq(0)
        m.d.comb += [
            Assert(Value.cast(group) == Value.cast(update.group)),
            Assert(loaded == update.b),
            Assert(through == self.guard.on_on),
        ]
        return through


class DrivesAreWithinTheGrant(WardenSpec):
    """Gate B opens with a grant, on its tile, and within its limits; else it is not open."""

    def check(self, m: Module) -> None:
        warden, guard, drive = self.warden, self.guard, self.warden.drive
        afe = guard.afe
        rail, gate = self.codes(m)
        through = self.through(m)
        low, high, gap_low, gap_high, rail_low, rail_high, polarities = (
            self.shown.word_select(n, QUARTER_BITS) for n in range(len(LIMITS))
        )
        rail_fits, gate_fits, limited = Signal(), Signal(), Signal()
        m.d.comb += [
            rail_fits.eq((rail >= rail_low) & (rail <= rail_high)),
            limited.eq(Mux(rail >= ZERO, polarities[0], polarities[1])),
            gate_fits.eq((gate >= low) & (gate <= high) & ((gate < gap_low) | (gate >= gap_high))),
        ]
        fits = rail_fits & (~limited | (gate_fits & ~through))
        with m.If(afe.gate_b):
            m.d.comb += [
                Assert(drive.granted),
                Assert(afe.tile == drive.tile),
                Assert(rail_fits),
                Assert(~limited | (gate_fits & ~through)),
                Cover((rail == rail_high) & limited & (gate == gap_high)),
                Cover((rail == rail_low) & ~limited & through & (drive.tile == 3)),
            ]
        # What has been shown since the codes changed is what the registers have seen.
        changed = Cat(rail, gate) != self.before(m, Cat(rail, gate), "codes_before")
        codes_since = self.since(m, changed, "codes_same")
        m.d.comb += Assert(codes_since + guard.dac_left >= WEIGHING_CYCLES)
        quarter, age = drive.quarter, self.shown_age
        behind = Signal(range(LAST_LIMIT))
        m.d.comb += behind.eq(quarter - FIRST_LIMIT)
        inside = (quarter > FIRST_LIMIT) & (quarter <= LAST_LIMIT)
        with m.If(inside & (codes_since >= behind) & (self.shown_since >= behind)):
            seen = [quarter > FIRST_LIMIT + n for n in range(len(LIMITS))]
            m.d.comb += [
                Assert(warden.in_range == ((gate >= low) & (~seen[1] | (gate <= high)))),
                Assert(
                    ~seen[2]
                    | (warden.in_gap == ((gate >= gap_low) & (~seen[3] | (gate < gap_high))))
                ),
                Assert(
                    ~seen[4]
                    | (warden.in_rails == ((rail >= rail_low) & (~seen[5] | (rail <= rail_high))))
                ),
            ]
        known = Signal()
        m.d.comb += known.eq((age != MOST) & (codes_since >= age) & (self.shown_since >= age))
        with m.If(known):
            m.d.comb += [
                Assert(warden.rail_fits == rail_fits),
                Assert(warden.gate_fits == gate_fits),
                Assert(warden.limited == limited),
            ]
        # What the guard still waits for is what the registers have not yet seen.
        tile, left = guard.tile, guard.switch_left
        with m.If((left <= 1) & (self.stood >= 1) & self.held):
            m.d.comb += Assert(warden.is_tile == (tile == drive.tile))
        same = known & self.before(m, known, "was_known") & (codes_since != 0)
        with m.If((left == 0) & (self.stood >= 2) & self.held & same & (self.shown_since != 0)):
            m.d.comb += Assert(warden.allowed == (fits & (tile == drive.tile)))
        m.d.comb += Assert(~warden.sourced)


class OpeningsAreShort(WardenSpec):
    """An opening is never longer than the grant says, and not cut before."""

    def check(self, m: Module) -> None:
        warden, drive, afe = self.warden, self.warden.drive, self.guard.afe
        opened, asked = Signal(42), Signal(42)
        # What the warden lets through; the guard may open less, and not more.
        m.d.sync += asked.eq(Mux(warden.fe.gate_b, asked + 1, 0))
        m.d.sync += opened.eq(Mux(afe.gate_b, opened + 1, 0))
        m.d.comb += [
            Assert(~afe.gate_b | (opened <= drive.width)),
            Assert(~warden.fe.gate_b | (asked <= drive.width)),
            Assert(opened <= asked),
            Assert(warden.was_open == (asked != 0)),
            Cover(afe.gate_b & (opened == 5) & (drive.width == 5)),
            Cover(afe.gate_b & (drive.width == 0)),
        ]
        with m.If(warden.was_open & drive.granted & self.still):
            m.d.comb += Assert(
                Mux(warden.blocked, asked == drive.width + 1, asked + self.left == drive.width + 1)
            )

    def contract(self, m: Module) -> None:
        super().contract(m)
        self.still = self.before(m, self.warden.drive.granted, "granted_before")
        brief = self.warden.brief
        with m.If((self.stood >= 1) & self.held):
            m.d.comb += Assert(brief == (self.warden.drive.width == 0))


class ThereIsOneOpening(WardenSpec):
    """In a write-once mode gate B opens once at most while a grant lasts."""

    def check(self, m: Module) -> None:
        warden, drive, afe = self.warden, self.warden.drive, self.guard.afe
        was_open, openings = Signal(), Signal(2)
        m.d.sync += was_open.eq(afe.gate_b)
        opens = afe.gate_b & ~was_open
        with m.If(~drive.granted):
            m.d.sync += openings.eq(0)
        with m.Elif(opens & (openings != 3)):
            m.d.sync += openings.eq(openings + 1)
        closed = (openings == 1) & ~was_open
        m.d.comb += [
            Assert(~(opens & drive.once & (openings != 0))),
            Assert(~drive.granted | ~drive.once | (openings <= 1)),
            Cover(drive.once & (openings == 1) & ~was_open & warden.core.gate_b),
            Cover(~drive.once & (openings == 2)),
        ]
        # What has closed is blocked until the grant ends.
        with m.If(drive.once & drive.granted & self.before(m, drive.granted, "was_granted")):
            m.d.comb += Assert(~closed | warden.blocked | warden.was_open | self.guard.safe)
        m.d.comb += Assert(~was_open | warden.was_open)


# The mode engine.


class EngineSpec(Spec):
    """A mode engine; a quarter of the profile, a tile and a cell are arbitrary but fixed.

    With ``one``, for what is to be reached and not to hold for ever, there is one
    instruction and no reset.
    """

    def __init__(self, engine: ModeEngine, one: bool = False) -> None:
        self.engine = engine
        self.one = one
        super().__init__(
            free_inputs(engine, "profile_data", "tile_data", "lock_data"),
            reset=1, where=9, value=16, some_tile=2, some_row=3, some_column=3,
            other_quarter=16, other_tile=5, other_lock=1, host=1,
        )  # fmt: skip

    def build(self, m: Module) -> None:
        inner = self.engine.elaborate(None)
        m.submodules.engine = ResetInserter(self.reset)(inner)

    def check(self, m: Module) -> None:
        engine = self.engine
        self.where_fixed, self.value_fixed = self.fixed(m, "where"), self.fixed(m, "value")
        self.its_tile = self.fixed(m, "some_tile")
        # The profile: what is at ``where`` is ``value``, for ever.
        there = self.before(m, engine.profile_address == self.where_fixed, "was_where")
        m.d.comb += engine.profile_data.eq(Mux(there, self.value_fixed, self.other_quarter))
        # Lock bits are free, where a specification does not know better.
        m.d.comb += engine.lock_data.eq(self.other_lock)
        # The mode memory: this tile's word is known, from the reset on.
        self.word = word = Signal(5, init=self.one)  # with one instruction, it is known
        mine = engine.drive.tile == self.its_tile
        with m.If(engine.tile_write & mine):
            m.d.sync += word.eq(engine.tile_value)
        read = Signal(5, init=self.one)
        with m.If(mine):
            m.d.sync += read.eq(word)
        with m.Else():
            m.d.sync += read.eq(self.other_tile)
        m.d.comb += engine.tile_data.eq(read)
        self.mine, self.read = mine, read

        fsm = engine.fsm
        self.at = {name: fsm.state == code for name, code in fsm.encoding.items()}
        m.d.comb += Assert(fsm.state < len(fsm.encoding))
        idle = self.at["IDLE"] & ~engine.drive.granted & ~engine.watching
        # The sequencer's side: nothing changes in an instruction, and one ends before the next.
        word_before = self.before(m, engine.instruction, "instruction_before")
        arm_before = self.before(m, engine.arm, "arm_before")
        was_idle = Signal(init=1)
        m.d.sync += was_idle.eq(self.reset | (idle & ~engine.start & ~engine.ask))
        opcode = engine.instruction[:OPCODE_BITS]
        self.is_op = {op: opcode == op for op in Op}
        asks = self.is_op[Op.PULSE] | self.is_op[Op.SWEEP] | self.is_op[Op.PROGRAM]
        starts = self.is_op[Op.ADOPT] | self.is_op[Op.RESTORE] | self.is_op[Op.MODE]
        m.d.comb += [
            Assume(was_idle | ((word_before == engine.instruction) & (arm_before == engine.arm))),
            Assume(~(engine.start | engine.ask) | idle),
            Assume(~engine.start | (starts & ~engine.ask)),
            Assume(~engine.ask | asks | self.is_op[Op.READ]),
            Assume(engine.drive.tile < GEOMETRY.tiles),
            Assume(~engine.release | self.at["IDLE"] | self.at["ANSWER"]),
            Assume(~engine.run | idle),
            # In every other cycle the instruction is the one that was started.
            Assert(idle | self.at["IDLE"] | asks | self.is_op[Op.READ] | starts),
        ]
        self.idle, self.asks, self.starts = idle, asks, starts
        if self.one:
            begun = Signal(2)
            m.d.sync += begun.eq(Mux(begun == 3, 3, begun + 1))
            m.d.comb += [
                Assume(~self.reset & ~engine.run & ~engine.release),
                Assume((begun == 1) | ~(engine.start | engine.ask)),
                Assume((begun == 0) | (word_before == engine.instruction)),
                Assume((begun == 0) | (arm_before == engine.arm)),
            ]
        self.states(m)
        self.claim(m)

    def claim(self, m: Module) -> None:
        raise NotImplementedError

    def states(self, m: Module) -> None:
        """Helper: which instruction is in which state, and which slot has been loaded."""
        engine, at, is_op = self.engine, self.at, self.is_op
        granted = engine.drive.granted
        recipe = at["ROW"] | at["RECIPE"]
        on_way = at["NEXT"] | at["WAY"] | recipe
        m.d.comb += [
            Assert(~(on_way | (at["LOAD"] & engine.on_way)) | is_op[Op.MODE]),
            Assert(~recipe | (granted & engine.on_way)),
            Assert(~(at["LOCK"] | at["LOCKED"]) | (is_op[Op.PULSE] & ~engine.on_way)),
            Assert(~granted | recipe | at["ANSWER"] | at["IDLE"]),
            Assert(~(granted & at["IDLE"]) | self.asks),
            Assert(~(granted & at["ANSWER"] & self.asks) | ~engine.on_way),
            Assert(~at["WAY"] | engine.on_way),
            Assert(~at["CHECK"] | ~engine.on_way),
            Assert(engine.step <= Mux(at["SUM"] | at["TEST"] | at["LOAD"], STEPS, LAST_LIMIT)),
            Assert(~(at["SUM"] | at["JUDGE"] | at["TEST"]) | is_op[Op.ADOPT]),
            Assert(~at["LOCATE"] | is_op[Op.READ]),
            Assert(~(at["LOCATE"] | at["LOCK"] | engine.watching) | ~engine.on_way),
            Assert(at["IDLE"] | (engine.asking == ~self.starts)),
            Assert(~engine.watching | at["IDLE"] | at["ANSWER"]),
            Assert(~engine.watching | is_op[Op.READ]),
            Assert(~engine.watching | ~granted),
        ]
        # The slot of the last walk, and the fields that it has left.
        self.loaded = loaded = Signal(5)
        with m.If(at["LOAD"]):
            m.d.sync += loaded.eq(engine.slot)
        loads = at["LOAD"]
        m.d.comb += Assert(~loads | (engine.step == 0) | (loaded == engine.slot))
        there = Signal()
        quarter = self.where_fixed[:4]
        slot = Mux(loads & (engine.step == 0), 31, Mux(loads, engine.slot, loaded))
        taken = ~loads | (engine.step > quarter + 1)
        inside = (
            loads | at["CHECK"] | on_way | at["LOCK"] | at["LOCKED"]
            | granted | engine.watching | at["LOCATE"]
        )  # fmt: skip
        m.d.comb += there.eq((self.where_fixed[4:] == slot) & taken & inside & ~at["NEXT"])
        self.there = there
        with m.If(there), m.Switch(quarter):
            with m.Case(0):
                m.d.comb += Assert(engine.head[:16] == self.value_fixed)
            with m.Case(1):
                m.d.comb += Assert(engine.head[16:] == self.value_fixed[:8])
        # What is shown in a grant is of that slot.
        asked = self.before(m, engine.profile_address, "address_before")
        shows = granted | at["CHECK"] | at["LOCK"] | at["LOCKED"] | at["WAY"]
        with m.If(shows | (loads & (engine.step != 0))):
            m.d.comb += Assert(asked == Cat(engine.drive.quarter, engine.slot))
            m.d.comb += Assert(loaded == engine.slot)
        # A grant that is no recipe's is of the mode of its tile.
        mode = engine.tile_data[2:]
        standing = (
            loads | at["CHECK"] | at["LOCK"] | at["LOCKED"] | at["LOCATE"]
            | engine.watching | (granted & ~recipe & self.asks)
        ) & ~engine.on_way  # fmt: skip
        m.d.comb += [
            Assert(~(standing | on_way | loads) | engine.adopted),
            Assert(~loads | (engine.slot == FIRST_MODE + mode) | engine.on_way | ~self.mine),
        ]
        with m.If(standing & self.mine):
            m.d.comb += [
                Assert(self.read == self.word),
                Assert(self.word[:2] == 1),
                Assert(loads | (loaded == FIRST_MODE + mode)),
            ]
        way = (on_way | (loads & engine.on_way)) & self.mine
        m.d.comb += [
            Assert(~way | (self.word[:2] == Mux(recipe, 3, 1))),
            Assert(~way | (self.read[2:] == self.word[2:])),
            Assert(~(way & ~recipe) | (self.read == self.word)),
        ]
        # The header's numbers, and so the slots, are never beyond the profile.
        walks = at["SUM"] | at["JUDGE"] | at["TEST"]
        few = (engine.modes <= MODE_SLOTS) & (engine.ways <= WAY_SLOTS)
        counted = at["JUDGE"] | (at["SUM"] & ((engine.slot != 0) | (engine.step > 2)))
        last_way = FIRST_WAY + engine.ways
        m.d.comb += [
            Assert(~walks | ~engine.holds),
            Assert(~is_op[Op.ADOPT] | walks | at["IDLE"] | at["ANSWER"]),
            Assert(~(engine.holds | at["TEST"] | (counted & ~engine.wrong)) | few),
            Assert(~(at["NEXT"] | at["WAY"]) | (engine.slot <= last_way)),
            Assert(~(loads & engine.on_way) | (engine.slot < last_way)),
        ]
        self.recipe, self.standing = recipe, standing


class AGrantStands(EngineSpec):
    """What a grant says has stood for two cycles when it begins, and stands while it lasts."""

    def claim(self, m: Module) -> None:
        engine, drive, at = self.engine, self.engine.drive, self.at
        limits = Cat(*(getattr(drive, name) for name in SAID))
        held = self.before(m, limits, "limits_before")
        since = Signal(2)
        with m.If(limits != held):
            m.d.sync += since.eq(1)
        with m.Elif(since != 3):
            m.d.sync += since.eq(since + 1)
        # Its slot's limits are shown from first to last.
        quarter, asked = drive.quarter, self.before(m, engine.slot, "slot_before")
        was = self.before(m, quarter, "quarter_before")
        later = (quarter > FIRST_LIMIT) & (quarter <= LAST_LIMIT)
        changed = asked != self.before(m, asked, "slot_before_that")
        same, age = self.since(m, changed, "same"), self.age(m, quarter)
        recent = Signal()
        m.d.comb += recent.eq((age <= SHOWN_CYCLES) & (same >= age))
        m.d.comb += Assert(~later | (was + 1 == quarter))
        m.d.comb += Assert(~drive.granted | (recent & self.before(m, recent, "recent_before")))
        step = engine.step
        with m.If(at["LOAD"] & (step != 0)):
            m.d.comb += [
                Assert((asked == engine.slot) & (quarter + 1 == step) & (same + 1 >= step)),
                Assert((step <= LAST_LIMIT + 1) | (age == step - FIRST_LIMIT - 1)),
            ]
        looked = at["CHECK"] | at["LOCK"] | at["LOCKED"] | at["WAY"]
        with m.If(drive.granted | looked):
            again = (step == FIRST_LIMIT) & (quarter == LAST_LIMIT)
            first = (step == FIRST_LIMIT) & (quarter == 0)
            m.d.comb += [
                Assert((step >= FIRST_LIMIT) & (asked == engine.slot) & (same >= age)),
                Assert(same + 1 >= STEPS),
                Assert(again | first | (quarter + 1 == step)),
                Assert(age + LAST_LIMIT + 1 <= SHOWN_CYCLES + Mux(again, LAST_LIMIT + 1, step)),
            ]
        with m.If(drive.granted):
            m.d.comb += [
                Assert(limits == held),
                Assert(since >= 2),
                Cover(self.recipe),
                Cover(drive.once),
                Cover(~drive.once & ~self.recipe),
            ]
        m.d.comb += Assert(~(at["LOCK"] | at["LOCKED"]) | ((since >= 2) & (limits == held)))


class AGrantIsOfTheTilesMode(EngineSpec):
    """The limits of a grant are those that the profile has for the mode of its tile.

    In a recipe they are those of the way that was loaded last.
    """

    def claim(self, m: Module) -> None:
        drive = self.engine.drive
        slot, quarter = self.where_fixed[4:], self.where_fixed[:4]
        value = self.value_fixed
        its_mode = drive.granted & ~self.recipe & self.asks & self.mine
        with m.If(its_mode & (slot == FIRST_MODE + self.word[2:])):
            shown = (quarter == drive.quarter) & (quarter >= FIRST_LIMIT) & (quarter <= LAST_LIMIT)
            m.d.comb += [
                Assert(~shown | (drive.limit == value)),
                Assert((quarter != 0) | (drive.once == value[3])),
                Assert((quarter != 0) | (drive.source == value[5])),
                Cover(shown & (drive.limit == 0x1234)),
            ]


class NothingWithoutAProfile(EngineSpec):
    """There is no grant before an ``ADOPT`` has succeeded, nor of a tile of no known mode."""

    def claim(self, m: Module) -> None:
        engine = self.engine
        adopted = Signal(init=engine.holds.init)
        # It holds what it has found even where a reset keeps it from saying so.
        ends = self.at["TEST"] & (engine.slot == LAST_SLOT) & (engine.step == STEPS)
        says = engine.done & (engine.found == 0) & self.is_op[Op.ADOPT]
        with m.If(says | (self.reset & ends)):
            m.d.sync += adopted.eq(1)
        granted = engine.drive.granted
        # It holds from the cycle in which it answers on.
        m.d.comb += [
            Assert(~granted | adopted),
            Assert(~(granted & self.mine) | self.word[0]),
            Assert(~engine.holds | adopted | (self.at["ANSWER"] & self.is_op[Op.ADOPT])),
            Cover(granted & self.recipe),
            Cover(granted & self.asks),
        ]
        m.d.comb += Assert(~(self.at["ANSWER"] & self.is_op[Op.ADOPT]) | ~granted)


class AfterAFaultNothingIsDriven(EngineSpec):
    """A change that was broken off leaves a tile that is not driven before its RESTORE."""

    def claim(self, m: Module) -> None:
        engine = self.engine
        mine, granted = self.mine, engine.drive.granted
        broken = Signal()
        breaks = (self.at["RECIPE"] & engine.pulse_done & engine.pulse_fault) | (
            self.reset & ~engine.tile_write
        )
        with m.If(mine & self.recipe & breaks):
            m.d.sync += broken.eq(1)
        with m.If(mine & engine.tile_write & self.is_op[Op.RESTORE]):
            m.d.sync += broken.eq(0)
        m.d.comb += [
            Assert(~(broken & granted & mine)),
            Assert(~broken | self.word[1]),
            Cover(broken & self.at["ANSWER"]),
        ]
        with m.If(granted & mine & self.asks):
            m.d.comb += Assert(~self.word[1])


class AnIrreversibleWayIsArmed(EngineSpec):
    """The recipe of an irreversible way starts only with its key in ``Reg.ARM``."""

    def claim(self, m: Module) -> None:
        engine = self.engine
        restore = operands(engine.instruction, Op.RESTORE)
        key = Cat(restore["mode"], Const(0, 1), restore["tile"], Const(ARM_KEY, 16))
        way = self.where_fixed[4:]
        irreversible = (self.where_fixed[:4] == 0) & self.value_fixed[7]
        armed = engine.arm == key
        m.d.comb += [
            Assert(~(self.recipe & (self.loaded == way) & irreversible) | armed),
            Assert(~self.recipe | (self.loaded >= FIRST_WAY)),
            Assert(~engine.recipe_start | self.recipe),
            Cover(engine.recipe_start & irreversible & (self.loaded == way)),
            Cover(engine.recipe_start & ~armed),
        ]
        with m.If(self.recipe & (self.loaded == way) & (self.where_fixed[:4] == 0)):
            m.d.comb += Assert(engine.head[7] == self.value_fixed[7])
        m.d.comb += Assert(~(self.at["LOAD"] & engine.on_way) | (engine.slot >= FIRST_WAY))
        m.d.comb += Assert(~self.at["NEXT"] | (engine.slot >= FIRST_WAY))
        m.d.comb += Assert(~self.at["WAY"] | (self.loaded >= FIRST_WAY))


class AWriteOnceCellIsOpenedOnce(EngineSpec):
    """Each grant that has a write-once cell in it uses up one "unwritten" of that cell.

    The host or a read says "unwritten" again only by setting the cell's lock bit; and a
    grant has one opening (``ThereIsOneOpening``).
    """

    def claim(self, m: Module) -> None:
        engine, at = self.engine, self.at
        its_row, its_column = self.fixed(m, "some_row"), self.fixed(m, "some_column")
        address = Cat(its_column, its_row, self.its_tile)
        asked = Signal(16)
        m.d.sync += asked.eq(engine.lock_address)
        bit, unwritten = Signal(), Signal()
        hit = engine.lock_address == address
        read = Signal()
        m.d.sync += read.eq(Mux(hit, bit, self.other_lock))
        m.d.comb += engine.lock_data.eq(read)
        with m.If(engine.lock_write & hit):
            m.d.sync += bit.eq(engine.lock_value)
            with m.If(engine.lock_value):
                m.d.sync += unwritten.eq(1)
        with m.Elif(self.host & self.idle):
            m.d.sync += [bit.eq(1), unwritten.eq(1)]

        pulse = operands(engine.instruction, Op.PULSE)
        along = Mux(pulse["down"], its_row - pulse["row"], its_column - pulse["column"])
        offset = Signal(10)
        on_line = Mux(pulse["down"], its_column == pulse["column"], its_row == pulse["row"])
        after = Mux(pulse["down"], its_row >= pulse["row"], its_column >= pulse["column"])
        m.d.comb += offset.eq(along)
        covered = self.mine & on_line & after & (offset < pulse["count"])
        granted = engine.drive.granted
        was_granted = self.before(m, granted, "was_granted")
        begins = granted & ~was_granted & engine.drive.once & covered & self.asks
        with m.If(begins):
            m.d.sync += unwritten.eq(0)
        m.d.comb += [
            Assert(~begins | unwritten),
            Assert(~begins | ~bit),
            Assert(~bit | unwritten),
            Cover(begins & (pulse["count"] == 2)),
        ]
        # The walk: so many are behind it, each of them unlocked; then each is cleared.
        done = Signal(10)
        m.d.comb += done.eq(
            Mux(pulse["down"], engine.row - pulse["row"], engine.column - pulse["column"])
        )
        walk = at["LOCK"] | at["LOCKED"]
        with m.If(walk):
            still = Mux(pulse["down"], engine.column == pulse["column"], engine.row == pulse["row"])
            m.d.comb += [
                Assert(still),
                Assert((done + engine.remaining)[:10] == pulse["count"]),
                Assert((engine.remaining != 0) | (pulse["count"] == 0)),
                Assert(done < 256),
                Assert((engine.row < 512) & (engine.column < 512)),
                Assert(~covered | (offset >= done) | unwritten),
                Assert(~covered | ~engine.clearing | unwritten),
                Assert(~covered | ~engine.clearing | (offset >= done) | ~bit),
            ]
        with m.If(at["LOCKED"]):
            m.d.comb += Assert(asked == engine.lock_address)
            with m.If(hit):
                m.d.comb += Assert(read == bit)
        m.d.comb += Assume(pulse["count"] != 0)
        with m.If(granted & engine.drive.once & self.asks & at["ANSWER"]):
            m.d.comb += Assert(~covered | ~bit)


class AWriteOnceModeIsOnlyPulsed(EngineSpec):
    """In a write-once mode there is a grant for a single pulse only, and no way leaves it."""

    def claim(self, m: Module) -> None:
        engine = self.engine
        its_mode = self.mine & (
            self.where_fixed == Cat(Const(0, 4), (FIRST_MODE + self.word[2:])[:5])
        )
        once = its_mode & self.value_fixed[3]
        granted = engine.drive.granted
        m.d.comb += [
            Assert(~(granted & once & self.asks) | (engine.drive.once & self.is_op[Op.PULSE])),
            Assert(~(self.recipe & once)),
            Cover(granted & once & self.asks),
            Cover(self.recipe & its_mode),
        ]
        on_way = self.at["NEXT"] | self.at["WAY"] | self.recipe | (self.at["LOAD"] & engine.on_way)
        m.d.comb += Assert(~(on_way & once))


# Wardens and engines with a planted fault.


class Blind(Warden):
    """A planted fault: one comparison is overlooked."""

    def __init__(self, geometry: Geometry, overlooked: str) -> None:
        super().__init__(geometry)
        self.overlooked = overlooked

    def _compare(self, m: Module) -> None:
        super()._compare(m)
        m.d.sync += getattr(self, self.overlooked).eq(1)


class Ungranted(Warden):
    """A planted fault: the end of a grant is seen a cycle late."""

    def _passes(self) -> Value:
        return self.core.gate_b & self.allowed & ~self.blocked


class Slack(Warden):
    """A planted fault: an opening is cut a cycle late."""

    def elaborate(self, platform: object) -> Module:
        m = super().elaborate(platform)
        m.d.comb += self.timer.cycles.eq(Mux(self.fe.gate_b, self.drive.width + 1, 1))
        return m


class Often(Warden):
    """A planted fault: what has closed may open again."""

    def elaborate(self, platform: object) -> Module:
        m = super().elaborate(platform)
        with m.If(~self.core.gate_b):
            m.d.sync += self.blocked.eq(0)
        return m


class Adopted(ModeEngine):
    """One that has adopted a profile of two modes and two ways before its first cycle."""

    def __init__(self, geometry: Geometry) -> None:
        super().__init__(geometry)
        self.holds = Signal(init=1, reset_less=True, name="holds")
        self.modes, self.ways = (
            Signal(4, init=2, reset_less=True, name=name) for name in ("modes", "ways")
        )


class Faulty(Adopted):
    """A planted fault in one state of the engine, named by ``at``."""

    def __init__(self, geometry: Geometry, fault: str) -> None:
        super().__init__(geometry)
        self.planted = fault
        if fault == "unadopted":
            self.holds = Signal(reset_less=True, name="holds")

    def elaborate(self, platform: object) -> Module:
        m = super().elaborate(platform)
        at = {name: self.fsm.state == code for name, code in self.fsm.encoding.items()}
        goes = {name: self.fsm.state.eq(code) for name, code in self.fsm.encoding.items()}
        drive = self.drive
        match self.planted:
            case "early":  # the grant begins before its limits have stood
                with m.If(at["LOAD"] & (self.step == STEPS)):
                    m.d.sync += drive.granted.eq(1)
            case "neighbour":  # the limits are those of the next mode
                with m.If(at["LOOK"]):
                    m.d.sync += self.slot.eq(FIRST_MODE + 1 + self.tile_data[2:])
            case "unadopted":  # nobody asks whether there is a profile
                with m.If(at["LOOK"]):
                    m.d.sync += [goes["ANSWER"], drive.granted.eq(1)]
            case "broken":  # the fault is written only at the recipe's end
                with m.If(at["WAY"]):
                    m.d.comb += self.tile_write.eq(0)
            case "unarmed":  # any key will do
                with m.If(at["WAY"] & (self.arm != 0)):
                    m.d.sync += [goes["ROW"], drive.granted.eq(1)]
            case "unlocked":  # only the first lock bit is looked at
                with m.If(at["LOCKED"] & ~self.clearing & self.lock_data):
                    m.d.sync += [goes["LOCK"], self.clearing.eq(1)]
            case "uncleared":  # lock bits stay
                m.d.comb += self.clear.eq(0)
            case "leaving":  # a way leaves a write-once mode
                with m.If(at["CHECK"] & (self.instruction[:OPCODE_BITS] == Op.MODE)):
                    m.d.sync += goes["NEXT"]
            case "programming":  # PROGRAM is not looked at
                with m.If(at["CHECK"] & (self.instruction[:OPCODE_BITS] == Op.PROGRAM)):
                    m.d.sync += [goes["ANSWER"], drive.granted.eq(1)]
        return m


WARDEN = {DrivesAreWithinTheGrant: 4, OpeningsAreShort: 3, ThereIsOneOpening: 3}
ENGINE = {
    AGrantStands: 4,
    AGrantIsOfTheTilesMode: 3,
    NothingWithoutAProfile: 3,
    AfterAFaultNothingIsDriven: 3,
    AnIrreversibleWayIsArmed: 3,
    AWriteOnceCellIsOpenedOnce: 3,
    AWriteOnceModeIsOnlyPulsed: 3,
}
"""Depth of the induction of each specification."""
SPECS = WARDEN | ENGINE
COVER_DEPTH = 16 + WEIGHING_CYCLES
"""Of the warden's specifications."""
GRANT_DEPTH, RECIPE_DEPTH = 32, 48
"""Of the engine's, whose walks take their time."""
RECIPES = (
    AGrantStands, NothingWithoutAProfile, AfterAFaultNothingIsDriven, AnIrreversibleWayIsArmed,
    AWriteOnceModeIsOnlyPulsed,
)  # fmt: skip

FAULTS = [
    *((DrivesAreWithinTheGrant, Blind, name) for name in ("rail_fits", "gate_fits", "is_tile")),
    (DrivesAreWithinTheGrant, Ungranted, None),
    (OpeningsAreShort, Slack, None),
    (ThereIsOneOpening, Often, None),
    (AGrantStands, Faulty, "early"),
    (AGrantIsOfTheTilesMode, Faulty, "neighbour"),
    (NothingWithoutAProfile, Faulty, "unadopted"),
    (AfterAFaultNothingIsDriven, Faulty, "broken"),
    (AnIrreversibleWayIsArmed, Faulty, "unarmed"),
    (AWriteOnceCellIsOpenedOnce, Faulty, "unlocked"),
    (AWriteOnceCellIsOpenedOnce, Faulty, "uncleared"),
    (AWriteOnceModeIsOnlyPulsed, Faulty, "leaving"),
    (AWriteOnceModeIsOnlyPulsed, Faulty, "programming"),
]
FAST = NothingWithoutAProfile
"""The one whose proof is part of every test run."""


def reach(spec: type[Spec]) -> int:
    """Cycles in which what it speaks of comes about."""
    if spec in WARDEN:
        return COVER_DEPTH
    return RECIPE_DEPTH if spec in RECIPES else GRANT_DEPTH


def reaching(spec: type[Spec], kind: type, fault: str | None = None) -> Spec:
    """A specification of something, faulty or not, that is to reach what it speaks of."""
    thing = kind(GEOMETRY) if fault is None else kind(GEOMETRY, fault)
    return spec(thing) if spec in WARDEN else spec(thing, one=True)


def cases(fast: type[Spec] | None = None) -> list:
    return [
        pytest.param(spec, id=spec.__name__, marks=() if spec is fast else pytest.mark.slow)
        for spec in SPECS
    ]


@pytest.mark.parametrize("spec", cases(FAST))
def test_it_holds_for_ever(assert_formal, spec):
    kind = Warden if spec in WARDEN else ModeEngine
    assert_formal(spec(kind(GEOMETRY)), depth=SPECS[spec])


@pytest.mark.parametrize("spec", cases())
def test_what_it_speaks_of_can_happen(assert_formal, spec):
    assert_formal(
        reaching(spec, Warden if spec in WARDEN else Adopted), depth=reach(spec), mode="cover"
    )


@pytest.mark.parametrize(
    ("spec", "kind", "fault"),
    [
        pytest.param(
            spec,
            kind,
            fault,
            id="-".join(filter(None, [spec.__name__, kind.__name__, fault])),
            marks=pytest.mark.slow,
        )
        for spec, kind, fault in FAULTS
    ],
)
def test_it_finds_one_that_does_not(assert_formal, spec, kind, fault):
    with pytest.raises(AssertionError, match="failed assertion"):
        assert_formal(reaching(spec, kind, fault), depth=reach(spec), mode="bmc")


def test_every_specification_has_a_planted_fault():
    assert {spec for spec, _, _ in FAULTS} == set(SPECS)
