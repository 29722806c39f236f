"""The numpy engine against the documented arithmetic in Python integers, and against itself."""

import dataclasses
import math
from fractions import Fraction

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from ohmloom.hw.geometry import Geometry
from ohmloom.hw.image import Image, LayerSpan, Span
from ohmloom.hw.isa import (
    CellStatus,
    Dac,
    Op,
    Reg,
    conversion_index,
    instruction,
    pack_level,
    pack_requant,
    unpack_reading,
    unpack_requant,
    unpack_result,
)
from ohmloom.hw.profile import Drive, Kind, ModeRecord, Profile, pack_profile
from ohmloom.sim.array import SimulatedArray
from ohmloom.sim.converters import Converters
from ohmloom.sim.devices import ComplianceError, load
from ohmloom.sim.devices.families import icc_line
from ohmloom.sim.engine import Engine, EngineError, NumpyEngine
from ohmloom.sim.numerics import Domain, draw_normal

GEOMETRY = Geometry(
    rows=8, columns=8, tiles=4, program_depth=64, param_depth=128, act_depth=64, acc_width=32
)
CARD = Converters()
CLK_HZ = 12_000_000
SEED = 77
TILES = 3
MVMS = (  # tile, act, first, rows, planes, signed, clear, shift
    (0, 0, 0, 8, 9, 1, 1, 0),
    (1, 8, 0, 5, 9, 1, 0, 0),  # the second tile in two row groups
    (1, 8, 5, 3, 9, 1, 0, 1),
    (2, 16, 0, 4, 8, 0, 1, 1),
)
FREE = Profile(
    (
        ModeRecord(
            Kind.NONVOLATILE, Drive(0, 0xFFFF, 0, 0, 0, 0xFFFF, (1 << 40) - 1, 0), verify=True
        ),
    ),
    (),
)
"""One mode without limits: what modes refuse is in test_modes.py."""
LEVELS = np.random.default_rng(8).integers(0, 32, (TILES, 8, 8))
INPUTS = np.random.default_rng(9).integers(-256, 256, (40, 16))


def build(device, tia_range=0, **registers):
    """16 inputs, two tiles in sum, ReLU, one tile, three outputs."""
    gain = CARD.gain(device.g_lsb, device.v_read, tia_range)
    requant = [
        *(pack_requant(200 * k - 300, 0xC00000 - 77 * k, 33) for k in range(4)),
        *(pack_requant(-100 + k, 0x900001 + k, 32) for k in range(3)),
    ]
    half = device.verify_window * device.level_step
    table = [
        pack_level(
            int(CARD.gate_code(i_cc)),
            math.ceil((code - half) * float(gain)),
            math.floor((code + half) * float(gain)),
        )
        for code, i_cc in zip(device.level_codes, device.level_i_cc, strict=True)
    ]
    settings = {
        Reg.CLAMP_LO: 0,
        Reg.CLAMP_HI: 255,
        Reg.LEVELS: len(requant),
        Reg.TRIES: device.verify_tries,
        Reg.SET_CYCLES: round(device.set_width_s * CLK_HZ),
        Reg.RESET_CYCLES: round(device.reset_width_s * CLK_HZ),
        Reg.RAIL_SET: CARD.dac_code(device.v_set),
        Reg.RAIL_RESET: CARD.dac_code(device.v_reset),
        Reg.TIA_RANGE: tia_range,
        **{Reg[name]: value for name, value in registers.items()},
    }
    names = ("tile", "act", "first", "rows", "planes", "signed", "clear", "shift")
    mvms = [instruction(Op.MVM, **dict(zip(names, values, strict=True))) for values in MVMS]
    halt = instruction(Op.HALT)
    setup = [
        instruction(Op.ADOPT),
        *(instruction(Op.SET, reg=reg, value=value) for reg, value in settings.items()),
        instruction(Op.DAC, channel=Dac.RAIL_A, code=CARD.read_code(device.v_read)),
        instruction(Op.DAC, channel=Dac.GATE_ON, code=CARD.gate_on_code),
        instruction(Op.WAIT, cycles=1200),
        halt,
    ]
    program = [
        word
        for tile in range(TILES)
        for word in (
            instruction(Op.RESTORE, tile=tile, mode=0),
            instruction(Op.PROGRAM, tile=tile, cell=0, count=64),
            halt,
        )
    ]
    infer = [
        *mvms[:3],
        instruction(Op.REQUANT, out=16, param=0, count=4),
        instruction(Op.NOP),
        mvms[3],
        instruction(Op.SET, reg=Reg.CLAMP_LO, value=-32768),
        instruction(Op.SET, reg=Reg.CLAMP_HI, value=32767),
        instruction(Op.REQUANT, out=20, param=4, count=3),
        instruction(Op.SET, reg=Reg.CLAMP_LO, value=0),
        instruction(Op.SET, reg=Reg.CLAMP_HI, value=255),
        halt,
    ]
    entries = {"setup": 0, "infer": len(setup) + len(program)}
    entries |= {f"program/{tile}": len(setup) + 3 * tile for tile in range(TILES)}
    return Image(
        geometry=GEOMETRY,
        code=(*setup, *program, *infer),
        entries=entries,
        params=np.array(requant + table, dtype=np.uint64),
        tiles=TILES,
        input=Span(0, 16),
        layers=(LayerSpan("hidden", Span(16, 4)), LayerSpan("output", Span(20, 3))),
        profile=tuple(pack_profile(FREE)),
    )


def engine(device="cspbbr3_ogb", seed=SEED, programmed=True, image=None, **options):
    entry = load(device)
    array = SimulatedArray(entry, TILES, 8, 8, seed)
    made = NumpyEngine(image or build(entry), array, CARD, CLK_HZ, seed, **options)
    made.setup()
    if programmed:
        made.program(LEVELS)
    return made


def by_the_document(made, sample, epoch, noise=True):
    """One inference in Python integers, straight from docs/numerics.md."""
    device, array, image = made.array.device, made.array, made.image
    gain = CARD.gain(device.g_lsb, device.v_read, 0)
    act = [*map(int, sample)] + [0] * 48
    acc = [0] * 4

    def requantise(out, param, count, low, high):
        for k in range(count):
            bias, mantissa, shift = unpack_requant(int(image.params[param + k]))
            y = round(Fraction((acc[k] + bias) * mantissa, 1 << shift))
            act[out + k] = min(max(y, low), high)

    start = image.entries["infer"]
    addresses = (start, start + 1, start + 2, start + 5)
    for number, (tile, base, first, rows, planes, signed, clear, shift) in enumerate(MVMS):
        if number == 3:
            requantise(16, 0, 4, 0, 255)
        if clear:
            acc = [0] * 4
        for plane in range(planes):
            codes = []
            for column in range(8):
                driven = [r for r in range(first, first + rows) if act[base + r] >> plane & 1]
                total = sum(int(array.g_code[tile, r, column]) for r in driven)
                variance = sum(int(array.var_code[tile, r, column]) for r in driven)
                index = conversion_index(addresses[number], plane)
                z = int(draw_normal(SEED, Domain.INFERENCE, tile * 8 + column, epoch, index))
                scale = 12 + device.var_exponent
                extra = (z * noise * math.isqrt(variance) * gain.mantissa) >> scale
                code = round(Fraction(total * gain.mantissa + extra, 1 << gain.shift))
                codes.append(min(max(code, -32768), 32767))
            weight = -(1 << plane) if signed and plane == planes - 1 else 1 << plane
            for k in range(4):
                acc[k] += (codes[2 * k] - codes[2 * k + 1]) * (weight << shift)
    requantise(20, 4, 3, -32768, 32767)
    return act[16:20], act[20:23]


def same(one, other):
    return (
        one.layers.keys() == other.layers.keys()
        and all(np.array_equal(one.layers[name], other.layers[name]) for name in one.layers)
        and (one.saturations, one.conversions) == (other.saturations, other.conversions)
    )


# -- inference ------------------------------------------------------------------------


def test_it_is_an_engine():
    made: Engine = engine("ideal", programmed=False)
    assert made.program(LEVELS).shape == LEVELS.shape


@pytest.mark.parametrize("device", ["cspbbr3_ogb", "ideal"])
@pytest.mark.parametrize("read_noise", [True, False])
def test_every_integer_is_that_of_the_document(device, read_noise):
    made = engine(device, read_noise=read_noise)
    trace = made.infer(INPUTS[:4], epoch0=1000)
    for b in range(4):
        hidden, output = by_the_document(made, INPUTS[b], 1000 + b, read_noise)
        assert trace.layers["hidden"][b].tolist() == hidden
        assert trace.layers["output"][b].tolist() == output
    assert trace.conversions == 4 * 8 * (9 + 9 + 9 + 8)
    assert len(np.unique(trace.layers["hidden"])) > 5  # the network is not constant
    assert np.array_equal(trace.output, trace.layers["output"])


def test_batch_1_and_batch_1000_give_the_same_integers():
    made = engine()
    x = np.resize(INPUTS, (1000, 16))
    together = made.infer(x, epoch0=3)
    for b in (0, 1, 500, 999):
        alone = made.infer(x[b : b + 1], epoch0=3 + b)
        for name, values in together.layers.items():
            assert np.array_equal(alone.layers[name][0], values[b])


def test_the_internal_block_changes_nothing(monkeypatch):
    made = engine()
    together = made.infer(INPUTS)
    monkeypatch.setattr("ohmloom.sim.engine.numpy_engine._BLOCK", 7)
    assert same(made.infer(INPUTS), together)


def test_one_and_two_blas_threads_give_the_same_integers():
    traces = []
    for threads in (1, 2):
        with threadpool_limits(threads, user_api="blas"):
            traces.append(engine().infer(np.resize(INPUTS, (300, 16))))
    assert same(*traces)


def test_noise_belongs_to_the_inference_number():
    made = engine()
    first = made.infer(INPUTS)
    assert same(made.infer(INPUTS), first)
    assert not same(made.infer(INPUTS, epoch0=1), first)
    quiet = engine(read_noise=False)
    assert same(quiet.infer(INPUTS), quiet.infer(INPUTS, epoch0=1))


def test_inference_noise_has_the_variance_of_the_cells():
    made = engine()
    x = np.zeros((3000, 16), dtype=int)
    x[:, :8] = 1  # plane 0 of the first tile only
    made.image.params[4:7] = pack_requant(0, 1 << 23, 23)  # accumulators as they are
    made.image = dataclasses.replace(
        made.image,
        code=(
            *made.image.code[: made.image.entries["infer"]],
            made.image.code[made.image.entries["infer"]],
            instruction(Op.SET, reg=Reg.CLAMP_LO, value=-32768),
            instruction(Op.SET, reg=Reg.CLAMP_HI, value=32767),
            instruction(Op.REQUANT, out=20, param=4, count=3),
            instruction(Op.HALT),
        ),
    )
    values = made.infer(x).output
    gain = float(CARD.gain(made.array.device.g_lsb, made.array.device.v_read, 0))
    codes = made.array.g_code[0].astype(float) * gain
    mean = codes.sum(axis=0)
    variance = ((0.01 * codes) ** 2).sum(axis=0) + 1 / 12  # and the ADC's rounding
    for k in range(3):
        expected, spread = mean[2 * k] - mean[2 * k + 1], variance[2 * k] + variance[2 * k + 1]
        assert abs(values[:, k].mean() - expected) < 4 * math.sqrt(spread / len(x)) + 0.5
        assert values[:, k].var() == pytest.approx(spread, rel=0.12)


def test_one_flipped_code_is_seen():
    made, faulty = engine(), engine()
    expected = made.infer(INPUTS)
    assert same(faulty.infer(INPUTS), expected)
    faulty.array.set_codes((1, 6, 3), faulty.array.g_code[1, 6, 3] ^ 1 << 9)
    assert not same(faulty.infer(INPUTS), expected)


def test_saturated_codes_are_counted():
    made = engine()
    assert made.infer(INPUTS).saturations == 0
    made.array.set_codes(np.s_[0, :, 0], 16383)
    made.array.set_codes(np.s_[0, :, 1:], 100)
    made.image.params[:4] = pack_requant(0, 0, 0)
    made.registers[Reg.TIA_RANGE] = 1  # 1 code each: 8 rows at full scale exceed it
    x = np.zeros((2, 16), dtype=int)
    x[1, :8] = 1
    trace = made.infer(x)
    assert trace.saturations == 1


def test_an_empty_batch_is_empty():
    trace = engine("ideal").infer(np.empty((0, 16), dtype=int))
    assert trace.output.shape == (0, 3) and trace.conversions == 0


# -- programming ----------------------------------------------------------------------


def test_programming_brings_cells_into_their_windows():
    made = engine(programmed=False)
    results = made.program(LEVELS)
    device = made.array.device
    gain = float(CARD.gain(device.g_lsb, device.v_read, 0))
    tries = np.zeros(LEVELS.shape, dtype=int)
    for where, word in np.ndenumerate(results):
        code, tries[where], status = unpack_result(int(word))
        assert status is CellStatus.DONE
        target = device.level_codes[LEVELS[where]]
        assert abs(code - target * gain) <= (0.5 * device.level_step) * gain + 1
    assert (made.array.pulses == 2 * tries).all()
    assert 1.2 < tries.mean() < 2.2  # sigma is about half the spacing
    p = device.mode("nonvolatile").p
    assert isinstance(p, icc_line.Parameters)
    sigma = icc_line.sigma(p, 1.1e-4)
    assert np.abs(made.array.g - device.levels[LEVELS]).max() < 8 * sigma


def test_the_ideal_device_is_exact_at_the_first_try():
    made = engine("ideal", programmed=False)
    results = made.program(LEVELS)
    device = made.array.device
    assert np.array_equal(made.array.g_code, device.level_codes[LEVELS])
    assert {unpack_result(int(word))[1:] for word in results.flat} == {(1, CellStatus.DONE)}


def test_cell_by_cell_gives_the_state_of_all_at_once():
    made = engine(programmed=False)
    results = made.program_tile(1, LEVELS[1])
    one = instruction(Op.HALT)
    image = build(load("cspbbr3_ogb"))
    code = [
        *image.code,
        *(
            word
            for cell in range(64)
            for word in (instruction(Op.PROGRAM, tile=1, cell=cell, count=1), one)
        ),
    ]
    entries = image.entries | {f"cell/{cell}": len(image.code) + 2 * cell for cell in range(64)}
    image = dataclasses.replace(image, code=tuple(code), entries=entries)
    other = engine(programmed=False, image=image)
    other.modes.restore(0, "a test", 1, 0)
    for cell in range(64):
        other.cell_memory[0] = LEVELS[1].flat[cell]
        other._run(f"cell/{cell}", other._batch(np.zeros(1, np.int64)))
        assert other.cell_memory[0] == results[cell]
    assert made.array.tile_state_equal(other.array, 1)


def test_a_cell_that_cannot_reach_its_window_is_reported(caplog):
    made = engine(programmed=False)
    device = made.array.device
    top = len(device.levels) - 1
    word = 7 + top  # the window of the top level moves out of reach
    made.image.params[word] = pack_level(int(CARD.gate_code(device.level_i_cc[top])), 30000, 30001)
    results = made.program_tile(0, np.full((8, 8), top))
    outcomes = {unpack_result(int(result))[1:] for result in results}
    assert outcomes == {(device.verify_tries, CellStatus.NOT_CONVERGED)}
    assert (made.array.pulses[0] == 2 * device.verify_tries).all()
    assert "64 of 64 cells did not converge" in caplog.text


def test_read_returns_codes_and_changes_no_state():
    made = engine()
    image = dataclasses.replace(
        made.image,
        code=(instruction(Op.READ, tile=2, cell=60, count=4), instruction(Op.HALT)),
        entries={"read": 0},
    )
    made.image = image
    before = made.array.g.copy()
    made._run("read", made._batch(np.zeros(1, np.int64)))
    gain = float(CARD.gain(made.array.device.g_lsb, made.array.device.v_read, 0))
    for n in range(4):
        code, tries, status = unpack_result(int(made.cell_memory[n]))
        expected = made.array.g_code[2].flat[60 + n] * gain
        assert (tries, status) == (0, CellStatus.READ)
        assert abs(code - expected) < 6.4 * 0.01 * expected + 1
    assert np.array_equal(made.array.g, before)
    assert made.array.reads[2].flat[60] == 2  # one by the last verify, one now


def test_temperatures_are_read_with_any_rail_and_by_a_read_alone():
    made = engine()
    sensors = instruction(Op.SET, reg=Reg.TIA_RANGE, value=7)
    read = instruction(Op.READ, tile=0, cell=0, count=8)
    off = instruction(Op.DAC, channel=Dac.RAIL_A, code=0x8000)
    program = instruction(Op.PROGRAM, tile=0, cell=0, count=1)
    code = (sensors, off, read, instruction(Op.HALT), program, instruction(Op.HALT))
    made.image = dataclasses.replace(made.image, code=code, entries={"read": 0, "program": 4})
    made.run("read")
    mean = int(CARD.temperature_codes(0))
    readings = [unpack_reading(int(word)) for word in made.cell_memory[:8]]
    assert all(abs(code - mean) <= 4 for code, _, _ in readings)
    assert {tuple(rest) for _, *rest in readings} == {(7, False)}
    before = made.array.pulses.copy()
    made.cell_memory[0] = 0
    with pytest.raises(EngineError, match="TIA_RANGE = 7, accepted is 0..6"):
        made.run("program")
    assert np.array_equal(made.array.pulses, before)


def test_waits_and_pulses_take_their_time():
    made = engine("ideal", programmed=False)
    assert made.array.elapsed_s == pytest.approx(1200 / CLK_HZ)


def test_a_set_outside_the_line_is_refused():
    image = build(load("cspbbr3_ogb"))
    image.params[7] = pack_level(int(CARD.gate_code(1e-3)), 0, 100)
    made = engine(programmed=False, image=image)
    with pytest.raises(ComplianceError):
        made.program_tile(0, np.zeros((8, 8), dtype=int))


# -- refusals -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("x", "epoch0", "said"),
    [
        (np.zeros((2, 15), int), 0, r"\(batch, 16\)"),
        (np.zeros(16, int), 0, r"\(batch, 16\)"),
        (np.zeros((2, 16)), 0, "integers"),
        (np.full((1, 16), 1 << 15), 0, "16 bits"),
        (np.zeros((2, 16), int), (1 << 32) - 1, "32 bits"),
        (np.zeros((2, 16), int), -1, "32 bits"),
    ],
)
def test_an_input_that_does_not_fit_is_refused(x, epoch0, said):
    with pytest.raises(EngineError, match=said):
        engine("ideal").infer(x, epoch0)


@pytest.mark.parametrize(
    ("levels", "said"),
    [
        (np.zeros((3, 8, 7), int), r"\(8, 8\)"),
        (np.zeros((3, 8, 8)), "integers"),
        (np.zeros((2, 8, 8), int), "2 tiles"),
        (np.full((3, 8, 8), -1), "-1"),
        (np.full((3, 8, 8), 32), "levels"),
    ],
)
def test_levels_that_do_not_fit_are_refused(levels, said):
    with pytest.raises(EngineError, match=said):
        engine("ideal", programmed=False).program(levels)


def test_a_run_before_setup_is_refused():
    device = load("ideal")
    made = NumpyEngine(build(device), SimulatedArray(device, 3, 8, 8, 0), CARD, CLK_HZ, 0)
    with pytest.raises(EngineError, match="setup"):
        made.infer(INPUTS)


@pytest.mark.parametrize(
    ("size", "clk_hz", "said"),
    [
        ((2, 8, 8), CLK_HZ, "uses 3 tiles"),
        ((3, 8, 16), CLK_HZ, "8 x 16"),
        ((3, 8, 8), 0, "clk_hz"),
    ],
)
def test_an_array_of_another_size_is_refused(size, clk_hz, said):
    device = load("ideal")
    with pytest.raises(EngineError, match=said):
        NumpyEngine(build(device), SimulatedArray(device, *size, seed=0), CARD, clk_hz, 0)


def mvm(**changes):
    base = {"tile": 0, "act": 0, "first": 0, "rows": 8, "planes": 8, "signed": 0, "clear": 1}
    return instruction(Op.MVM, **{**base, **changes})


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (mvm(tile=3), "tile"),
        (mvm(first=1), "rows"),
        (mvm(planes=17), "planes"),
        (mvm(act=60), "act"),
        (mvm(shift=17), "shift"),
        (instruction(Op.REQUANT, out=0, param=0, count=5), "count"),
        (instruction(Op.REQUANT, out=62, param=0, count=4), "out"),
        (instruction(Op.REQUANT, out=0, param=127, count=1), "param"),
        (instruction(Op.READ, tile=0, cell=60, count=5), "count"),
        (instruction(Op.PROGRAM, tile=9, cell=0, count=1), "tile"),
        (instruction(Op.SET, reg=Reg.TRIES, value=0), "TRIES"),
        (instruction(Op.SET, reg=Reg.LEVELS, value=-1), "LEVELS"),
        (instruction(Op.SET, reg=Reg.RAIL_SET, value=-1), "RAIL_SET"),
    ],
)
def test_an_instruction_outside_the_geometry_is_refused(bad, said):
    made = engine("ideal")
    made.cell_memory[:] = 0
    then = instruction(Op.PROGRAM, tile=0, cell=0, count=1)
    made.image = dataclasses.replace(
        made.image, code=(bad, then, instruction(Op.HALT)), entries={"infer": 0}
    )
    with pytest.raises(EngineError, match=f"address [01]: .*{said}"):
        made.infer(INPUTS[:1])


def test_an_accumulator_that_overflows_is_refused():
    made = engine("ideal")
    made.image = dataclasses.replace(
        made.image, geometry=dataclasses.replace(GEOMETRY, acc_width=16)
    )
    with pytest.raises(EngineError, match="accumulator .* 16 bits"):
        made.infer(np.full((1, 16), 255))


def test_an_activation_that_overflows_is_refused():
    made = engine("ideal")
    made.image.params[:4] = pack_requant(1 << 20, 1 << 23, 23)
    made.registers[Reg.CLAMP_HI] = 40_000
    with pytest.raises(EngineError, match="activation .* 16 bits"):
        made.infer(INPUTS[:1])


def test_a_program_without_an_end_or_entry_is_refused():
    made = engine("ideal")
    made.image = dataclasses.replace(made.image, code=(instruction(Op.NOP),), entries={"infer": 0})
    with pytest.raises(EngineError, match="past the program's end"):
        made.infer(INPUTS[:1])
    with pytest.raises(EngineError, match="no entry 'setup'"):
        made.setup()


def test_averaged_reads_bring_cells_closer():
    """With 64 conversions a read, what is judged is nearly the true conductance."""
    deviations = []
    for average in (0, 6):
        made = engine(programmed=False)
        device = made.array.device
        made.setup()
        made.registers[Reg.AVERAGE] = average
        made.program_tile(0, LEVELS[0])
        target = device.level_codes[LEVELS[0]]
        deviations.append(np.abs(made.array.g_code[0] - target) / device.level_step)
        assert (made.array.reads[0] == 1 << average).all()
    assert deviations[0].max() > 0.6 > 0.56 > deviations[1].max()


def test_stuck_cells_are_told_from_those_that_missed():
    made = engine(programmed=False)
    made.setup()
    made.array.stick([3, 40], [1e-6, 9e-4])
    made.registers[Reg.AVERAGE], made.registers[Reg.STUCK] = 6, 200
    results = made.program_tile(0, LEVELS[0]).reshape(-1)
    status = [unpack_result(int(word))[2] for word in results]
    assert [n for n, found in enumerate(status) if found is not CellStatus.DONE] == [3, 40]
    assert status[3] is status[40] is CellStatus.STUCK


@pytest.mark.parametrize("average", [-1, 16])
def test_an_average_that_the_controller_refuses(average):
    made = engine(programmed=False)
    made.setup()
    made.registers[Reg.AVERAGE] = average
    with pytest.raises(EngineError, match="AVERAGE"):
        made.program_tile(0, LEVELS[0])
