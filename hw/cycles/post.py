"""Cycles of post-processing. Plain Python."""

from __future__ import annotations

from collections.abc import Sequence

from ..geometry import Geometry
from ..isa import POOL_WORDS, Grid, Instruction, Op, unpack_pool
from ..post.widths import is_serial, product_bits

SCALER_CYCLES = 4
"""From ``load`` to ``result``; of the serial scaler 2 and one for each bit."""
REQUANT_CYCLES = 2
"""Of an output, beside those of the scaler."""
LUT_CYCLES = 3
"""Of a value."""
ADD_CYCLES, ADD_OVERHEAD = 7, 2
"""Of a value, and of an instruction beside its values."""
ARGMAX_CYCLES, ARGMAX_OVERHEAD = 1, 2
"""The same."""
POOL_OVERHEAD = 3
"""Of a ``POOL``: two for the window's word, one for the end."""
POOL_WINDOW = 2
"""Of a window, beside its activations and, of an average, those of the scaler."""
POOL_TURN = 2
"""Of a turn of the two outer loops; one of the innermost one takes a cycle."""

POST_OPS = (Op.REQUANT, Op.LUT, Op.POOL, Op.ADD, Op.ARGMAX)


def scaler_cycles(geometry: Geometry) -> int:
    """Cycles in which a value is scaled."""
    return 2 + product_bits(geometry) if is_serial(geometry) else SCALER_CYCLES


def pool_cycles(grid: Grid, average: bool, scaling: int = SCALER_CYCLES) -> int:
    """Cycles of a ``POOL`` whose scaler takes ``scaling`` for a value."""
    inner, middle, outer = (loop.count for loop in grid.loops)
    windows = inner * middle * outer
    window = grid.rows * grid.columns + POOL_WINDOW + scaling * average
    return POOL_OVERHEAD + windows * (window + 1) + POOL_TURN * (middle * outer + outer)


def post_cycles(instr: Instruction, params: Sequence[int], geometry: Geometry) -> int:
    """Cycles from the start strobe to ``done`` of one of :data:`POST_OPS`.

    Neither activations nor a move by loops change them.

    Parameters
    ----------
    instr : Instruction
        The instruction.
    params : sequence of int
        Parameter memory from address 0.
    geometry : Geometry
        Of the controller.

    Raises
    ------
    IsaError
        If a ``POOL`` has no record there.
    ValueError
        If it is another instruction.
    """
    scaling = scaler_cycles(geometry)
    match instr.op:
        case Op.REQUANT:
            return (REQUANT_CYCLES + scaling) * instr["count"]
        case Op.LUT:
            return LUT_CYCLES * instr["count"]
        case Op.POOL:
            grid = unpack_pool(params[instr["param"] : instr["param"] + POOL_WORDS])
            return pool_cycles(grid, bool(instr["average"]), scaling)
        case Op.ADD:
            return ADD_OVERHEAD + ADD_CYCLES * instr["count"]
        case Op.ARGMAX:
            return ARGMAX_OVERHEAD + ARGMAX_CYCLES * instr["count"]
        case other:
            raise ValueError(f"{other.name} is no post-processing")
