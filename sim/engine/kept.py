"""What an engine has found out about a program, for the next time that it executes it."""

from __future__ import annotations

from dataclasses import dataclass, field

from ...hw.banks import Banks
from ...hw.image import Image
from ...hw.isa import Instruction
from .fused import Requant
from .nest import Nest, nest_at
from .product import Product
from .staying import Plan


@dataclass
class Kept:
    """Of one image.

    Attributes
    ----------
    image:
        Which.
    instructions:
        Those that were accepted, by address, what loops add, and registers.
    nests:
        By address; None where there is none.
    products:
        By address, the identity of what they hold, registers and rail.
    requants:
        Parameters, by their words.
    plans:
        Of the rounds of loops, by address, what loops around them add, banks and the first
        round; None where they are not independent.
    """

    image: Image
    instructions: dict[tuple[int, ...], Instruction] = field(default_factory=dict)
    nests: dict[int, Nest | None] = field(default_factory=dict)
    products: dict[tuple[int | None, ...], Product] = field(default_factory=dict)
    requants: dict[bytes, Requant] = field(default_factory=dict)
    plans: dict[tuple[int, tuple[int, int], Banks, int], Plan | None] = field(default_factory=dict)

    def nest(self, address: int) -> Nest | None:
        """The nest whose outermost ``LOOP`` is at an address."""
        if address not in self.nests:
            self.nests[address] = nest_at(self.image.code, address)
        return self.nests[address]
