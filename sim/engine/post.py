"""Post-processing of activations, in the integers and the order of the gateware.

An instruction makes its values one after the other: a value that it has written is
what a later one of the same instruction reads. Where none does, all are made at once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ...hw.geometry import Geometry
from ...hw.isa import (
    ADD_WORDS,
    POOL_WORDS,
    TABLE_WORDS,
    Grid,
    Instruction,
    IsaError,
    Op,
    unpack_add,
    unpack_pool,
    unpack_requant,
    unpack_table,
)
from ..compiled import compiled
from ..numerics import IntArray, round_half_even_shift, scale
from .errors import EngineError
from .workers import ALONE, Workers

POST = (Op.LUT, Op.POOL, Op.ADD, Op.ARGMAX)
"""What is executed here."""
_KERNEL = ".engine.post_kernel"

Operand = Callable[[int | slice], NDArray[np.integer]]
"""The n-th activation that each value is made from, shape (..., values); of a slice of them,
shape (..., values, n)."""
Maker = Callable[[Operand], NDArray[np.integer]]
"""From them to the values, shape (..., values)."""


class PostProcessor:
    """Executes ``LUT``, ``POOL``, ``ADD`` and ``ARGMAX`` on activations.

    Parameters
    ----------
    geometry, params :
        Of the image.
    clamp :
        ``CLAMP_LO`` and ``CLAMP_HI``.
    """

    def __init__(
        self, geometry: Geometry, params: NDArray[np.uint64], clamp: tuple[int, int]
    ) -> None:
        self.geometry = geometry
        self.params = params
        self.clamp = clamp

    def execute(
        self, instr: Instruction, act: NDArray[np.integer], workers: Workers = ALONE
    ) -> None:
        """Execute one instruction on activations, shape (batch, act_depth), in place.

        Raises
        ------
        EngineError
            If it reaches beyond a memory, or a value is no activation.
        """
        if self._copies(instr, act, workers) or self._adds(instr, act, workers):
            return
        reads, writes = places(instr, self.params)
        self._check(max(reads.max(), writes.max()))
        loops = compiled(_KERNEL, reads.size * len(act))
        if loops is not None and instr.op is Op.POOL and not instr["average"]:
            workers.share(act, reads.size, lambda part: loops.largest(part, reads, writes))
        else:
            make = self.maker(instr)
            for part in self._parts(reads, writes):
                act[:, writes[part]] = make(lambda n, at=reads[part]: act[:, at[:, n]])

    def _copies(self, instr: Instruction, act: NDArray[np.integer], workers: Workers) -> bool:
        """Whether an instruction does nothing but copy, in compiled loops; then it is done."""
        if instr.op is not Op.POOL or instr["average"]:
            return False
        grid = unpacked(self.params, instr["param"])
        loops = compiled(_KERNEL, len(act) * math.prod(loop.count for loop in grid.loops))
        if loops is None or grid.rows * grid.columns > 1:
            return False
        runs, read, written = _runs(grid)
        self._check(max(instr["act"] + read, instr["out"] + written))
        runs = runs + (instr["act"], 0, instr["out"], 0)
        workers.share(act, int(runs[:, 3].sum()), lambda part: loops.copied(part, runs))
        return True

    def _adds(self, instr: Instruction, act: NDArray[np.integer], workers: Workers) -> bool:
        """The same of a sum."""
        if instr.op is not Op.ADD:
            return False
        count, out = instr["count"], instr["out"]
        loops = compiled(_KERNEL, len(act) * count)
        if loops is None:
            return False
        a, b = _terms(instr, self.params)
        self._check(max(a, b, out) + count - 1)
        numbers = a, b, out, count, *self._sum(instr), *self.clamp
        workers.share(act, count, lambda part: loops.added(part, *numbers))
        return True

    def _check(self, largest: int) -> None:
        depth = self.geometry.act_depth
        if largest >= depth:
            raise EngineError(f"activation {largest} is past the end, the controller has {depth}")

    def maker(self, instr: Instruction) -> Maker:
        """What makes the values of an instruction; where they are is not looked at.

        Raises
        ------
        EngineError
            If the image lacks parameters. What is returned raises it too, if a value is no
            activation.
        """
        made = {Op.LUT: self._lut, Op.POOL: self._pool, Op.ADD: self._add, Op.ARGMAX: self._argmax}
        return made[instr.op](instr)

    def _lut(self, instr: Instruction) -> Maker:
        words = self.params[TABLE_WORDS * instr["table"] :][:TABLE_WORDS]
        entries = np.array(unpack_table(words.tolist()))

        def make(operand: Operand) -> NDArray[np.integer]:
            values = entries[operand(0) & 0xFF]
            low, high = int(values.min(initial=0)), int(values.max(initial=0))
            if low < -self.geometry.act_max - 1 or high > self.geometry.act_max:
                raise EngineError(
                    f"an activation from the table in {low}..{high} does not fit "
                    f"{self.geometry.act_width} bits"
                )
            return values

        return make

    def _pool(self, instr: Instruction) -> Maker:
        grid, scaling = unpacked(self.params, instr["param"]), None
        if instr["average"]:
            scaling = unpack_requant(_words(self.params, instr["param"] + POOL_WORDS, 1)[0])

        def make(operand: Operand) -> NDArray[np.integer]:
            total = operand(0)
            if scaling is None:
                for n in range(1, grid.rows * grid.columns):
                    total = np.maximum(total, operand(n))
                return total
            total = total.astype(np.int64)
            for n in range(1, grid.rows * grid.columns):
                total += operand(n)
            bias, mantissa, shift = scaling
            return np.clip(scale(total + bias, mantissa, shift), *self.clamp)

        return make

    def _add(self, instr: Instruction) -> Maker:
        mantissa_a, mantissa_b, bias, shift = self._sum(instr)

        def make(operand: Operand) -> NDArray[np.integer]:
            a, b = (operand(n).astype(np.int64) for n in (0, 1))
            total = a * mantissa_a + b * mantissa_b + bias
            return np.clip(round_half_even_shift(total, shift), *self.clamp)

        return make

    def _sum(self, instr: Instruction) -> tuple[int, int, int, int]:
        """Mantissas, bias and shift of an ``ADD``."""
        add = unpack_add(_words(self.params, instr["param"], ADD_WORDS))
        return add.mantissa_a, add.mantissa_b, add.bias, add.shift

    def _argmax(self, instr: Instruction) -> Maker:
        def make(operand: Operand) -> NDArray[np.integer]:
            values = operand(slice(None))
            if instr["last"]:
                return values.shape[-1] - 1 - values[..., ::-1].argmax(axis=-1)
            return values.argmax(axis=-1)

        return make

    def _parts(self, reads: IntArray, writes: IntArray) -> Iterator[slice]:
        """Values that can be made at once: all of them, or one after the other.

        Parameters
        ----------
        reads :
            Addresses that each value is made from, shape (values, n).
        writes :
            Its own address, shape (values,).
        """
        order = np.arange(len(writes))
        first = min(reads.min(), writes.min())
        last_read = np.full(max(reads.max(), writes.max()) - first + 1, -1)
        np.maximum.at(last_read, reads.ravel() - first, np.repeat(order, reads.shape[1]))
        if (last_read[writes - first] > order).any():
            return (slice(n, n + 1) for n in order)
        return iter([slice(0, len(writes))])


@lru_cache(maxsize=16)
def _runs(grid: Grid) -> tuple[IntArray, int, int]:
    """Copies in runs, as the compiled loop takes them, and the largest addresses that they read
    and write, all without ``act`` and ``out``."""
    windows, writes = _windows(grid)
    reads = windows[:, 0]
    steps = np.diff(reads)
    inside = (np.diff(writes) == 1) & ((steps == 0) | (steps == 1))
    inside[1:] &= (steps[1:] == steps[:-1]) | ~inside[:-1]
    starts = np.flatnonzero(np.append(True, ~inside))
    counts = np.diff(np.append(starts, len(reads)))
    step = np.append(steps, 0)[starts] * (counts > 1)
    runs = np.stack([reads[starts], step, writes[starts], counts], axis=1)
    return runs, int(reads.max()), int(writes.max())


def _words(params: NDArray[np.uint64], address: int, count: int) -> list[int]:
    if address + count > len(params):
        raise EngineError(
            f"parameters {address}..{address + count - 1} are not in the image, "
            f"which has {len(params)}"
        )
    return [int(word) for word in params[address : address + count]]


def unpacked(params: NDArray[np.uint64], param: int) -> Grid:
    """The windows of a ``POOL`` with parameters at an address.

    Raises
    ------
    EngineError
        If the image has not the parameters, or they describe no window.
    """
    try:
        return _grid(*_words(params, param, POOL_WORDS))
    except IsaError as error:
        raise EngineError(str(error)) from error


@lru_cache(maxsize=64)
def _grid(*words: int) -> Grid:
    return unpack_pool(words)


def places(instr: Instruction, params: NDArray[np.uint64]) -> tuple[IntArray, IntArray]:
    """What a ``LUT``, ``POOL``, ``ADD`` or ``ARGMAX`` reads and writes.

    Returns
    -------
    Addresses that each value is made from, shape (values, n), and its own address, shape
    (values,), in the order in which they are made.

    Raises
    ------
    EngineError
        If the image has not the parameters, or they describe no window.
    """
    match instr.op:
        case Op.POOL:
            reads, writes = _windows(unpacked(params, instr["param"]))
            return instr["act"] + reads, instr["out"] + writes
        case Op.ADD:
            k = np.arange(instr["count"])
            a, b = _terms(instr, params)
            return np.stack([a + k, b + k], axis=1), instr["out"] + k
        case Op.LUT:
            _words(params, TABLE_WORDS * instr["table"], TABLE_WORDS)
            k = np.arange(instr["count"])
            return instr["act"] + k[:, np.newaxis], instr["out"] + k
        case _:
            k = np.arange(instr["count"])
            return instr["act"] + k[np.newaxis], np.array([instr["out"]])


def _terms(instr: Instruction, params: NDArray[np.uint64]) -> tuple[int, int]:
    """Where the first values are that an ``ADD`` adds."""
    add = unpack_add(_words(params, instr["param"], ADD_WORDS))
    return instr.operands.get("a_bank", 0) + add.a, instr.operands.get("b_bank", 0) + add.b


@lru_cache(maxsize=16)
def _windows(grid: Grid) -> tuple[IntArray, IntArray]:
    """What a ``POOL`` reads and writes, window after window, without ``act`` and ``out``."""
    inner, middle, outer = (np.arange(loop.count) for loop in grid.loops)
    steps = [(loop.act_step, loop.out_step) for loop in grid.loops]
    place = [
        np.add.outer(np.add.outer(outer * steps[2][n], middle * steps[1][n]), inner * steps[0][n])
        for n in (0, 1)
    ]
    window = np.add.outer(
        np.arange(grid.rows) * grid.row_step, np.arange(grid.columns) * grid.column_step
    )
    return np.add.outer(place[0].ravel(), window.ravel()), place[1].ravel()
