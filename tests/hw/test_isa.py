"""The instruction set: what is encoded is decoded, and everything else is refused."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohmloom.hw.isa import (
    LAYOUTS,
    LEVEL_FIELDS,
    OPCODE_BITS,
    REQUANT_FIELDS,
    RESULT_FIELDS,
    WORD_BITS,
    WORD_BYTES,
    CellStatus,
    Dac,
    IsaError,
    Op,
    Reg,
    assemble,
    conversion_index,
    decode,
    disassemble,
    encode,
    instruction,
    pack_level,
    pack_requant,
    pack_result,
    parse,
    unpack_level,
    unpack_requant,
    unpack_result,
)

REFERENCE = (Path(__file__).parents[2] / "docs" / "isa.md").read_text()


def operand(op: Op, field):
    """Any value that the field takes."""
    high = max(Reg) if (op, field.name) == (Op.SET, "reg") else field.maximum
    return st.integers(field.minimum, high)


def instructions():
    return st.sampled_from(Op).flatmap(
        lambda op: st.builds(
            lambda operands: instruction(op, **operands),
            st.fixed_dictionaries({field.name: operand(op, field) for field in LAYOUTS[op]}),
        )
    )


def known(op: Op) -> dict[str, int]:
    """The smallest operands that an instruction takes."""
    return {field.name: field.minimum for field in LAYOUTS[op]}


@given(instructions())
def test_every_instruction_comes_back(instr):
    word = encode(instr)
    assert 0 <= word < 1 << WORD_BITS
    assert decode(word) == instr


@given(st.lists(instructions()))
def test_every_program_comes_back(program):
    code = assemble(program)
    assert len(code) == WORD_BYTES * len(program)
    assert parse(code) == program


@given(st.integers(0, 2**WORD_BITS - 1))
def test_a_word_is_refused_or_is_the_only_one_of_its_instruction(word):
    try:
        instr = decode(word)
    except IsaError:
        return
    assert encode(instr) == word


@given(instructions(), st.data())
def test_a_bit_outside_the_layout_is_refused(instr, data):
    used = OPCODE_BITS + sum(field.width for field in LAYOUTS[instr.op])
    bit = data.draw(st.integers(used, WORD_BITS + 8))
    with pytest.raises(IsaError, match="is not"):
        decode(encode(instr) | 1 << bit)


@pytest.mark.parametrize("opcode", sorted(set(range(1 << OPCODE_BITS)) - set(Op)))
def test_an_unknown_opcode_is_refused(opcode):
    with pytest.raises(IsaError, match=f"unknown opcode {opcode}$"):
        decode(opcode)


def test_layouts_fit_their_word():
    assert set(LAYOUTS) == set(Op)
    for op, layout in LAYOUTS.items():
        assert OPCODE_BITS + sum(field.width for field in layout) <= WORD_BITS, op.name


@pytest.mark.parametrize(
    ("word", "text"),
    [
        (0x0000_0000_0000_0000, "HALT"),
        (0x0000_0000_0000_0001, "NOP"),
        (0x0000_0FFF_FFFF_F002, "SET reg=CLAMP_LO, value=-1"),
        (0x0000_0000_0000_0943, "WAIT cycles=37"),
        (0x0000_0000_00BE_EF84, "DAC channel=GATE_PROGRAM, code=48879"),
        (
            0x01A0_F40C_0100_0145,
            "MVM tile=5, act=64, first=3, rows=61, planes=8, signed=1, clear=1",
        ),
    ],
)
def test_words_and_their_text(word, text):
    # Laid out by hand: a change of layout breaks programs that exist.
    instr = decode(word)
    assert str(instr) == text
    assert list(disassemble([instr])) == [f"    0  {word:016x}  {text}"]


def test_a_disassembly_counts_addresses():
    lines = list(disassemble([instruction(Op.NOP)] * 11 + [instruction(Op.HALT)]))
    assert lines[10:] == ["   10  0000000000000001  NOP", "   11  0000000000000000  HALT"]


@pytest.mark.parametrize(
    ("op", "name"), [(op, field.name) for op, layout in LAYOUTS.items() for field in layout]
)
def test_an_operand_outside_its_range_is_refused(op, name):
    (field,) = (field for field in LAYOUTS[op] if field.name == name)
    for value in (field.minimum - 1, field.maximum + 1):
        said = f"{op.name}.{name} = {value} is outside {field.minimum}..{field.maximum}"
        with pytest.raises(IsaError, match=re.escape(said)):
            instruction(op, **known(op) | {name: value})


@pytest.mark.parametrize(
    ("op", "name"),
    [
        (Op.MVM, "rows"),
        (Op.MVM, "planes"),
        (Op.REQUANT, "count"),
        (Op.PROGRAM, "count"),
        (Op.READ, "count"),
    ],
)
def test_an_instruction_that_does_nothing_is_refused(op, name):
    said = rf"{op.name}\.{name} = 0 is outside 1\.\."
    with pytest.raises(IsaError, match=said):
        instruction(op, **known(op) | {name: 0})
    one = encode(instruction(op, **known(op)))
    three = encode(instruction(op, **known(op) | {name: 3}))
    bit = (three - one) // 2
    with pytest.raises(IsaError, match=said):
        decode(one - bit)


@pytest.mark.parametrize("op", [op for op in Op if LAYOUTS[op]])
def test_operands_are_those_of_the_layout(op):
    name, *_ = known(op)
    missing = known(op)
    del missing[name]
    for operands in (missing, known(op) | {"speed": 1}, {}):
        with pytest.raises(IsaError, match=f"{op.name} takes operands"):
            instruction(op, **operands)


def test_an_unknown_register_is_refused():
    reg = max(Reg) + 1
    with pytest.raises(IsaError, match=f"SET.reg = {reg} is not a register"):
        instruction(Op.SET, reg=reg, value=0)
    with pytest.raises(IsaError, match="is not a register"):
        decode(Op.SET | reg << OPCODE_BITS)


@pytest.mark.parametrize("length", [1, 7, 9])
def test_a_program_that_is_cut_off_is_refused(length):
    with pytest.raises(IsaError, match=f"{length} bytes is not a whole number"):
        parse(bytes(length))


def test_a_program_with_a_bad_word_is_refused():
    with pytest.raises(IsaError, match="unknown opcode 63"):
        parse(assemble([instruction(Op.HALT)]) + (63).to_bytes(WORD_BYTES, "little"))


RECORDS = [
    (pack_requant, unpack_requant, REQUANT_FIELDS),
    (pack_level, unpack_level, LEVEL_FIELDS),
]


@pytest.mark.parametrize(("pack", "unpack", "fields"), RECORDS)
@given(data=st.data())
def test_every_record_comes_back(pack, unpack, fields, data):
    values = tuple(data.draw(st.integers(field.minimum, field.maximum)) for field in fields)
    word = pack(*values)
    assert 0 <= word < 1 << WORD_BITS
    assert unpack(word) == values


@pytest.mark.parametrize(("pack", "unpack", "fields"), RECORDS)
def test_a_record_outside_its_range_is_refused(pack, unpack, fields):
    for n, field in enumerate(fields):
        for value in (field.minimum - 1, field.maximum + 1):
            values = [0] * len(fields)
            values[n] = value
            with pytest.raises(IsaError, match=rf"\.{field.name} = {value} is outside"):
                pack(*values)


@given(st.integers(-(2**15), 2**15 - 1), st.integers(0, 255), st.sampled_from(CellStatus))
def test_every_result_comes_back(code, tries, status):
    word = pack_result(code, tries, status)
    assert word >> sum(field.width for field in RESULT_FIELDS) == 0
    assert unpack_result(word) == (code, tries, status)
    assert isinstance(unpack_result(word)[2], CellStatus)


def test_conversion_indices_are_distinct_and_fit_their_word():
    indices = {
        conversion_index(address, plane) for address in (0, 1, 0xFFFF) for plane in range(31)
    }
    assert len(indices) == 3 * 31
    assert max(indices) < 1 << 32
    assert conversion_index(0x1234, 5) == 0x1234_0005


def layout_text(fields) -> str:
    """Fields as the reference writes them: name, width, ``s`` for signed, ``+`` for not 0."""
    words = [f"{f.name}:{f.width}{'s' * f.signed}{'+' * f.positive}" for f in fields]
    return f"`{' '.join(words)}` |" if words else "|"


@pytest.mark.parametrize("op", Op)
def test_the_reference_has_every_instruction(op):
    assert f"| {op.value} | `{op.name}` | {layout_text(LAYOUTS[op])}" in REFERENCE


@pytest.mark.parametrize("member", [*Reg, *Dac, *CellStatus])
def test_the_reference_has_every_register_channel_and_status(member):
    assert f"| {member.value} | `{member.name}` |" in REFERENCE


@pytest.mark.parametrize("fields", [REQUANT_FIELDS, LEVEL_FIELDS, RESULT_FIELDS])
def test_the_reference_has_every_record(fields):
    assert layout_text(fields) in REFERENCE
