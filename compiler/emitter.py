"""Instructions in the making: what the layers write their part of a program with."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import numpy as np

from ..hw.banks import BANK_OF, BANKED, BANKS, SOURCE_BANKS, unit
from ..hw.geometry import Geometry
from ..hw.isa import (
    ADD_SOURCE_FIELDS,
    LAYOUTS,
    TABLE_WORDS,
    Instruction,
    IsaError,
    Op,
    Reg,
    Scheme,
    Sum,
    instruction,
    pack_add,
    pack_pool,
)
from .address import Addresses, Nest, copies
from .errors import TargetError
from .layers import Bounded, Layer, Matrix, Values
from .scales import Scale

_SOURCES = ADD_SOURCE_FIELDS[1].maximum + 1
_ADDED = LAYOUTS[Op.ADD][2].maximum
"""Addresses that the sources of an ``ADD`` reach, and sums that one makes."""


_INSIDE = BANKS | {Reg.SCHEME}
"""Registers that are set inside of loops."""


class LackingError(Exception):
    """An instruction that the controller has not got."""


@dataclass
class Program:
    """Instructions so far, entry points, and what the registers are known to hold.

    Operands are the addresses that are meant: where a controller has banks, those that do
    not fit an instruction are made to by its bank registers.
    """

    geometry: Geometry
    code: list[Instruction] = field(default_factory=list)
    entries: dict[str, int] = field(default_factory=dict)
    registers: dict[Reg, int] = field(default_factory=dict)
    _loops: list[dict[Reg, int]] = field(default_factory=list)
    """Registers that change inside, at the begin of each open loop."""

    def copy(self) -> Program:
        """The same so far, to go on with."""
        return Program(self.geometry, list(self.code), dict(self.entries), dict(self.registers))

    def enter(self, name: str) -> None:
        """Start an entry: what an earlier run left in the registers is not known."""
        self.entries[name] = len(self.code)
        self.registers.clear()

    def insert(self, address: int, code: Sequence[Instruction]) -> None:
        """Put instructions at an address; entries behind it move."""
        self.code[address:address] = code
        for name, entry in self.entries.items():
            self.entries[name] = entry + len(code) * (entry > address)

    def emit(self, op: Op, **operands: int) -> None:
        """Add an instruction.

        Raises
        ------
        LackingError
            If the controller has not got it.
        """
        if not self.geometry.has(op):
            raise LackingError(f"needs {op.name}, which the target's controller lacks")
        if op is Op.LOOP:
            self._loops.append({reg: self.registers[reg] for reg in _INSIDE & set(self.registers)})
        elif op is Op.END:
            # The next round begins with what the first one began with.
            for reg, value in self._loops.pop().items():
                self.set(reg, value)
        if self.geometry.banks:
            for field_ in LAYOUTS[op]:
                if field_.name in BANKED[op]:
                    reg, step = BANK_OF[field_.name], unit(field_.name)
                    address = (operands[field_.name] - field_.positive) * step
                    reach = (field_.maximum + 1 - field_.positive) * step
                    left = self.banked(reg, address, reach) // step
                    operands[field_.name] = left + field_.positive
        self.code.append(instruction(op, **operands))

    def banked(self, reg: Reg, address: int, reach: int) -> int:
        """What is left of an address for a field that reaches so many, over its bank.

        A bank begins at every half of what a field reaches, so that neighbours share one.
        """
        if not self.geometry.banks:
            return address
        bank = self.registers.get(reg)
        if bank is None or not bank <= address < bank + reach:
            self.set(reg, bank := address - address % (reach // 2))
        return address - bank

    def set(self, reg: Reg, value: int) -> None:
        """Set a register unless it holds the value already."""
        if self.registers.get(reg) != value:
            self.emit(Op.SET, reg=reg, value=value)
            self.registers[reg] = value


@dataclass(frozen=True)
class Piece:
    """A part of a tile in an ``MVM``: rows, the inputs from ``act`` on, slice and columns."""

    tile: int
    act: int
    first: int
    rows: int
    shift: int
    scheme: Scheme


@dataclass(frozen=True)
class Product:
    """One matrix on the tiles, ready to be applied.

    Attributes
    ----------
    outputs:
        First output, outputs and parameter address of each group of columns, with the
        pieces of the tiles that hold it.
    planes, signed:
        Input bit planes.
    tia_range:
        In which its columns are converted.
    """

    outputs: tuple[tuple[int, int, int, tuple[Piece, ...]], ...]
    planes: int
    signed: bool
    tia_range: int

    def emit(
        self, emitter: Emitter, act: int, out: int, *, move_act: bool = False, move_out: bool
    ) -> None:
        """Inputs from ``act`` on to outputs from ``out`` on."""
        for first, count, param, pieces in self.outputs:
            for number, piece in enumerate(pieces):
                emitter.combine(piece.scheme)
                emitter.emit(
                    Op.MVM,
                    tile=piece.tile,
                    act=act + piece.act,
                    first=piece.first,
                    rows=piece.rows,
                    planes=self.planes,
                    signed=int(self.signed),
                    clear=int(number == 0),
                    move_act=int(move_act),
                    shift=piece.shift,
                )
            emitter.emit(
                Op.REQUANT, out=out + first, param=param, count=count, move_out=int(move_out)
            )


class Emitter:
    """Where a network's values lie and what they mean, and the program that is made.

    Parameters
    ----------
    program :
        Instructions are added to it.
    params :
        Parameter words so far; records and tables are added.
    places :
        Addresses of values, -1 of ``ZERO``.
    zero :
        Address of a word that holds 0.
    scale :
        Scale of a value, by its number.
    products :
        Matrices of the layers, by the name of the layer.
    free :
        First activation word that nothing lies in.
    """

    def __init__(
        self,
        program: Program,
        params: list[int],
        places: Callable[[Values], Addresses],
        zero: int,
        scale: Callable[[int], Scale],
        products: Mapping[str, Sequence[Product]],
        free: int,
    ) -> None:
        self.program = program
        self.geometry = program.geometry
        self.params = params
        self.used = self._free = free
        self.zero_used = False
        self._places = places
        self._zero = zero
        self._scale = scale
        self._products = products
        self._records: dict[tuple[int, ...], int] = {}

    # -- what a layer asks ------------------------------------------------------------

    def addresses(self, values: Values | range) -> Addresses:
        """Word addresses of values; -1 of ``ZERO``."""
        return self._places(np.asarray(values))

    def scale(self, values: Values) -> Scale:
        """The one scale of values that are read or made together."""
        return self._scale(int(values.max()))

    def products(self, layer: Matrix) -> Sequence[Product]:
        """The layer's matrices on the tiles, one of each block."""
        return self._products[layer.name]

    # -- what a layer does ------------------------------------------------------------

    def emit_layer(self, layer: Layer) -> None:
        """The layer's instructions.

        Raises
        ------
        TargetError
            If the controller lacks one of them, or a record does not fit its word.
        """
        try:
            layer.emit(self)
        except (IsaError, LackingError) as error:
            raise TargetError(f"layer '{layer.name}' ({layer.kind}): {error}") from error

    def emit(self, op: Op, **operands: int) -> None:
        """Add an instruction; addresses may be numpy's."""
        self.program.emit(op, **{name: int(value) for name, value in operands.items()})

    def add(self, out: int, record: Sum, count: int) -> None:
        """The sums of values one after the other, ``count`` of them."""
        for first in range(0, count, _ADDED):
            sources = [
                self.program.banked(reg, address + first, _SOURCES)
                for reg, address in zip(SOURCE_BANKS, (record.a, record.b), strict=True)
            ]
            word = replace(record, a=sources[0], b=sources[1])
            some = min(_ADDED, count - first)
            self.emit(Op.ADD, out=out + first, param=self.record(pack_add(word)), count=some)

    def clamp(self, layer: Bounded) -> None:
        """Hold what follows between the layer's bounds and inside its scale."""
        scale = self.scale(layer.made)
        self.clamp_between(*scale.between(layer.low, layer.high))

    def convert_in(self, product: Product) -> None:
        """Convert what follows in the TIA range of a matrix, its columns as in its first piece."""
        self.program.set(Reg.TIA_RANGE, product.tia_range)
        self.combine(product.outputs[0][3][0].scheme)

    def combine(self, scheme: Scheme) -> None:
        """Subtract columns from each other in this way, where there is more than one."""
        if self.geometry.has_single:
            self.program.set(Reg.SCHEME, scheme)

    def clamp_between(self, low: int, high: int) -> None:
        """Hold what follows between two drives."""
        self.program.set(Reg.CLAMP_LO, low)
        self.program.set(Reg.CLAMP_HI, high)

    def record(self, words: Sequence[int]) -> int:
        """Parameter address of a record; equal ones are there once."""
        key = tuple(words)
        if key not in self._records:
            self._records[key] = len(self.params)
            self.params += words
        return self._records[key]

    def table(self, words: Sequence[int]) -> int:
        """Number of a table; equal ones are there once."""
        key = (-1, *words)  # no record begins so: where a table lies is a rule of its own
        if key not in self._records:
            self.params += [0] * (-len(self.params) % TABLE_WORDS)
            self._records[key] = len(self.params)
            self.params += words
        return self._records[key] // TABLE_WORDS

    def copy(self, source: Addresses, target: Addresses, *, moves: bool = False) -> None:
        """Copy words; with ``moves`` from where the open loops have moved the source to."""
        self.zero_used |= bool((source < 0).any())
        for copy in copies(source, target, self._zero):
            self.emit(
                Op.POOL,
                act=copy.act,
                out=copy.out,
                param=self.record(pack_pool(copy.grid)),
                average=0,
                move_act=int(moves),
            )

    @property
    def room(self) -> int:
        """Words that :meth:`scratch` has left."""
        return max(self.geometry.act_depth - self._free, 0)

    def scratch(self, words: int) -> int:
        """Address of words that are free until the end of :meth:`temporary`."""
        address = self._free
        self._free += words
        self.used = max(self.used, self._free)
        return address

    @contextmanager
    def temporary(self) -> Iterator[None]:
        """What is taken by :meth:`scratch` inside is given back at the end."""
        before = self._free
        yield
        self._free = before

    def laid_out(self, source: Addresses) -> Addresses:
        """Addresses of the same values, one after the other: as they are, or of a copy."""
        if (source >= 0).all() and (np.diff(source) == 1).all():
            return source
        made = self.scratch(len(source)) + np.arange(len(source))
        self.copy(source, made)
        return made

    @contextmanager
    def loops(self, nest: Nest) -> Iterator[bool]:
        """Loops over a nest of read and written addresses; whether there are any."""
        for count, (act_step, out_step) in reversed(nest.loops):
            self.emit(
                Op.LOOP,
                count=count,
                act_step=act_step % self.geometry.addresses,
                out_step=out_step % self.geometry.addresses,
            )
        yield bool(nest.loops)
        for _ in nest.loops:
            self.emit(Op.END)
