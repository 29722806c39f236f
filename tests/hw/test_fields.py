"""Operands as the gateware cuts them are those that the encoder put there."""

from __future__ import annotations

import pytest
from amaranth import Module, Signal
from amaranth.sim import Simulator
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ohmloom.hw.fields import cut, operands
from ohmloom.hw.isa import (
    LAYOUTS,
    LEVEL_FIELDS,
    REQUANT_FIELDS,
    Field,
    Op,
    encode,
    instruction,
    pack_level,
    pack_requant,
)


def values_of(word: int, slice_word) -> dict[str, int]:
    """What ``slice_word(signal)`` shows when the signal is ``word``."""
    signal = Signal(64)
    shown: dict[str, int] = {}

    async def bench(ctx):
        ctx.set(signal, word)
        shown.update({name: ctx.get(value) for name, value in slice_word(signal).items()})

    sim = Simulator(Module())
    sim.add_testbench(bench)
    sim.run()
    return shown


@pytest.mark.parametrize("op", [op for op in Op if LAYOUTS[op]])
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_operands_are_those_encoded(op, data):
    given_ = {
        field.name: data.draw(st.integers(field.minimum, field.maximum), field.name)
        for field in LAYOUTS[op]
        if field.name != "reg"
    }
    if op is Op.SET:
        given_["reg"] = data.draw(st.integers(0, 8))
    word = encode(instruction(op, **given_))
    assert values_of(word, lambda signal: operands(signal, op)) == given_


@settings(max_examples=15, deadline=None)
@given(st.integers(-(2**31), 2**31 - 1), st.integers(0, 2**24 - 1), st.integers(0, 63))
@example(-1, 2**24 - 1, 63)
def test_requant_words(bias, mantissa, shift):
    word = pack_requant(bias, mantissa, shift)
    shown = values_of(word, lambda signal: cut(signal, REQUANT_FIELDS))
    assert shown == {"bias": bias, "mantissa": mantissa, "shift": shift}


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**16 - 1), *[st.integers(-(2**15), 2**15 - 1)] * 2)
def test_level_words(gate, low, high):
    word = pack_level(gate, low, high)
    shown = values_of(word, lambda signal: cut(signal, LEVEL_FIELDS))
    assert shown == {"gate": gate, "low": low, "high": high}


def test_a_field_that_is_wider_shifts_the_ones_above_it():
    wrong = (Field("gate", 17), *LEVEL_FIELDS[1:])
    shown = values_of(pack_level(1, -2, 3), lambda signal: cut(signal, wrong))
    assert shown != {"gate": 1, "low": -2, "high": 3}
