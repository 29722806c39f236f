"""The emulated array's arithmetic against that of the numpy engine, bit for bit."""

from __future__ import annotations

from dataclasses import replace
from math import isqrt

import numpy as np
import pytest
from amaranth.sim import Simulator
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from ohmloom.hw import emulated_array
from ohmloom.hw.conversion import Conversion
from ohmloom.hw.deviate import Deviate
from ohmloom.hw.emulated_cycles import DRAW_CYCLES, EmulatedCycles
from ohmloom.hw.geometry import Geometry
from ohmloom.hw.root import Root
from ohmloom.hw.threefry import Threefry
from ohmloom.sim.converters import Converters, Gain
from ohmloom.sim.devices import load
from ohmloom.sim.emulated import emulate, emulated_tables
from ohmloom.sim.numerics import (
    Domain,
    normal_from_word,
    normal_table,
    threefry2x32,
)

WORDS = st.integers(0, (1 << 32) - 1)
CARD = Converters()
GEOMETRY = Geometry(rows=32, columns=8)
TABLES = emulated_tables(emulate(load("cspbbr3_ogb")), CARD, 7)
WIDTHS = EmulatedCycles(GEOMETRY, TABLES)


def strobe(dut, inputs, outputs, cycles):
    """What ``outputs`` are at ``done``, which has to come ``cycles`` after each start."""
    found = []

    async def bench(ctx):
        for values in inputs:
            for name, value in values.items():
                ctx.set(getattr(dut, name), value)
            ctx.set(dut.start, 1)
            await ctx.tick()
            ctx.set(dut.start, 0)
            after = 1
            while not ctx.get(dut.done):
                await ctx.tick()
                after += 1
                assert after <= cycles
            assert after == cycles
            found.append(tuple(ctx.get(getattr(dut, name)) for name in outputs))
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return found


@settings(max_examples=5, deadline=None)
@given(WORDS, st.lists(st.tuples(WORDS, WORDS, st.integers(0, (1 << 28) - 1)), min_size=4))
def test_words_are_threefrys(seed, names):
    inputs = [
        {"epoch": epoch, "index": index, "place": place, "domain": n % 4}
        for n, (epoch, index, place) in enumerate(names)
    ]
    found = strobe(Threefry(seed, 28), inputs, ["word"], DRAW_CYCLES)
    epochs, indices, places = (np.array(part, np.uint32) for part in zip(*names, strict=True))
    keys = places | (np.arange(len(names), dtype=np.uint32) % 4) << 28
    wanted, _ = threefry2x32(seed, keys, epochs, indices)
    assert [word for (word,) in found] == wanted.tolist()


def test_deviates_are_those_of_the_table():
    rng = np.random.default_rng(1)
    words = rng.integers(0, 1 << 32, 300).tolist()
    words += [0, 1, 2, 3, (1 << 31) - 1, 1 << 31, (1 << 32) - 1]
    words += [1 << n for n in range(32)] + [(1 << n) - 1 for n in range(32)]
    dut = Deviate(normal_table().tolist())
    found = strobe(
        dut, [{"word": word} for word in words], ["magnitude", "negative"], WIDTHS.deviate
    )
    signed = [-size if negative else size for size, negative in found]
    assert signed == normal_from_word(np.array(words, np.uint32)).tolist()


@pytest.mark.parametrize("bits", [1, 5, 12])
def test_roots_are_rounded_down(bits):
    edges = [n * n + d for n in range(1 << min(bits, 7)) for d in (-1, 0)]
    squares = [n for n in edges if 0 <= n < 1 << 2 * bits] + [(1 << 2 * bits) - 1]
    found = strobe(Root(bits), [{"square": n} for n in squares], ["root"], bits + 1)
    assert [root for (root,) in found] == [isqrt(n) for n in squares]


@settings(max_examples=6, deadline=None, phases=[Phase.generate])
@given(st.integers(0, 8), st.lists(st.tuples(st.integers(1 << 15, (1 << 16) - 1),
       st.integers(1, 24)), min_size=2, max_size=8), st.integers(0, 1 << 30))  # fmt: skip
def test_codes_are_those_of_the_converters(exponent, gains, seed):
    padded = (*gains, *[(0, 0)] * (8 - len(gains)))
    tables = replace(TABLES, var_exponent=exponent, gains=padded)
    tables = replace(tables, variances=(1 << 15,) * 256)
    widths = EmulatedCycles(GEOMETRY, tables)
    dut = Conversion(widths, 15)
    rng = np.random.default_rng(seed)
    inputs, wanted = [], []
    for n in range(60):
        mantissa, shift = gains[n % len(gains)]
        total = int(rng.integers(0, 1 << rng.integers(1, widths.total_bits + 1)))
        sigma, z = int(rng.integers(0, 1 << widths.root_bits)), int(rng.integers(-26000, 26001))
        if n % 3 == 0:  # ties: nothing but the gain's own shift rounds
            sigma = 0
        code, _ = CARD.convert(total, sigma * sigma, z, Gain(mantissa, shift), exponent)
        wanted.append(int(code))
        inputs.append({
            "total": total, "sigma": sigma, "magnitude": abs(z), "negative": z < 0,
            "gain": mantissa, "shift": shift,
        })  # fmt: skip
    found = strobe(dut, inputs, ["code"], widths.conversion)
    assert [code for (code,) in found] == wanted


def test_domains_are_the_engines():
    for name in ("PULSE", "VERIFY", "INFERENCE"):
        assert getattr(emulated_array, name) == Domain[name]
