"""The mode engine: adopts the profile, knows each tile's mode, and grants drives of cells.

The profile is looked at a quarter of a word at a time, so that one comparison does for
all limits. Before a grant and while it lasts the warden (:mod:`ohmloom.hw.modes.warden`)
is shown the limits of the tile's mode, again and again; there is one set of them, so one
mode at once.
"""

from __future__ import annotations

from typing import Any

from amaranth import Cat, Const, Module, Mux, Signal
from amaranth.hdl import Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..fields import cut, operands
from ..geometry import Geometry
from ..isa import (
    CYCLE_BITS,
    LAYOUTS,
    OPCODE_BITS,
    PULSE_FIELDS,
    RESULT_FIELDS,
    WORD_BITS,
    Op,
)
from ..profile import (
    ARM_KEY,
    HEADER_FIELDS,
    MAGIC,
    MODE_FIELDS,
    MODE_SLOTS,
    PROFILE_QUARTERS,
    QUARTER_BITS,
    QUARTERS,
    SLOT_WORDS,
    VERSION,
    WALK_CYCLES,
    WAY_FIELDS,
    WAY_SLOTS,
    Kind,
    ModeStatus,
    ProfileStatus,
)

TILE_BITS = 5
"""Of a tile's word in the mode memory: known, fault and the mode's number."""
STEPS = SLOT_WORDS * QUARTERS
"""Quarters of a slot, which takes a cycle more to walk."""
FIRST_LIMIT, LAST_LIMIT = QUARTERS, QUARTERS + 6
"""Quarters of a slot that limit codes."""
FIRST_MODE, FIRST_WAY, LAST_SLOT = 1, 1 + MODE_SLOTS, MODE_SLOTS + WAY_SLOTS
"""Slots as the walk counts them; slot 0 is the header."""
HEAD_BITS = sum(field.width for field in WAY_FIELDS)
FAULT_KIND = len(Kind)
"""``kind`` of a tile whose change of mode was broken off."""
GRANTED = (Op.PULSE, Op.SWEEP, Op.PROGRAM, Op.READ)
"""Instructions that ask; the last one is never refused."""
SHOWN_CYCLES = STEPS + LAST_LIMIT - 2 * FIRST_LIMIT + 1
"""From the first limit that is shown until all of them have been shown again, at most: those
of the walk that loads a slot are the first ones."""
GRANT_CYCLES = WALK_CYCLES + 3
"""From ``ask`` to ``answered`` where a mode is looked up and no lock bits are."""


class DriveSignature(wiring.Signature):
    """What the tile that has the grant may be driven with.

    Members
    -------
    granted : Out(1)
        All others are valid, and have been for two cycles at least; the limits have been
        shown once at least, and go on being shown.
    tile : Out
        The tile.
    quarter, limit : Out
        Which quarter of the mode's or way's words is shown, and what it is; from
        :data:`FIRST_LIMIT` to :data:`LAST_LIMIT` they are gate_low, gate_high, gap_low,
        gap_high, rail_low, rail_high and limited of :class:`~ohmloom.hw.profile.Drive`.
    width : Out
        Clock cycles of the longest opening, less one.
    once, source : Out(1)
        There is one opening; the current source may be used.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "granted": Out(1),
                "tile": Out(12),
                "quarter": Out(range(STEPS)),
                "limit": Out(QUARTER_BITS),
                "width": Out(CYCLE_BITS),
                "once": Out(1),
                "source": Out(1),
            }
        )


class ModeEngine(wiring.Component):
    """Executes ``ADOPT``, ``RESTORE`` and ``MODE``, and says what may drive a tile.

    Parameters
    ----------
    geometry : Geometry
        Dimensions of the array.

    Members
    -------
    run : In(1)
        Strobe: a run begins.
    start, done, fault : In(1), Out(1), Out(1)
        Strobes of a mode instruction's start and end; with ``done``, that it was refused.
    ask, answered, permitted : In(1), Out(1), Out(1)
        Strobe: may the instruction drive? Strobe of the answer, and the answer.
    release : In(1)
        Strobe: the instruction has ended, and with it its grant.
    instruction : In(64)
        The instruction, stable from ``start`` or ``ask`` on until it has ended.
    arm : In(32)
        The register of that name.
    profile_address, profile_data : Out, In
        The profile, quarter after quarter (one cycle of read latency, as all of them).
    tile_data, tile_write, tile_value : In, Out, Out
        The mode memory's word of the instruction's tile.
    lock_address, lock_data, lock_write, lock_value
        The lock memory; 1: the cell is known to be unwritten.
    param_address, param_data
        Parameter memory, for the record of a ``PULSE``.
    cell_write, cell_result : In
        What a ``READ`` writes to cell memory, cell after cell.
    automatic : In(1)
        A ``READ`` chooses its range: its codes say nothing of a cell that can be written once.
    recipe, recipe_start : Out(1)
        The pulse engine works for this one, silently; strobe: ``operand`` and ``sweep``.
    operand, sweep : Out
        The pulse engine's operands.
    pulse_done, pulse_fault : In(1)
        Its answer.
    drive : Out(DriveSignature)
        What may drive the granted tile.
    status, found, adopted : Out
        What the last mode instruction of the run said, what ``ADOPT`` found, and whether a
        profile is adopted.
    kind : Out(3)
        :class:`~ohmloom.hw.profile.Kind` of the tile that was looked up last, or
        :data:`FAULT_KIND`.
    active : Out(1)
        It is at work.
    """

    def __init__(self, geometry: Geometry) -> None:
        self.geometry = geometry
        # Internal state, named for proofs.
        self.slot = Signal(range(LAST_SLOT + 2))
        self.step = Signal(range(STEPS + 1))
        self.head = Signal(HEAD_BITS)
        self.fsm: Any = None
        self.on_way, self.watching, self.clearing = Signal(), Signal(), Signal()
        self.clear, self.beyond = Signal(), Signal()
        self.wrong = Signal()
        self.asking, self.remaining = Signal(), Signal(8)
        self.row, self.column = Signal(9), Signal(16 if geometry.verify else 9)
        # Only a configuration resets these; the guard's safe state does not.
        self.modes, self.ways = (
            Signal(4, reset_less=True, name=name) for name in ("modes", "ways")
        )
        self.holds = Signal(reset_less=True)
        self.said = Signal(4, reset_less=True)
        self.saw = Signal(3, reset_less=True)
        operand = {field.name: Out(field.width) for field in LAYOUTS[Op.PULSE]}
        super().__init__(
            {
                "run": In(1),
                "start": In(1),
                "done": Out(1),
                "fault": Out(1),
                "ask": In(1),
                "answered": Out(1),
                "permitted": Out(1),
                "release": In(1),
                "instruction": In(WORD_BITS),
                "arm": In(32),
                "profile_address": Out(range(PROFILE_QUARTERS)),
                "profile_data": In(QUARTER_BITS),
                "tile_data": In(TILE_BITS),
                "tile_write": Out(1),
                "tile_value": Out(TILE_BITS),
                "lock_address": Out(16),
                "lock_data": In(1),
                "lock_write": Out(1),
                "lock_value": Out(1),
                "param_address": Out(16),
                "param_data": In(WORD_BITS),
                "cell_write": In(1),
                "cell_result": In(32),
                "automatic": In(1),
                "recipe": Out(1),
                "recipe_start": Out(1),
                "operand": Out(wiring.Signature(operand)),
                "sweep": Out(1),
                "pulse_done": In(1),
                "pulse_fault": In(1),
                "drive": Out(DriveSignature()),
                "status": Out(4),
                "found": Out(3),
                "adopted": Out(1),
                "kind": Out(3),
                "active": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        geometry, word, drive = self.geometry, self.instruction, self.drive
        rows, columns = geometry.rows, geometry.columns
        opcode = word[:OPCODE_BITS]
        tile = operands(word, Op.RESTORE)["tile"]
        wanted = operands(word, Op.RESTORE)["mode"]
        pulse, read = operands(word, Op.PULSE), operands(word, Op.READ)
        for op in (*GRANTED, Op.MODE):
            assert [field.name for field in LAYOUTS[op]][0] == "tile"
        is_op = {
            op: (opcode == op) & geometry.has(op)
            for op in (*GRANTED, Op.ADOPT, Op.RESTORE, Op.MODE)
        }
        mode = cut(self.head, MODE_FIELDS)
        way = cut(self.head, WAY_FIELDS)
        known, fault, number = self.tile_data[0], self.tile_data[1], self.tile_data[2:]

        asking, sourced, single = self.asking, Signal(), Signal()
        previous = Signal(QUARTER_BITS)
        left = self.remaining
        adding, testing, loading, another = Signal(), Signal(), Signal(), Signal()
        still = Signal()  # no quarter is looked at
        slot, step, row, column = self.slot, self.step, self.row, self.column
        quarter = drive.quarter
        last = Signal()
        m.d.comb += [
            self.active.eq(1),
            self.profile_address.eq(Cat(step[: (STEPS - 1).bit_length()], slot)),
            drive.limit.eq(self.profile_data),
            last.eq(step == STEPS),
            self.adopted.eq(self.holds),
            self.status.eq(self.said),
            self.found.eq(self.saw),
            drive.tile.eq(tile),
            drive.once.eq(mode["write_once"] & ~self.on_way),
            drive.source.eq(mode["source"] & ~self.on_way),
            self.param_address.eq(pulse["param"] + step[0]),
            self.sweep.eq(way["sweep"]),
            self.operand.tile.eq(tile),
            self.operand.row.eq(row),
            self.operand.count.eq(columns),
            self.operand.param.eq(way["param"]),
        ]
        self._locks(m, tile)
        walking = adding | testing | loading
        m.d.sync += [quarter.eq(step), previous.eq(self.profile_data), step.eq(step + 1)]
        with m.If(still | ((adding | testing) & last)):
            m.d.sync += step.eq(0)
        with m.Elif(Mux(walking, last, step == LAST_LIMIT)):
            m.d.sync += step.eq(FIRST_LIMIT)
        with m.If(((adding | testing) & last) | another):
            m.d.sync += slot.eq(slot + 1)
        wrong, nonzero = self._sum(m, adding & (step != 0), quarter, previous)
        bad = self._test(m, testing & (step != 0), quarter, previous)
        self._load(m, loading & (step != 0), quarter)
        with m.If(loading & (step == 1)):
            m.d.sync += sourced.eq(cut(self.param_data, PULSE_FIELDS[0])["source"])
        with m.If(loading & (step == 2)):
            m.d.sync += single.eq(cut(self.param_data, PULSE_FIELDS[1])["pulses"] == 1)

        def answer(status: ModeStatus) -> None:
            m.d.sync += self.said.eq(status)
            m.next = "ANSWER"

        def adopt(found: ProfileStatus) -> None:
            m.d.sync += [self.saw.eq(found), self.holds.eq(found == ProfileStatus.OK)]
            m.next = "ANSWER"

        def grant() -> None:
            m.d.sync += drive.granted.eq(1)
            answer(ModeStatus.OK)

        def keep(fault: int, value: Value) -> None:
            """The tile's word: its mode is known."""
            m.d.comb += [self.tile_write.eq(1), self.tile_value.eq(Cat(1, fault, value))]

        with m.FSM() as self.fsm:
            with m.State("IDLE"):
                m.d.comb += self.active.eq(0)
                m.d.sync += [asking.eq(self.ask), self.on_way.eq(0)]
                m.d.comb += still.eq(~drive.granted)
                with m.If(still):
                    m.d.sync += slot.eq(0)
                with m.If(self.start & is_op[Op.ADOPT]):
                    m.next = "SUM"
                    with m.If(self.holds):
                        m.next = "ANSWER"
                with m.Elif(self.start | self.ask):
                    m.next = "LOOK"
            with m.State("SUM"):
                m.d.comb += adding.eq(1)
                with m.If(last & (slot == LAST_SLOT)):
                    m.next = "JUDGE"
            with m.State("JUDGE"):
                m.d.comb += still.eq(1)
                m.d.sync += slot.eq(FIRST_MODE)
                m.next = "TEST"
                with m.If(nonzero):
                    adopt(ProfileStatus.CHECKSUM)
                with m.If(wrong):
                    adopt(ProfileStatus.HEADER)
            with m.State("TEST"):
                m.d.comb += testing.eq(1)
                with m.If(last):
                    with m.If(bad & (slot < FIRST_WAY)):
                        adopt(ProfileStatus.MODE)
                    with m.Elif(bad):
                        adopt(ProfileStatus.WAY)
                    with m.Elif(slot == LAST_SLOT):
                        adopt(ProfileStatus.OK)

            with m.State("LOOK"):
                m.d.comb += still.eq(1)
                m.d.sync += [slot.eq(FIRST_MODE + number), self.kind.eq(Kind.NONE)]
                m.next = "LOAD"
                with m.If(~known):
                    answer(ModeStatus.UNKNOWN)
                with m.If(fault):
                    m.d.sync += self.kind.eq(FAULT_KIND)
                    answer(ModeStatus.FAULT)
                with m.If(is_op[Op.RESTORE]):
                    answer(ModeStatus.OK)
                    with m.If((wanted >= self.modes) | (known & ~fault & (number != wanted))):
                        answer(ModeStatus.CONTRADICTED)
                    with m.Elif(self.holds):
                        keep(0, wanted)
                with m.If(~self.holds):
                    answer(ModeStatus.NO_PROFILE)
                with m.If(is_op[Op.READ] & (~self.holds | fault | ~known)):
                    answer(ModeStatus.OK)
            with m.State("LOAD"):
                m.d.comb += loading.eq(1)
                with m.If(last):
                    m.next = "CHECK"
                    with m.If(self.on_way):
                        m.next = "WAY"
            with m.State("CHECK"):
                m.d.sync += [
                    self.kind.eq(mode["kind"]),
                    row.eq(pulse["row"]),
                    column.eq(pulse["column"]),
                    left.eq(pulse["count"]),
                    self.clearing.eq(0),
                ]
                with m.If(is_op[Op.READ]):
                    answer(ModeStatus.OK)
                    if geometry.verify:
                        with m.If(mode["write_once"]):
                            m.d.sync += [row.eq(0), column.eq(read["cell"])]
                            m.next = "LOCATE"
                with m.Elif(is_op[Op.MODE]):
                    m.d.sync += slot.eq(FIRST_WAY)
                    m.next = "NEXT"
                    with m.If(mode["write_once"]):
                        answer(ModeStatus.FORBIDDEN)
                with m.Elif(is_op[Op.PROGRAM] & ~mode["verify"]):
                    answer(ModeStatus.FORBIDDEN)
                with m.Elif(is_op[Op.PULSE] & sourced & ~mode["source"]):
                    answer(ModeStatus.FORBIDDEN)
                with m.Elif(~mode["write_once"]):
                    grant()
                with m.Elif(is_op[Op.PULSE] & single):
                    m.next = "LOCK"
                with m.Else():
                    answer(ModeStatus.FORBIDDEN)

            # Lock bits: first all of them are looked at, then all are cleared.
            with m.State("LOCK"):
                m.next = "LOCKED"
            with m.State("LOCKED"):
                m.next = "LOCK"
                m.d.comb += self.clear.eq(self.clearing)
                m.d.sync += left.eq(left - 1)
                with m.If(pulse["down"]):
                    m.d.sync += row.eq(row + 1)
                with m.Else():
                    m.d.sync += column.eq(column + 1)
                with m.If(left == 1):
                    m.d.sync += [
                        self.clearing.eq(1),
                        row.eq(pulse["row"]),
                        column.eq(pulse["column"]),
                        left.eq(pulse["count"]),
                    ]
                    with m.If(self.clearing):
                        grant()
                with m.If(~self.clearing & (self.beyond | ~self.lock_data)):
                    answer(ModeStatus.LOCKED)
            if geometry.verify:
                with m.State("LOCATE"):
                    with m.If(column >= columns):
                        m.d.sync += [column.eq(column - columns), row.eq(row + 1)]
                    with m.Else():
                        m.d.sync += self.watching.eq(1)
                        m.next = "ANSWER"

            # The way from mode to mode.
            with m.State("NEXT"):
                m.d.comb += still.eq(1)
                m.d.sync += self.on_way.eq(1)
                m.next = "LOAD"
                with m.If(slot == FIRST_WAY + self.ways):
                    answer(ModeStatus.NO_WAY)
            with m.State("WAY"):
                m.d.sync += row.eq(0)
                with m.If((way["start"] != number) | (way["to"] != wanted)):
                    m.d.comb += another.eq(1)
                    m.next = "NEXT"
                with m.Elif(way["irreversible"] & (self.arm != self._key(tile, wanted))):
                    answer(ModeStatus.UNARMED)
                with m.Else():
                    keep(1, number)
                    m.d.sync += [
                        drive.granted.eq(1),
                        self.said.eq(ModeStatus.FAULT),
                        self.kind.eq(FAULT_KIND),
                        self.recipe.eq(1),
                    ]
                    m.next = "ROW"
            with m.State("ROW"):
                m.d.comb += self.recipe_start.eq(1)
                m.next = "RECIPE"
            with m.State("RECIPE"):
                m.d.comb += self.active.eq(0)
                with m.If(self.pulse_done):
                    m.d.sync += row.eq(row + 1)
                    m.next = "ROW"
                    with m.If(self.pulse_fault):
                        m.d.sync += drive.granted.eq(0)
                        m.next = "ANSWER"
                    with m.Elif(row == rows - 1):
                        keep(0, wanted)
                        answer(ModeStatus.OK)

            with m.State("ANSWER"):
                m.d.sync += self.recipe.eq(0)
                good = (self.said == ModeStatus.OK) & (self.saw == ProfileStatus.OK)
                m.d.comb += [
                    self.answered.eq(asking),
                    self.permitted.eq(asking & good),
                    self.done.eq(~asking),
                    self.fault.eq(~asking & ~good),
                ]
                with m.If(~asking):
                    m.d.sync += drive.granted.eq(0)
                m.next = "IDLE"
        with m.If(self.release):
            m.d.sync += [drive.granted.eq(0), self.watching.eq(0)]
        with m.If(self.run):
            m.d.sync += [self.said.eq(ModeStatus.OK), self.saw.eq(ProfileStatus.OK)]
        return m

    def _key(self, tile: Value, to: Value) -> Value:
        """:func:`~ohmloom.hw.profile.arm_key`."""
        return Value.cast(Cat(to, Const(0, 1), tile, Const(ARM_KEY, 16)))

    def _locks(self, m: Module, tile: Value) -> None:
        """One lock bit at a time: that of (tile, row, column)."""
        row_bits, column_bits = self.geometry.lock_bits
        tiles = self.geometry.lock_tiles
        rows, columns = self.geometry.rows, self.geometry.columns
        result = cut(self.cell_result, RESULT_FIELDS)
        unwritten = cut(self.head, MODE_FIELDS)["unwritten"]
        reads = self.watching & self.cell_write
        certain = ~result["saturated"] & ~self.automatic
        untouched = (result["code"] <= unwritten) & certain
        m.d.comb += [
            self.beyond.eq((self.row >= rows) | (self.column >= columns) | (tile >= tiles)),
            self.lock_address.eq(Cat(self.column[:column_bits], self.row[:row_bits], tile)),
            self.lock_value.eq(~self.clear),
            self.lock_write.eq((self.clear | (reads & untouched)) & ~self.beyond),
        ]
        with m.If(reads):
            m.d.sync += self.column.eq(self.column + 1)
            with m.If(self.column == columns - 1):
                m.d.sync += [self.column.eq(0), self.row.eq(self.row + 1)]

    def _sum(
        self, m: Module, taken: Value, quarter: Signal, previous: Signal
    ) -> tuple[Signal, Value]:
        """Whether the header is wrong, and whether the sum is, once all has been taken.

        The sum begins at -1 less the header's checksum and ends at -1.
        """
        data = self.profile_data
        wrong, total = self.wrong, Signal(32)
        header = {field.name: field for field in HEADER_FIELDS}
        assert [header[name].width for name in ("magic", "version", "modes", "ways")] == [
            16,
            8,
            4,
            4,
        ]
        version, modes, ways = data[:8], data[8:12], data[12:]
        pair = Cat(previous, data)
        in_header = self.slot == 0
        with m.If(taken):
            with m.If(in_header & (quarter == 0)):
                m.d.sync += wrong.eq(data != MAGIC)
            with m.If(in_header & (quarter == 1)):
                m.d.sync += [self.modes.eq(modes), self.ways.eq(ways)]
                with m.If((version != VERSION) | (modes > MODE_SLOTS) | (ways > WAY_SLOTS)):
                    m.d.sync += wrong.eq(1)
            with m.If(quarter[0]):
                m.d.sync += total.eq(Mux(in_header & (quarter == 3), ~pair, total + pair))
        return wrong, ~total.all()

    def _test(self, m: Module, taken: Value, quarter: Signal, previous: Signal) -> Value:
        """Whether the slot that has been taken is one that counts, and is wrong."""
        data = self.profile_data
        bad, some = Signal(), Signal()
        is_way = self.slot >= FIRST_WAY
        start, to = data[:3], data[3:6]
        kind = data[:3]
        with m.If(taken), m.Switch(quarter):
            with m.Case(0):
                strange = (kind == Kind.NONE) | (kind > max(Kind))
                astray = (start >= self.modes) | (to >= self.modes) | (start == to)
                m.d.sync += bad.eq(Mux(is_way, astray, strange))
            with m.Case(5, 7, 9), m.If(data < previous):
                m.d.sync += bad.eq(1)
            with m.Case(12):
                m.d.sync += some.eq(data.any())
            with m.Case(13):
                m.d.sync += some.eq(some | data.any())
            with m.Case(14), m.If(~(some | data[: CYCLE_BITS % QUARTER_BITS].any())):
                m.d.sync += bad.eq(1)
        used = Mux(is_way, self.slot < FIRST_WAY + self.ways, self.slot < FIRST_MODE + self.modes)
        return bad & used

    def _load(self, m: Module, taken: Value, quarter: Signal) -> None:
        """The slot's first word; its width less one, a quarter at a time."""
        data, drive = self.profile_data, self.drive
        borrow, less = Signal(), Signal(QUARTER_BITS + 1)
        m.d.comb += less.eq(data - borrow)
        width = [drive.width[at : at + QUARTER_BITS] for at in range(0, CYCLE_BITS, QUARTER_BITS)]
        with m.If(taken), m.Switch(quarter):
            with m.Case(0):
                m.d.sync += [self.head[:QUARTER_BITS].eq(data), borrow.eq(1)]
            with m.Case(1):
                m.d.sync += self.head[QUARTER_BITS:].eq(data)
            for n, part in enumerate(width, start=3 * QUARTERS):
                with m.Case(n):
                    m.d.sync += [part.eq(less), borrow.eq(less[-1])]
