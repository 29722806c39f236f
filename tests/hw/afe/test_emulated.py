"""The emulated array at the seam, against the numpy engine's array, bit for bit."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from amaranth import Module
from amaranth.lib import wiring
from amaranth.sim import Simulator
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from ohmloom.hw import emulated_tables
from ohmloom.hw.afe.emulated import Emulated, memories
from ohmloom.hw.afe.interface import SwitchGroup
from ohmloom.hw.geometry import Geometry, GeometryError
from ohmloom.hw.isa import Dac
from ohmloom.hw.timers import Timers
from ohmloom.sim.array import SimulatedArray
from ohmloom.sim.converters import Converters
from ohmloom.sim.devices import load
from ohmloom.sim.devices.families import emulated as family
from ohmloom.sim.emulated import emulate
from ohmloom.sim.emulated import emulated_tables as tables_of
from ohmloom.sim.numerics import Domain, draw_normal

CLK_HZ = 200_000
CARD = Converters()
DEVICE = emulate(load("cspbbr3_ogb"))
SEED = 5


@dataclass
class Bench:
    """The front end with its timer, driven by hand, and the array that it has to be."""

    ctx: object
    fe: object
    array: SimulatedArray

    async def latch(self, group: SwitchGroup, a: int = 0, b: int = 0) -> None:
        ctx, fe = self.ctx, self.fe
        ctx.set(fe.switch.payload.group, group)
        ctx.set(fe.switch.payload.a, a)
        ctx.set(fe.switch.payload.b, b)
        ctx.set(fe.switch.valid, 1)
        while not ctx.get(fe.switch.ready):
            await ctx.tick()
        await ctx.tick()
        ctx.set(fe.switch.valid, 0)
        while not ctx.get(fe.loaded):
            await ctx.tick()
        ctx.set(fe.latch, 1)
        await ctx.tick()
        ctx.set(fe.latch, 0)

    async def write(self, channel: Dac, code: int) -> None:
        ctx, fe = self.ctx, self.fe
        ctx.set(fe.dac.payload.channel, channel)
        ctx.set(fe.dac.payload.code, code)
        ctx.set(fe.dac.valid, 1)
        while not ctx.get(fe.dac.ready):
            await ctx.tick()
        await ctx.tick()
        ctx.set(fe.dac.valid, 0)

    async def convert(self, inference: int = 0, epoch: int = 0, index: int = 0):
        """Codes by column, and the cycles that it took."""
        ctx, fe = self.ctx, self.fe
        while not ctx.get(fe.adc_idle):
            await ctx.tick()
        for name, value in (("inference", inference), ("epoch", epoch), ("index", index)):
            ctx.set(getattr(fe.tag, name), value)
        ctx.set(fe.convert, 1)
        codes, cycles = {}, 0
        while True:
            await ctx.tick()
            ctx.set(fe.convert, 0)
            cycles += 1
            if ctx.get(fe.adc_idle):
                return [codes[n] for n in sorted(codes)], cycles
            if ctx.get(fe.samples.valid):
                column = ctx.get(fe.samples.payload.column)
                assert column not in codes
                codes[column] = ctx.get(fe.samples.payload.code.as_signed())

    async def pulse(self, cycles: int) -> None:
        self.ctx.set(self.fe.gate_b, 1)
        await self.ctx.tick().repeat(cycles)
        self.ctx.set(self.fe.gate_b, 0)


def run(geometry, body, tables=None, device=DEVICE):
    """``body(bench)`` on a front end whose cells are as made."""
    m = Module()
    made = tables or tables_of(device, CARD, SEED)
    m.submodules.afe = afe = Emulated(geometry, CLK_HZ, made)
    m.submodules.timers = timers = Timers([afe.timer.signature.bits])
    wiring.connect(m, timers.channel0, afe.timer)
    array = SimulatedArray(device, geometry.tiles, geometry.rows, geometry.columns, SEED)

    async def bench(ctx):
        while not ctx.get(afe.core.ready):
            await ctx.tick()
        await body(Bench(ctx, afe.core, array))

    simulator = Simulator(m)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return afe


def small(rows=4, columns=6, tiles=3):
    return Geometry(rows=rows, columns=columns, tiles=tiles, step=2)


def gain(tia_range):
    return CARD.gain(DEVICE.g_lsb, DEVICE.v_read, tia_range)


def product_codes(array, tile, bits, tag, tia_range):
    columns = np.arange(array.columns)
    total, variance = array.column_totals(tile, np.array([bits]))
    z = draw_normal(SEED, Domain.INFERENCE, tile * array.columns + columns, *tag)
    return CARD.convert(total[0], variance[0], z, gain(tia_range), DEVICE.var_exponent)[0].tolist()


async def read_setting(b, rows, columns):
    await b.write(Dac.RAIL_A, CARD.read_code(DEVICE.v_read))
    await b.latch(SwitchGroup.ROWS, a=rows)
    await b.latch(SwitchGroup.COLUMNS, a=columns)
    await b.latch(SwitchGroup.GATES, b=columns)
    b.ctx.set(b.fe.gate_a, 1)


def bits_of(mask, lines):
    return [mask >> n & 1 for n in range(lines)]


SIZES = st.tuples(st.integers(1, 12), st.integers(1, 3), st.integers(1, 5))


@settings(
    max_examples=5,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],  # a simulation is too slow to be shrunk
    suppress_health_check=[HealthCheck.too_slow],
)
@given(SIZES, st.data())
def test_whatever_is_done_the_cells_are_the_engines(size, data):
    """Pulses of any kind on any lines of any tile, then products and reads of every tile."""
    rows, pairs, tiles = size
    geometry = small(2 * rows, 2 * pairs, tiles)
    low, high = (int(CARD.gate_code(i)) for i in (30e-6, 250e-6))
    rng = np.random.default_rng(data.draw(st.integers(0, 1 << 30)))
    all_columns = (1 << geometry.columns) - 1

    async def body(b):
        array = b.array
        for _ in range(4):
            tile = int(rng.integers(tiles))
            b.ctx.set(b.fe.tile, tile)
            sets = bool(rng.integers(2))
            rail = CARD.dac_code(float(rng.choice([1.0, 0.79] if sets else [-1.5, -1.19])))
            gate = int(rng.integers(low, high + 1))
            driven = int(rng.integers(1, 1 << geometry.rows))
            gated = int(rng.integers(0, all_columns + 1))
            await b.write(Dac.RAIL_B, rail)
            await b.write(Dac.GATE_PROGRAM, gate)
            await b.latch(SwitchGroup.ROWS, b=driven)
            await b.latch(SwitchGroup.COLUMNS)
            limited = gated if sets else int(rng.integers(0, all_columns + 1)) & gated
            await b.latch(SwitchGroup.GATES, a=limited, b=gated & ~limited)
            cycles = int(rng.choice([99, 100, 150]))
            await b.pulse(cycles)
            await b.ctx.tick()
            while b.ctx.get(b.fe.active):
                await b.ctx.tick()
            row, column = (
                np.flatnonzero(bits_of(mask, lines))
                for mask, lines in ((driven, geometry.rows), (gated, geometry.columns))
            )
            cells = (tile * geometry.rows + row[:, None]) * geometry.columns + column
            if cells.size:
                i_cc = float(CARD.i_cc(gate)) if sets else None
                volts = CARD.dac_volts(rail)
                array.pulse(cells.ravel(), volts, cycles / CLK_HZ, i_cc, together=True)
        for tile in range(tiles):
            b.ctx.set(b.fe.tile, tile)
            tia_range = int(rng.integers(3))
            b.ctx.set(b.fe.range, tia_range)
            driven = int(rng.integers(1 << geometry.rows))
            await read_setting(b, driven, all_columns)
            tag = tuple(int(n) for n in rng.integers(0, 1 << 32, 2))
            found, _ = await b.convert(1, *tag)
            bits = bits_of(driven, geometry.rows)
            assert found == product_codes(array, tile, bits, tag, tia_range)
            row = int(rng.integers(geometry.rows))
            selected = int(rng.integers(1, all_columns + 1))
            await read_setting(b, 1 << row, selected)
            columns = np.flatnonzero(bits_of(selected, geometry.columns))
            cells = (tile * geometry.rows + row) * geometry.columns + columns
            array.select(cells)
            for _ in range(3):
                wanted = np.zeros(geometry.columns, np.int64)
                sums = array.verify_totals(cells)
                wanted[columns] = CARD.convert(*sums, gain(tia_range), DEVICE.var_exponent)[0]
                assert (await b.convert())[0] == wanted.tolist()

    run(geometry, body)


def test_a_conversion_takes_what_the_cost_model_says():
    for rows in (2, 4, 64):
        geometry = small(rows=rows)
        found = {}

        async def body(b, found=found):
            await read_setting(b, 3, 63)
            b.ctx.set(b.fe.switch.valid, 1)  # a next setting is loaded meanwhile
            _, found["readout"] = await b.convert(1, 1, 1)
            assert b.ctx.get(b.fe.loaded)

        afe = run(geometry, body)
        assert found["readout"] == afe.cycles().readout
        assert afe.cycles().hold < afe.cycles().readout


def test_lines_are_held_until_the_last_column_is_summed():
    found = {}

    async def body(b):
        await read_setting(b, 3, 63)
        b.ctx.set(b.fe.switch.payload.group, SwitchGroup.ROWS)
        b.ctx.set(b.fe.switch.valid, 1)
        b.ctx.set(b.fe.tag.inference, 1)
        b.ctx.set(b.fe.convert, 1)
        for n in range(1000):
            await b.ctx.tick()
            b.ctx.set(b.fe.convert, 0)
            if b.ctx.get(b.fe.loaded):
                found["hold"] = n + 1
                return

    afe = run(small(), body)
    assert found["hold"] == afe.cycles().hold


def test_nothing_begins_before_the_cells_of_a_pulse_are_written():
    geometry = small()

    async def body(b):
        await b.write(Dac.RAIL_B, CARD.dac_code(-1.5))
        await b.latch(SwitchGroup.ROWS, b=0b1000)
        await b.latch(SwitchGroup.GATES, b=63)
        await b.pulse(120)
        assert not b.ctx.get(b.fe.dac.ready)  # in the very cycle
        await b.ctx.tick()
        cycles = 1
        while True:
            busy = [not b.ctx.get(s) for s in (b.fe.adc_idle, b.fe.dac.ready)]
            assert busy[0] == busy[1] == bool(b.ctx.get(b.fe.active))
            if not any(busy):
                break
            cycles += 1
            await b.ctx.tick()
        assert 6 * 50 < cycles <= afe.array.widths.pulse

    afe = Emulated(geometry, CLK_HZ, tables_of(DEVICE, CARD, SEED))
    run(geometry, body)


def test_the_safe_state_opens_every_line_and_keeps_the_cells():
    async def body(b):
        await b.write(Dac.RAIL_B, CARD.dac_code(-1.5))
        await b.latch(SwitchGroup.ROWS, b=1)
        await b.latch(SwitchGroup.GATES, b=63)
        b.ctx.set(b.fe.gate_b, 1)
        await b.ctx.tick().repeat(150)
        b.ctx.set(b.fe.gate_b, 0)  # as the guard does
        b.ctx.set(b.fe.safe, 1)
        await b.ctx.tick()
        b.ctx.set(b.fe.safe, 0)
        await b.ctx.tick()
        assert not b.ctx.get(b.fe.ready)
        while not b.ctx.get(b.fe.ready):
            await b.ctx.tick()
        b.array.pulse(np.arange(6), -1.5, 150 / CLK_HZ, None, together=True)
        b.ctx.set(b.fe.gate_a, 1)
        assert (await b.convert(1, 3, 4))[0] == [0] * 6
        await read_setting(b, 15, 63)
        assert (await b.convert(1, 3, 4))[0] == product_codes(b.array, 0, [1] * 4, (3, 4), 0)

    run(small(), body)


@pytest.mark.parametrize("fault", ["made", "variance", "gain", "seed", "deviate"])
def test_a_wrong_table_entry_is_found(fault):
    """Products of cells as made, in a sensitive range, with and without the fault."""
    made = tables_of(DEVICE, CARD, SEED)
    wrong = {
        "made": {"made": made.made + 1},
        "variance": {"variances": (9, *made.variances[1:])},
        "gain": {"gains": (made.gains[0], (made.gains[1][0] ^ 256, 14), *made.gains[2:])},
        "seed": {"seed": SEED + 1},
        "deviate": {"deviates": tuple(max(0, z - 90) for z in made.deviates)},
    }[fault]
    noisy = replace(made, variances=(8, *made.variances[1:]))
    if fault in ("seed", "deviate", "variance"):  # cells as made have no noise of their own
        made = noisy
    same = []

    async def body(b):
        b.ctx.set(b.fe.range, 1)
        await read_setting(b, 15, 63)
        same.append((await b.convert(1, 3, 4))[0])

    for tables in (made, replace(made, **wrong)):
        run(small(), body, tables)
    assert same[0] != same[1]


@pytest.mark.parametrize("tag", [(1, 3, 5), (1, 4, 4)])
def test_a_draw_off_by_one_is_found(tag):
    made = replace(tables_of(DEVICE, CARD, SEED), variances=(8,) * 256)
    found = []

    async def body(b):
        b.ctx.set(b.fe.range, 1)
        await read_setting(b, 15, 63)
        found.append((await b.convert(1, 3, 4))[0])
        found.append((await b.convert(*tag))[0])
        found.append((await b.convert(1, 3, 4))[0])

    run(small(), body, made)
    assert found[0] == found[2] != found[1]


def test_a_dropped_plane_is_found():
    """Without its latch a product has the rows of the one before."""

    async def body(b):
        b.ctx.set(b.fe.range, 1)
        await read_setting(b, 15, 63)
        before = (await b.convert(1, 3, 4))[0]
        b.ctx.set(b.fe.switch.payload.a, 1)
        b.ctx.set(b.fe.switch.payload.group, SwitchGroup.ROWS)
        b.ctx.set(b.fe.switch.valid, 1)
        assert (await b.convert(1, 3, 4))[0] == before
        b.ctx.set(b.fe.switch.valid, 0)
        b.ctx.set(b.fe.latch, 1)
        await b.ctx.tick()
        b.ctx.set(b.fe.latch, 0)
        assert (await b.convert(1, 3, 4))[0] != before

    run(small(), body)


def test_gateware_and_device_have_the_same_formats():
    assert (1 << emulated_tables.NUMBER_BITS) - 1 == family.NUMBER_MASK
    assert 1 << emulated_tables.CODE_BITS - emulated_tables.VARIANCE_BITS == family.VARIANCE_STEP
    assert emulated_tables.POINTS == family.SEGMENTS_MAX
    for name in ("CODE_BITS", "COUNT_BITS", "POINT_BITS", "FRACTION_BITS"):
        assert getattr(emulated_tables, name) == getattr(family, name)


def test_the_memories_are_those_that_it_has():
    geometry = small(8, 6, 3)
    afe = Emulated(geometry, CLK_HZ, tables_of(DEVICE, CARD, SEED))
    sizes = memories(geometry)
    assert sizes["cells"] == (16, afe.array.cells) == (16, 144)
    assert sizes["table"] == (16, len(afe.tables.words()))
    assert sizes["deviates"] == (16, len(afe.tables.deviates) - 1)


def test_its_name_tells_tables_apart():
    geometry = small()
    names = {Emulated(geometry, CLK_HZ, tables_of(DEVICE, CARD, s)).name for s in (1, 2, 1)}
    assert len(names) == 2
    for name in names:
        assert name.startswith("Emulated ") and len(name) == 16


def test_what_it_is_not_for_is_refused():
    made = tables_of(DEVICE, CARD, SEED)
    with pytest.raises(GeometryError, match="passive = True"):
        Emulated(replace(small(), passive=True), CLK_HZ, made)
    with pytest.raises(ValueError, match="not positive"):
        Emulated(small(), 0, made)
    for wrong in ({"mean": (5, 4)}, {"variances": ()}, {"reset_mean": 1 << 16}, {"spread": ()}):
        with pytest.raises(ValueError):
            replace(made, **wrong)
