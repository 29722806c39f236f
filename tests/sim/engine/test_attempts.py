"""Write-verify by a host, attempt by attempt: what ``PROGRAM`` does, without ``PROGRAM``."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ohmloom.compiler.analog import level_words, plan_reads, stuck_spread
from ohmloom.compiler.profile import make_profile
from ohmloom.hw.afe.array_card import front_end_cycles
from ohmloom.hw.geometry import Geometry
from ohmloom.hw.image import Image, Span
from ohmloom.hw.isa import (
    CellStatus,
    Dac,
    Op,
    PulseStatus,
    Reg,
    assemble,
    instruction,
    pack_outcome,
    pack_sample,
    parse,
    unpack_pulse,
    unpack_result,
)
from ohmloom.sim.array import SimulatedArray
from ohmloom.sim.array.lines import Wires
from ohmloom.sim.converters import Converters
from ohmloom.sim.devices import load
from ohmloom.sim.engine import EngineError, NumpyEngine
from ohmloom.sim.engine.attempts import (
    ATTEMPT_WORDS,
    BEGIN_WORDS,
    PULSE_WORDS,
    Attempts,
    AttemptWriter,
    code_of,
)
from ohmloom.sim.engine.modes import WardenStopped

OGB = load("cspbbr3_ogb")
CARD = Converters()
CLK = 48_000_000
WITH = Geometry(rows=8, columns=8, tiles=2, program_depth=64, param_depth=64, act_depth=64)
WITHOUT = replace(WITH, verify=False, wear=False, line=False)
PLAN = plan_reads(OGB, CARD, None)
STUCK_AT = {3: 1e-7, 60: 4e-4}
FRONT_END = front_end_cycles(WITH, CLK)


def image(geometry: Geometry, tries: int = 6, average: int = 2) -> Image:
    """Two tiles on levels; ``PROGRAM`` where the geometry has it."""
    registers = {
        Reg.TRIES: tries,
        Reg.AVERAGE: average,
        Reg.STUCK: stuck_spread(OGB, PLAN.gain, 1 << average),
        Reg.SET_CYCLES: 48_000,
        Reg.RESET_CYCLES: 50_000,
        Reg.RAIL_SET: CARD.dac_code(OGB.v_set),
        Reg.RAIL_RESET: CARD.dac_code(OGB.v_reset),
        Reg.TIA_RANGE: PLAN.tia_range,
    }
    code = [
        instruction(Op.ADOPT),
        instruction(Op.DAC, channel=Dac.RAIL_A, code=CARD.read_code(OGB.v_read)),
        instruction(Op.DAC, channel=Dac.GATE_ON, code=CARD.gate_on_code),
        *(instruction(Op.SET, reg=reg, value=value) for reg, value in registers.items()),
        instruction(Op.HALT),
    ]
    entries = {"setup": 0, "infer": len(code) - 1}
    for tile in range(2 if geometry.verify else 0):
        entries[f"program/{tile}"] = len(code)
        code += [
            instruction(Op.RESTORE, tile=tile, mode=0),
            instruction(Op.PROGRAM, tile=tile, cell=0, count=geometry.cells),
            instruction(Op.HALT),
        ]
    return Image(
        geometry=geometry,
        code=tuple(code),
        entries=entries,
        params=np.array(level_words(OGB, CARD, PLAN.gain), np.uint64),
        tiles=2,
        input=Span(0, 1),
        layers=(),
        profile=make_profile(OGB, CARD, CLK).without_ways().words,
    )


def engine(geometry: Geometry, *, wires: Wires | None = None, **options: Any) -> NumpyEngine:
    array = SimulatedArray(OGB, 2, 8, 8, 5, wires=wires)
    array.stick(list(STUCK_AT), list(STUCK_AT.values()))
    made = NumpyEngine(image(geometry, **options), array, CARD, CLK, 5)
    made.setup()
    return made


def levels(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 32, (2, 8, 8))


def written(geometry: Geometry, **options: Any) -> tuple[NumpyEngine, np.ndarray]:
    made = engine(geometry, **options)
    return made, made.program(levels())


@pytest.mark.parametrize(
    "options", [{}, {"tries": 1}, {"average": 0}, {"wires": Wires(2.0, 2.0), "tries": 1}]
)
def test_cells_end_as_program_leaves_them(options):
    """In lines with resistance too where each cell has one attempt: then the order is the same."""
    (one, wanted), (two, found) = (written(geometry, **options) for geometry in (WITH, WITHOUT))
    assert np.array_equal(wanted, found)
    for tile in range(2):
        assert one.array.tile_state_equal(two.array, tile)
        assert (two.array.pulses[tile] >= 2).all()
    statuses = [unpack_result(int(word))[2] for word in found[0].reshape(-1)]
    stuck = CellStatus.STUCK if options.get("tries") != 1 else CellStatus.NOT_CONVERGED
    assert [statuses[n] for n in STUCK_AT] == [stuck] * len(STUCK_AT)
    assert statuses.count(CellStatus.DONE) > 32


def test_cells_are_written_again_as_by_program():
    engines = [written(geometry)[0] for geometry in (WITH, WITHOUT)]
    first, second = (made.program(levels(1)) for made in engines)
    assert np.array_equal(first, second)
    assert all(engines[0].array.tile_state_equal(engines[1].array, tile) for tile in range(2))


def test_a_gate_code_more_would_be_seen(monkeypatch):
    """A comparison that could not fail would say nothing."""
    plain = AttemptWriter.of.__func__

    def higher(cls, *where):
        writer = plain(cls, *where)
        return replace(writer, table=writer.table + [1, 0, 0])

    wanted, words = written(WITH)
    monkeypatch.setattr(AttemptWriter, "of", classmethod(higher))
    found, others = written(WITHOUT)
    assert not wanted.array.tile_state_equal(found.array, 0)
    assert not np.array_equal(words, others)


def test_cells_that_do_not_converge_are_told(caplog):
    with caplog.at_level(logging.WARNING):
        written(WITHOUT)
    assert "tile 0: 2 of 64 cells did not converge in 6 tries" in caplog.text


def test_a_pulse_beyond_the_modes_limits_is_stopped():
    made = engine(WITHOUT)
    code = list(made.image.code)
    where = next(n for n, i in enumerate(code) if i.op is Op.SET and i["reg"] == Reg.RAIL_SET)
    code[where] = instruction(Op.SET, reg=Reg.RAIL_SET, value=0xFFFF)
    made.image = replace(made.image, code=tuple(code))
    made.setup()
    with pytest.raises(WardenStopped):
        made.program(levels())
    assert not made.array.pulses.any()


def attempts(cells: int, gates: int, seed: int = 0) -> Attempts:
    pulses = AttemptWriter.of(image(WITHOUT), OGB, 1, FRONT_END).pulses
    rng = np.random.default_rng(seed)
    return Attempts(pulses, rng.permutation(64)[:cells], 30_000 + rng.integers(0, gates, cells))


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 64), st.integers(1, 64), st.integers(0, 20), st.integers(0, 44), st.integers(0)
)
def test_programs_make_every_attempt_once_and_fit(cells, gates, code_at, param_at, seed):
    wanted = attempts(cells, gates, seed)
    found = []
    for program in wanted.programs(WITHOUT, code_at, param_at):
        assert code_at + len(program.code) <= WITHOUT.program_depth
        assert param_at + len(program.records) <= WITHOUT.param_depth
        assert parse(assemble(program.code)) == list(program.code)
        records = [
            unpack_pulse(program.records[n : n + PULSE_WORDS])
            for n in range(0, len(program.records), PULSE_WORDS)
        ]
        assert len(program.starts) == len(program.cells) and records[0] == wanted.pulses.reset
        for number, (start, cell) in enumerate(zip(program.starts, program.cells, strict=True)):
            begin = start - code_at + BEGIN_WORDS * (number == 0)
            reset, set_, halt = program.code[begin : begin + ATTEMPT_WORDS]
            for pulse in (reset, set_):
                assert (pulse["tile"], pulse["row"] * 8 + pulse["column"]) == (1, cell)
            assert halt.op is Op.HALT and reset["param"] == param_at
            train = records[(set_["param"] - param_at) // PULSE_WORDS]
            assert replace(train, gate=0) == wanted.pulses.set
            found.append((cell, train.gate))
        assert program.starts[0] == code_at and program.code[0].op is Op.RESTORE
    assert found == list(zip(wanted.cells.tolist(), wanted.gates.tolist(), strict=True))


@pytest.mark.parametrize(("code_at", "param_at"), [(60, 0), (0, 49)])
def test_without_memory_for_an_attempt_it_says_so(code_at, param_at):
    with pytest.raises(EngineError, match="no memory left for the pulses of a host"):
        next(attempts(1, 1).programs(WITHOUT, code_at, param_at))


def test_a_read_comes_when_the_front_end_is_ready():
    pulses = AttemptWriter.of(image(WITHOUT), OGB, 0, FRONT_END).pulses
    least = 3 * FRONT_END.load + FRONT_END.settle[PLAN.tia_range] + 5
    assert least <= pulses.set.after_delay < least + 100
    assert pulses.set.after_spacing == FRONT_END.readout + 1


def test_only_one_sample_that_was_taken_is_a_code():
    assert code_of([pack_outcome(1, PulseStatus.DONE), pack_sample(-5, True)]) == -5
    for samples, status in ((0, PulseStatus.DONE), (1, PulseStatus.LATE)):
        with pytest.raises(EngineError, match=f"ended {status.name} with {samples} samples"):
            code_of([pack_outcome(samples, status), 0])
