"""A mode engine with its memories, and a profile that has every kind of mode and way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from amaranth import Module
from amaranth.lib import memory, wiring

from ohmloom.hw.geometry import Geometry
from ohmloom.hw.isa import Op, Train, encode, instruction, pack_pulse
from ohmloom.hw.modes.engine import TILE_BITS, ModeEngine
from ohmloom.hw.profile import (
    PROFILE_QUARTERS,
    QUARTER_BITS,
    Drive,
    Kind,
    ModeRecord,
    Profile,
    TileMode,
    WayRecord,
    pack_profile,
    quarters,
)

GEOMETRY = Geometry(rows=8, columns=8, tiles=4, program_depth=16, param_depth=32, act_depth=16)
DRIVE = Drive(
    gate_low=0x8100,
    gate_high=0x9100,
    gap_low=0x8400,
    gap_high=0x8500,
    rail_low=0x7000,
    rail_high=0x9000,
    width_max=0x12_3456_0000,
    limited=1,
)
TIGHT = replace(DRIVE, rail_high=0x8800, width_max=7, limited=3)
ANALOG, ONCE, POWER, VOLATILE = range(4)
PROFILE = Profile(
    (
        ModeRecord(Kind.ANALOG, DRIVE, verify=True),
        ModeRecord(Kind.NONVOLATILE, TIGHT, write_once=True, unwritten=-300),
        ModeRecord(Kind.POWER, TIGHT, source=True),
        ModeRecord(Kind.VOLATILE, TIGHT),
    ),
    (
        WayRecord(VOLATILE, ANALOG, TIGHT, param=9, sweep=False),
        WayRecord(ANALOG, VOLATILE, TIGHT, param=300),
        WayRecord(ANALOG, ONCE, DRIVE, param=12, irreversible=True),
        WayRecord(ANALOG, ONCE, TIGHT, param=13),
        WayRecord(ONCE, ANALOG, TIGHT, param=14),
    ),
)
TRAIN, TWICE, CHARGE = 2, 10, 20
"""Parameter addresses of a train of one pulse, of two, and of one of the current source."""


def params() -> list[int]:
    one = Train(rail=0x8700, width=5, pulses=1)
    words = [0] * GEOMETRY.param_depth
    for at, train in (
        (TRAIN, one),
        (TWICE, replace(one, pulses=2, interval=9)),
        (CHARGE, replace(one, source=1, width=50)),
    ):
        words[at : at + 8] = pack_pulse(train)
    return words


def tile_word(tile: TileMode) -> int:
    return int(tile.known) | tile.fault << 1 | tile.mode << 2


class Lane(wiring.Component):
    """The engine with its memories."""

    def __init__(
        self,
        words: Sequence[int] | None = None,
        tiles: Sequence[TileMode] = (TileMode(),) * GEOMETRY.tiles,
        unlocked: Sequence[tuple[int, int, int]] = (),
        geometry: Geometry = GEOMETRY,
        kind: type[ModeEngine] = ModeEngine,
    ) -> None:
        self.geometry = geometry
        self.engine = kind(geometry)
        locks = [0] * max(1, geometry.lock_depth)
        for cell in unlocked:
            address = geometry.lock_address(*cell)
            assert address is not None
            locks[address] = 1
        content = pack_profile(PROFILE) if words is None else words
        self.profile = memory.Memory(
            shape=QUARTER_BITS, depth=PROFILE_QUARTERS, init=quarters(content)
        )
        self.tiles = memory.Memory(
            shape=TILE_BITS, depth=GEOMETRY.tiles, init=[tile_word(tile) for tile in tiles]
        )
        self.locks = memory.Memory(shape=1, depth=len(locks), init=locks)
        self.params = memory.Memory(shape=64, depth=geometry.param_depth, init=params())
        super().__init__({})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.engine = engine = self.engine
        m.submodules.profile, m.submodules.tiles = self.profile, self.tiles
        m.submodules.locks, m.submodules.params = self.locks, self.params
        for mem, address, data in (
            (self.profile, engine.profile_address, engine.profile_data),
            (self.tiles, engine.drive.tile, engine.tile_data),
            (self.locks, engine.lock_address, engine.lock_data),
            (self.params, engine.param_address, engine.param_data),
        ):
            port = mem.read_port()
            m.d.comb += [port.addr.eq(address), data.eq(port.data)]
        for mem, address, data, write in (
            (self.tiles, engine.drive.tile, engine.tile_value, engine.tile_write),
            (self.locks, engine.lock_address, engine.lock_value, engine.lock_write),
        ):
            port = mem.write_port()
            m.d.comb += [port.addr.eq(address), port.data.eq(data), port.en.eq(write)]
        return m


def word(op: Op, **operands: int) -> int:
    """An instruction, with 0 for what is not given."""
    from ohmloom.hw.isa import LAYOUTS

    known = {field.name: field.minimum for field in LAYOUTS[op]}
    return encode(instruction(op, **known | operands))


@pytest.fixture(scope="session")
def lane() -> type[Lane]:
    """See :class:`Lane`."""
    return Lane
