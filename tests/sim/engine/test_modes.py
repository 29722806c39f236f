"""Modes in the numpy engine: every status, the warden's limits, and what is left untouched."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ohmloom.compiler.profile import make_profile
from ohmloom.hw.geometry import Geometry
from ohmloom.hw.image import Image, LayerSpan, Span
from ohmloom.hw.isa import (
    LIMIT_NEGATIVE,
    LIMIT_POSITIVE,
    Dac,
    Instruction,
    Op,
    Reg,
    Staircase,
    Train,
    instruction,
    pack_level,
    pack_pulse,
    pack_sweep,
)
from ohmloom.hw.profile import (
    Drive,
    Kind,
    ModeRecord,
    ModeStatus,
    Profile,
    ProfileStatus,
    TileMode,
    WayRecord,
    arm_key,
    pack_profile,
)
from ohmloom.sim.array import SimulatedArray
from ohmloom.sim.converters import Converters
from ohmloom.sim.devices import TransitionError, load
from ohmloom.sim.engine import EngineError, NumpyEngine
from ohmloom.sim.engine.modes import ModeRefused, ProfileRefused, Warden, WardenStopped

CARD = Converters()
CLK = 1_000_000
GEOMETRY = Geometry(rows=8, columns=8, tiles=2, program_depth=64, param_depth=256, act_depth=16)
HALT = instruction(Op.HALT)
SET_UP = (
    instruction(Op.ADOPT),
    instruction(Op.DAC, channel=Dac.GATE_ON, code=CARD.gate_on_code),
    HALT,
)


def engine(
    name: str = "all_in_one", profile: tuple[int, ...] | None = None, params=(), setup: bool = True
) -> NumpyEngine:
    """An engine on a fresh array; ``do`` runs instructions on it."""
    device = load(name)
    made = make_profile(device, CARD, CLK)
    image = Image(
        geometry=GEOMETRY,
        code=SET_UP,
        entries={"setup": 0},
        params=np.array([*made.records, *params], np.uint64),
        tiles=2,
        input=Span(0, 1),
        layers=(LayerSpan("none", Span(1, 1)),),
        profile=made.words if profile is None else profile,
    )
    found = NumpyEngine(image, SimulatedArray(device, 2, 8, 8, seed=1), CARD, CLK, seed=1)
    if setup:
        found.setup()
    return found


def do(made: NumpyEngine, *code: Instruction, params: list[int] | None = None) -> None:
    """Run instructions; ``params`` stand at 200."""
    words = np.zeros(256, np.uint64)
    words[: len(made.image.params)] = made.image.params
    if params is not None:
        words[200 : 200 + len(params)] = params
    made.image = replace(
        made.image, code=(*SET_UP, *code, HALT), entries={"setup": 0, "do": 3}, params=words
    )
    made.run("do")


def mode(number: int, tile: int = 0) -> Instruction:
    return instruction(Op.RESTORE, tile=tile, mode=number)


def change(to: int, tile: int = 0) -> Instruction:
    return instruction(Op.MODE, tile=tile, to=to)


def arm(to: int, tile: int = 0) -> Instruction:
    return instruction(Op.SET, reg=Reg.ARM, value=arm_key(tile, to))


def pulse(tile: int = 0, row: int = 0, column: int = 0, count: int = 1, down: int = 0):
    return instruction(
        Op.PULSE, tile=tile, row=row, column=column, count=count, down=down, param=200
    )


def train(volts: float, i_cc: float | None = None, **changes: int) -> list[int]:
    limit = 0 if i_cc is None else LIMIT_POSITIVE if volts >= 0 else LIMIT_NEGATIVE
    gate = 0 if i_cc is None else int(CARD.gate_code(i_cc))
    record = Train(rail=CARD.dac_code(volts), width=5000, gate=gate, limit=limit)
    return pack_pulse(replace(record, **changes))


def state(made: NumpyEngine) -> np.ndarray:
    return np.stack([made.array.g, made.array.pulses, made.array.state.mode])


def refused(made: NumpyEngine, status: ModeStatus, *code: Instruction, params=None) -> None:
    """Refused with this status, and no cell has changed."""
    before = state(made)
    with pytest.raises(ModeRefused) as caught:
        do(made, *code, params=params)
    assert caught.value.status is made.modes.status is status
    assert "is refused" in str(caught.value)
    np.testing.assert_array_equal(state(made), before)


# -- adopting and restoring -----------------------------------------------------------


def test_without_a_profile_nothing_is_driven() -> None:
    made = engine(setup=False)
    refused(made, ModeStatus.NO_PROFILE, pulse(), params=train(1.0))
    refused(made, ModeStatus.NO_PROFILE, mode(0))
    refused(made, ModeStatus.NO_PROFILE, change(1))


@pytest.mark.parametrize(
    ("place", "bit", "found"),
    [(0, 0, ProfileStatus.HEADER), (9, 3, ProfileStatus.CHECKSUM)],
)
def test_a_broken_profile_is_not_adopted(place: int, bit: int, found: ProfileStatus) -> None:
    words = [*make_profile(load("all_in_one"), CARD, CLK).words]
    words[place] ^= 1 << bit
    made = engine(profile=tuple(words), setup=False)
    with pytest.raises(ProfileRefused) as caught:
        made.setup()
    assert caught.value.found is made.modes.found is found
    assert made.modes.profile is None
    refused(made, ModeStatus.NO_PROFILE, pulse(), params=train(1.0))


def test_a_profile_is_adopted_once() -> None:
    made = engine()
    made.modes.words = (0,) * len(made.modes.words)
    made.setup()  # a no-op: the first one holds until the next reset
    assert made.modes.profile is not None
    made.modes.reset()
    with pytest.raises(ProfileRefused):
        made.setup()


def test_a_tile_is_driven_once_its_mode_is_known() -> None:
    made = engine()
    refused(made, ModeStatus.UNKNOWN, pulse(), params=train(-5.0))
    do(made, mode(0), pulse(), params=train(-5.0))
    assert made.array.pulses[0, 0, 0] == 1
    refused(made, ModeStatus.UNKNOWN, pulse(tile=1), params=train(-5.0))
    do(made, mode(0))  # the same again is nothing
    refused(made, ModeStatus.CONTRADICTED, mode(2))
    refused(made, ModeStatus.CONTRADICTED, mode(7, tile=1))  # the device has six modes
    assert made.modes.tiles[:2] == [TileMode(True, False, 0), TileMode()]


# -- changes of mode ------------------------------------------------------------------


def test_an_irreversible_way_wants_its_key_each_time() -> None:
    made = engine()
    do(made, mode(0), mode(0, tile=1))
    refused(made, ModeStatus.UNARMED, change(1))
    refused(made, ModeStatus.UNARMED, arm(2), change(1))  # the key of another mode
    refused(made, ModeStatus.UNARMED, arm(1, tile=1), change(1))  # of another tile
    with pytest.raises(ModeRefused):  # every MODE uses the key up, also that of tile 1
        do(made, arm(1), change(5, tile=1), change(1))
    do(made, arm(1))
    refused(made, ModeStatus.UNARMED, change(1))  # a new run begins without a key
    do(made, arm(1), change(1))
    assert made.registers[Reg.ARM] == 0
    assert made.modes.tiles[0] == TileMode(True, False, 1)
    assert (made.array.state.mode[0] == 1).all() and (made.array.state.mode[1] == 5).all()


def test_there_is_no_way_back_from_power() -> None:
    made = engine()
    do(made, mode(0), arm(1), change(1))
    refused(made, ModeStatus.NO_WAY, change(0))
    refused(made, ModeStatus.NO_WAY, arm(0), change(0))
    do(made, change(2))
    refused(made, ModeStatus.NO_WAY, change(1))
    assert made.modes.tiles[0].mode == 2


def test_a_recipe_takes_its_time_on_every_row() -> None:
    made = engine()
    do(made, mode(0), arm(1), change(1))
    sweep = 3.55 / 0.045  # volts and volts per second
    assert made.array.elapsed_s == pytest.approx(GEOMETRY.rows * sweep, rel=0.02)
    assert made.dac[Dac.RAIL_B] == 0x8000


def test_a_recipe_that_the_device_does_not_take_is_found() -> None:
    """The profile's maker is wrong: ten times as fast."""
    made = engine()
    assert made.modes.profile is not None
    way = made.modes.profile.ways[0]
    words = [int(word) for word in made.image.params[way.param : way.param + 6]]
    words[2] //= 10
    words[1] = words[1] & ~((1 << 40) - 1) | words[2] // 2
    words[3] = words[2] // 2 - 2
    made.image.params[way.param : way.param + 6] = words
    with pytest.raises(TransitionError, match="V/s"):
        do(made, mode(0), arm(1), change(1))
    assert made.modes.tiles[0].fault


def test_a_broken_recipe_leaves_a_fault_that_only_restore_ends() -> None:
    made = engine()
    assert made.modes.profile is not None
    made.image.params[made.modes.profile.ways[0].param + 1] = 0  # a width of 0
    refused(made, ModeStatus.FAULT, mode(0), arm(1), change(1))
    assert made.modes.tiles[0] == TileMode(True, True, 0)
    refused(made, ModeStatus.FAULT, pulse(), params=train(-5.0))
    refused(made, ModeStatus.FAULT, change(3))
    do(made, mode(0), pulse(), params=train(-5.0))


def test_the_warden_holds_a_recipe_to_its_way() -> None:
    made = engine()
    profile = made.modes.profile
    assert profile is not None
    low = replace(profile.ways[0].drive, rail_high=0x8100)
    made.modes.profile = replace(profile, ways=(replace(profile.ways[0], drive=low),))
    with pytest.raises(WardenStopped, match="rail B"):
        do(made, mode(0), arm(1), change(1))
    assert made.modes.tiles[0].fault
    assert (made.array.state.mode == 0).all()


# -- the warden -----------------------------------------------------------------------


def stopped(made: NumpyEngine, told: str, *code: Instruction, params=None) -> None:
    with pytest.raises(WardenStopped, match=told):
        do(made, *code, params=params)
    assert not any(made.registers.values())  # as after a reset
    assert set(made.dac.values()) == {0x8000}
    made.setup()


def test_limits_of_a_mode() -> None:
    made = engine()
    do(made, mode(2), params=[])
    for params, told in (
        (train(10.0 - CARD.dac_lsb, 5e-6), ""),
        (train(7.2), "without a compliance current"),
        (train(7.2, 12e-6), "GATE_PROGRAM at code .*, accepted is"),
        (train(-1.1), "rail B at code"),
    ):
        made.array.set_mode("volatile_direct") if not made.array.state.mode.any() else None
        if told:
            before = state(made)
            stopped(made, told, pulse(), params=params)
            np.testing.assert_array_equal(state(made), before)
        else:
            do(made, pulse(), params=params)


def test_the_gap_between_volatile_and_nonvolatile() -> None:
    made = engine()
    made.array.set_mode("nonvolatile_direct")
    do(made, mode(5), pulse(), params=train(6.0, 501e-6))
    stopped(made, "in the gap", pulse(), params=train(6.0, 300e-6))
    stopped(made, "in the gap", pulse(), params=train(6.0, 101e-6))
    do(made, pulse(), params=train(6.0, 90e-6))  # too little for a filament: harmless
    do(made, pulse(), params=train(-6.0))  # and no limit where none is needed


def test_a_sweep_goes_up_to_the_limit_and_no_step_further() -> None:
    made = engine()
    do(made, mode(0), arm(1), change(1))
    stairs = Staircase(
        start=0x8000, stop=0x8000 + 5 * 2500, step=2500, width=5000, interval=9000, delay=4000
    )
    sweep = instruction(Op.SWEEP, tile=0, row=0, column=0, count=1, down=0, param=200)
    before = made.array.elapsed_s
    stopped(made, "rail B", sweep, params=pack_sweep(stairs))
    # 0x8000 and four steps are within 3.5 V; the fifth did not open.
    openings, gaps = 5 * 5000, 5 * 4000
    assert made.array.elapsed_s - before == pytest.approx((openings + gaps) / CLK)


def test_a_pulse_is_cut_at_the_longest_width() -> None:
    made = engine()
    do(made, mode(0))
    before = made.array.elapsed_s
    stopped(made, "accepted are 1000000", pulse(), params=train(-1.0, width=3 * CLK))
    assert made.array.elapsed_s - before == pytest.approx(1.0)


def test_the_current_source_is_for_stores_only() -> None:
    made = engine()
    words = train(1.0, source=1, inside=1, delay=1000, react=500)
    refused(made, ModeStatus.FORBIDDEN, mode(0), pulse(), params=words)
    do(made, arm(1), change(1), pulse(), params=words)


def test_a_mode_without_programming_refuses_it() -> None:
    made = engine()
    program = instruction(Op.PROGRAM, tile=0, cell=0, count=1)
    tries = instruction(Op.SET, reg=Reg.TRIES, value=1)
    refused(made, ModeStatus.FORBIDDEN, mode(0), tries, program)


def test_programming_stops_at_the_first_cell_beyond_the_limits() -> None:
    """Cells before it are written, it has had its RESET, and those after it nothing."""
    made = engine("cspbbr3_ogb")
    device = made.array.device
    inside, beyond = (int(CARD.gate_code(i)) for i in (100e-6, 300e-6))
    registers = {
        Reg.LEVELS: 200, Reg.TRIES: 1, Reg.SET_CYCLES: 1000, Reg.RESET_CYCLES: 1000,
        Reg.RAIL_SET: CARD.dac_code(device.v_set), Reg.RAIL_RESET: CARD.dac_code(device.v_reset),
    }  # fmt: skip
    code = [instruction(Op.SET, reg=reg, value=value) for reg, value in registers.items()]
    code.append(instruction(Op.DAC, channel=Dac.RAIL_A, code=CARD.read_code(device.v_read)))
    made.cell_memory[:4] = [0, 0, 1, 0]
    levels = [pack_level(gate, -32768, 32767) for gate in (inside, beyond)]
    program = instruction(Op.PROGRAM, tile=0, cell=0, count=4)
    with pytest.raises(WardenStopped, match="GATE_PROGRAM"):
        do(made, mode(0), *code, program, params=levels)
    assert made.array.pulses[0, 0, :5].tolist() == [2, 2, 1, 0, 0]


# -- cells that can be written once ---------------------------------------------------


def once(made: NumpyEngine, *cells: tuple[int, int, int]) -> None:
    """The host's map: these are unwritten."""
    for tile, row, column in cells:
        made.modes.unwritten[GEOMETRY.lock_address(tile, row, column)] = True


WRITE = train(1.0, 1e-3)


def test_a_cell_is_written_once() -> None:
    made = engine("vb1")
    do(made, mode(0))
    refused(made, ModeStatus.LOCKED, pulse(), params=WRITE)
    once(made, (0, 0, 0))
    do(made, pulse(), params=WRITE)
    assert made.array.state.written[0, 0, 0]
    refused(made, ModeStatus.LOCKED, pulse(), params=WRITE)
    made.modes.reset()  # as after configuration
    made.setup()
    refused(made, ModeStatus.LOCKED, mode(0), pulse(), params=WRITE)


def test_all_cells_of_a_pulse_or_none() -> None:
    made = engine("vb2")
    once(made, (0, 2, 3), (0, 2, 4), (0, 4, 3))
    for bad in (pulse(row=2, column=3, count=3), pulse(row=2, column=3, count=3, down=1)):
        refused(made, ModeStatus.LOCKED, mode(0), bad, params=WRITE)
    assert made.modes.unwritten.sum() == 3  # a refusal locks nothing
    do(made, pulse(row=2, column=3, count=2), params=WRITE)
    assert made.modes.unwritten.sum() == 1


@pytest.mark.parametrize("count", [2, 5])
def test_only_one_pulse_drives_them(count: int) -> None:
    made = engine("vb1")
    once(made, (0, 0, 0))
    several = train(1.0, 1e-3, pulses=count, interval=9000)
    refused(made, ModeStatus.FORBIDDEN, mode(0), pulse(), params=several)
    sweep = instruction(Op.SWEEP, tile=0, row=0, column=0, count=1, down=0, param=200)
    stairs = Staircase(start=0x8000, stop=0x8100, step=0x100, width=5000, interval=9000, delay=900)
    refused(made, ModeStatus.FORBIDDEN, sweep, params=pack_sweep(stairs))
    do(made, pulse(), params=WRITE)


def test_the_warden_alone_opens_once() -> None:
    warden = Warden(Drive(0, 0xFFFF, 0, 0, 0, 0xFFFF, 100, 0), once=True)
    assert warden.opening(0x9000, None, 50) == 50
    with pytest.raises(WardenStopped, match="second pulse"):
        warden.opening(0x9000, None, 50)


def test_a_read_unlocks_a_cell_that_says_it_is_unwritten() -> None:
    """No catalogue device has both weights to be read by and cells written once."""
    words = pack_profile(
        Profile(
            (
                ModeRecord(
                    Kind.NONVOLATILE, Drive(0, 0xFFFF, 0, 0, 0, 0xFFFF, CLK, 0),
                    write_once=True, unwritten=50,
                ),
            ),
            (),
        )
    )  # fmt: skip
    made = engine("cspbbr3_ogb", tuple(words))
    rail = instruction(Op.DAC, channel=Dac.RAIL_A, code=CARD.read_code(made.array.device.v_read))
    made.array.pulse([1], 1.0, 1e-3, 200e-6)  # a cell that somebody has written
    read = instruction(Op.READ, tile=0, cell=0, count=3)
    sensors, tias = (instruction(Op.SET, reg=Reg.TIA_RANGE, value=value) for value in (7, 0))
    do(made, rail, read)
    assert not made.modes.unwritten.any()  # the tile's mode is not known
    # A temperature, here one below what says "unwritten", is not a cell's.
    made.converters = made.readout.converters = replace(CARD, celsius=-11.0)
    do(made, mode(0), sensors, read, tias)
    assert made.cell_memory[0] and not made.modes.unwritten.any()
    do(made, mode(0), read)
    assert np.flatnonzero(made.modes.unwritten).tolist() == [0, 2]


def test_a_tile_beyond_the_array_is_refused() -> None:
    made = engine()
    with pytest.raises(EngineError, match="tile"):
        do(made, mode(0, tile=2))


def test_no_way_leaves_a_mode_of_cells_written_once() -> None:
    drive = Drive(0, 0xFFFF, 0, 0, 0, 0xFFFF, CLK, 0)
    modes = (
        ModeRecord(Kind.NONVOLATILE, drive, write_once=True),
        ModeRecord(Kind.VOLATILE, drive),
    )
    words = pack_profile(Profile(modes, (WayRecord(0, 1, drive, 0),)))
    made = engine("vb1", tuple(words))
    refused(made, ModeStatus.FORBIDDEN, mode(0), change(1))
