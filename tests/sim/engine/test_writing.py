"""Write-verify by a host: pulses from reads alone, on the engine as by its instructions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from ohmloom.compiler.profile import make_profile
from ohmloom.hw.geometry import Geometry
from ohmloom.hw.image import Image, Span
from ohmloom.hw.isa import (
    CellStatus,
    Dac,
    Op,
    Reg,
    assemble,
    instruction,
    pack_level,
    parse,
    unpack_result,
)
from ohmloom.hw.profile import pack_profile, unpack_profile
from ohmloom.sim.array import SimulatedArray
from ohmloom.sim.converters import Converters
from ohmloom.sim.devices import Device, changed, load
from ohmloom.sim.devices.family import LevelPulses, PulseTrain
from ohmloom.sim.engine import EngineError, NumpyEngine
from ohmloom.sim.engine.modes import ModeRefused, WardenStopped
from ohmloom.sim.engine.writing import HOST_WORDS, Trains, Writer

LI = load("all_in_one")


def pulses_of(device: Device) -> LevelPulses:
    """The law of a device that a host writes."""
    assert device.pulses is not None
    return device.pulses


LAW = pulses_of(LI)
CARD = Converters()
CLK = 48_000_000
RANGE = 3
GEOMETRY = Geometry(rows=16, columns=16, tiles=2, program_depth=1024, param_depth=2560)
GAIN = CARD.gain(LI.g_lsb, LI.v_read, RANGE)
STUCK = 250
STUCK_AT = {7: 6e-6, 100: 1e-8}
"""Shorted and open, outside the window of every level."""


def image(device: Device = LI, tries: int = 8) -> Image:
    """Two tiles that are read, with the windows of the levels."""
    half = device.verify_window * device.level_step
    windows = [
        pack_level(0, int((c - half) * float(GAIN)), int((c + half) * float(GAIN)))
        for c in device.level_codes
    ]
    registers = {
        Reg.TRIES: tries,
        Reg.AVERAGE: 5,
        Reg.STUCK: STUCK,
        Reg.TOGETHER: 16,
        Reg.TIA_RANGE: RANGE,
    }
    code = [
        instruction(Op.ADOPT),
        instruction(Op.DAC, channel=Dac.RAIL_A, code=CARD.read_code(device.v_read)),
        instruction(Op.DAC, channel=Dac.GATE_ON, code=CARD.gate_on_code),
        *(instruction(Op.SET, reg=reg, value=value) for reg, value in registers.items()),
        instruction(Op.HALT),
    ]
    entries = {"setup": 0, "infer": len(code) - 1}
    for tile in range(GEOMETRY.tiles):
        entries[f"read/{tile}"] = len(code)
        code += [
            instruction(Op.RESTORE, tile=tile, mode=0),
            instruction(Op.READ, tile=tile, cell=0, count=GEOMETRY.cells),
            instruction(Op.HALT),
        ]
    return Image(
        geometry=GEOMETRY,
        code=tuple(code),
        entries=entries,
        params=np.array(windows, np.uint64),
        tiles=GEOMETRY.tiles,
        input=Span(0, 1),
        layers=(),
        profile=make_profile(device, CARD, CLK).without_ways().words,
    )


def engine(
    device: Device = LI, tries: int = 8, seed: int = 1, stuck: dict[int, float] | None = None
) -> NumpyEngine:
    array = SimulatedArray(device, 2, 16, 16, seed)
    if stuck:
        array.stick(list(stuck), list(stuck.values()))
    made = NumpyEngine(image(device, tries), array, CARD, CLK, seed)
    made.setup()
    return made


def levels(seed: int = 0) -> np.ndarray:
    """Every level eight times, in any order."""
    return np.random.default_rng(seed).permutation(np.repeat(np.arange(32), 8)).reshape(16, 16)


def statuses(words: np.ndarray) -> list[CellStatus]:
    return [unpack_result(int(word))[2] for word in words]


def off(made: NumpyEngine, wanted: np.ndarray) -> np.ndarray:
    """Distance of the cells of tile 0 from their levels, in steps of a level."""
    return (made.array.g[0] - LI.levels[wanted]).ravel() / (LI.level_step * LI.g_lsb)


def test_every_cell_comes_into_its_window():
    wanted, found = levels(), []
    for seed in range(4):
        made = engine(seed=seed)
        words = made.program_tile(0, wanted)
        assert statuses(words) == [CellStatus.DONE] * 256
        tries = np.array([unpack_result(int(word))[1] for word in words])
        # A cell as made is on level 0; half of the others need no second attempt.
        assert (tries.reshape(16, 16)[wanted == 0] == 0).all() and tries.max() <= 4
        # The window is for the read: beyond it lies the noise of one.
        assert np.abs(off(made, wanted)).max() < LI.verify_window + 0.25
        found.append(off(made, wanted))
        assert not made.array.pulses[1].any()
    assert np.std(found) < 0.15


def test_cells_that_are_written_already_are_written_again():
    made = engine()
    made.program_tile(0, levels(0))
    words = made.program_tile(0, levels(1))
    assert statuses(words) == [CellStatus.DONE] * 256
    assert np.abs(off(made, levels(1))).max() < LI.verify_window + 0.25
    pulses = made.array.pulses[0].copy()
    assert statuses(made.program_tile(0, levels(1))).count(CellStatus.DONE) == 256
    # What is inside its window already is not driven, but for what noise takes out of it.
    assert (made.array.pulses[0] != pulses).sum() < 32


def test_open_loop_is_the_first_attempt_alone():
    wanted = levels()
    blind, seeing = engine(tries=1), engine()
    words = blind.program_tile(0, wanted)
    assert {unpack_result(int(word))[1] for word in words} == {1}
    train = LAW.train(np.full(256, LAW.made), LI.levels[wanted.ravel()])
    assert (blind.array.pulses[0].ravel() == train.pulses).all()
    seeing.program_tile(0, wanted)
    assert np.std(off(seeing, wanted)) < np.std(off(blind, wanted)) < 0.6
    assert set(statuses(words)) == {CellStatus.DONE, CellStatus.NOT_CONVERGED}


def test_stuck_cells_are_called_so_and_no_others():
    made = engine(stuck=STUCK_AT)
    words = made.program_tile(0, levels())
    found = {n: status for n, status in enumerate(statuses(words)) if status != CellStatus.DONE}
    assert found == dict.fromkeys(STUCK_AT, CellStatus.STUCK)
    assert all(unpack_result(int(words[cell]))[1] == 8 for cell in STUCK_AT)


def wrong(change: Callable[[PulseTrain], PulseTrain]) -> NumpyEngine:
    """An engine whose device says other pulses than those that its cells need."""
    device = changed(LI)

    def train(g: np.ndarray, target: np.ndarray) -> PulseTrain:
        return change(LAW.train(g, target))

    device.weights = replace(device.programmable, writing=replace(LAW, train=train))
    return engine(device)


def test_a_law_of_the_wrong_sign_does_not_converge():
    wanted = levels()
    made = wrong(lambda train: replace(train, volts=-train.volts))
    # All of them stay as made, which is on level 0.
    expected = np.where(wanted.ravel() == 0, CellStatus.DONE, CellStatus.STUCK)
    assert statuses(made.program_tile(0, wanted)) == list(expected)


def test_a_law_of_much_too_short_pulses_does_not_converge():
    wanted = levels()
    made = wrong(lambda train: replace(train, seconds=train.seconds / 50))
    found = statuses(made.program_tile(0, wanted))
    assert found.count(CellStatus.DONE) < 32 and CellStatus.NOT_CONVERGED in found


def test_the_writer_sees_nothing_but_codes():
    """The same codes give the same pulses, whatever the cells behind them are."""
    targets = LI.levels[[0, 5, 31]]
    unit = LI.g_lsb / float(GAIN)
    writer = Writer(LAW, CARD, CLK, unit, tries=3, stuck=STUCK)
    center = np.rint(targets / unit).astype(np.int64)
    writing = writer.write(np.rint(np.full(3, 1e-7) / unit).astype(int), targets, center, center)
    first = next(writing)
    assert first.cells.tolist() == [1, 2] and (first.rails < 0x8000).all()
    # One too high, the other too low: one pulse of the other sign, some of the same.
    second = writing.send(center + [0, 40, -40])
    assert second.cells.tolist() == [1, 2]
    assert second.rails[0] > 0x8000 > second.rails[1]
    writing.send(center + [0, 0, 7])
    with pytest.raises(StopIteration) as end:
        writing.send(center + [0, 99, 7])
    found = [unpack_result(int(word)) for word in end.value.value]
    assert [status for _, _, status in found] == [
        CellStatus.DONE, CellStatus.DONE, CellStatus.NOT_CONVERGED,
    ]  # fmt: skip
    assert [tries for _, tries, _ in found] == [0, 2, 3]


def by_instructions(made: NumpyEngine, tile: int, trains: Trains) -> None:
    """Drive trains by the program that a host writes."""
    base = made.image
    pulses = list(trains.instructions(tile, 16, len(base.params)))
    code = [instr for pulse in pulses for instr in pulse.code]
    assert len(code) == HOST_WORDS * trains.cells.size
    assert list(parse(assemble(code))) == code
    made.image = replace(
        base,
        code=(*base.code, *code, instruction(Op.HALT)),
        params=np.concatenate(
            (base.params, np.array([word for p in pulses for word in p.record], np.uint64))
        ),
        entries=base.entries | {"host": len(base.code)},
    )
    made.run("host")
    made.image = base


def test_pulses_are_those_of_instructions():
    """What the engine does to many cells at once is a PULSE for each of them."""
    wanted = levels()
    together, alone = engine(), engine()
    words = together.program_tile(0, wanted)
    codes = alone._read_tile(0)
    writing = alone.writing(0, LAW, wanted.ravel(), codes)
    trains = next(writing)
    with pytest.raises(StopIteration) as end:
        while True:
            by_instructions(alone, 0, trains)
            trains = writing.send(alone._read_tile(0))
    assert (end.value.value == words).all()
    assert alone.array.tile_state_equal(together.array, 0)


def test_pulses_beyond_the_profile_are_stopped_before_any():
    for change, words in (
        ({"rail_low": 0x8000 - 0x2000}, r"rail B at code \d+, accepted is 24576.."),
        ({"width_max": 1000}, "a pulse of 240000 cycles, accepted are 1000"),
    ):
        made = engine()
        profile = unpack_profile(made.image.profile)
        drive = replace(profile.modes[0].drive, **change)
        modes = (replace(profile.modes[0], drive=drive), *profile.modes[1:])
        less = replace(made.image, profile=tuple(pack_profile(replace(profile, modes=modes))))
        made = NumpyEngine(less, made.array, CARD, CLK, 1)
        made.setup()
        with pytest.raises(WardenStopped, match=words):
            made.program_tile(0, levels())
        assert not made.array.pulses.any()
        assert made.registers[Reg.TRIES] == 0  # as after a reset


def test_a_tile_that_is_not_restored_is_not_driven():
    made = engine()
    one = np.array([0])
    trains = Trains(one, one + 0x7000, one + 240_000, one + 1)
    with pytest.raises(ModeRefused, match="the mode of the tile is not known"):
        made._drive(1, trains)
    assert not made.array.pulses.any()


def test_levels_that_there_are_not():
    with pytest.raises(EngineError, match=r"levels 0\.\.32 are not all in the table"):
        engine().program_tile(0, np.full((16, 16), 32) * np.eye(16, dtype=int))
