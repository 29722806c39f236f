"""What a user may choose when compiling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from ..hw.afe.kinds import FrontEndKind
from ..sim.array.lines import Wires
from .encoding import Encoding, SchemeName
from .scales import MAX_BITS, MIN_BITS

MAX_SLICES = 8
MAX_OHMS = 1e6


class LayerOptions(BaseModel):
    """Choices for one layer that differ from those for all of them."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    act_bits: Annotated[int, Field(ge=MIN_BITS, le=MAX_BITS)] | None = None
    """Bits of what it makes."""
    tia_range: Annotated[int, Field(ge=0, lt=8)] | None = None
    """Index of the TIA range of its matrices."""
    slices: Annotated[int, Field(ge=1, le=MAX_SLICES)] | None = None
    """Slices of its weights."""
    scheme: SchemeName | None = None
    """Which columns its weights are in."""


class Options(BaseModel):
    """Choices of one compilation; all of them are recorded in the bundle."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    act_bits: Annotated[int, Field(ge=MIN_BITS, le=MAX_BITS)] = 8
    """Bits of the input and of hidden activations."""
    seed: Annotated[int, Field(ge=0, lt=1 << 32)] = 1
    """Seed of every named draw: cells as made, pulses, reads, conversions."""
    clk_hz: Annotated[int, Field(gt=0, le=10**9)] = 48_000_000
    """Clock of the controller; pulse widths are counted in it."""
    tia_range: Annotated[int, Field(ge=0, lt=8)] | None = None
    """Index of the TIA range; None takes the smallest one that all rows fit into."""
    slices: Annotated[int, Field(ge=1, le=MAX_SLICES)] = 1
    """Cells, or pairs of them, that hold one weight, each counting more than the one before."""
    scheme: SchemeName = "differential"
    """Which columns weights are in (:class:`~ohmloom.compiler.encoding.Encoding`)."""
    pack: Annotated[int, Field(ge=1)] = 4
    """Small matrices of a layer, at most, that are joined to one: fewer products, but every
    output then has the errors of the cells beside its own."""
    spare: bool = True
    """Whether matrices have rows to spare, with a fault map."""
    permute: bool = True
    """Whether channels are put in another order around stuck cells, with a fault map."""
    verify: bool = True
    """Whether cells are written until a read finds them on their level; else once."""
    bias_correction: bool = False
    """Whether biases make up for the mean of what rounded and stuck weights change."""
    golden_samples: Annotated[int, Field(ge=0, le=1024)] = 8
    """Calibration samples whose integers are kept as golden vectors; 0: the network is not run."""
    layers: dict[str, LayerOptions] = Field(default_factory=dict)
    """By the name of a layer, or of the input, what is chosen for it."""
    wire_ohms: Annotated[float, Field(ge=0, le=MAX_OHMS, allow_inf_nan=False)] = 0.0
    """Resistance of a segment of a row or a column, from cell to cell [ohm]; 0: lines have none."""
    afe: FrontEndKind = FrontEndKind.ARRAY_CARD
    """Front end of the controller, whose cycles are counted; no integer depends on it."""
    host: bool = True
    """Whether operators that have no lowering run on the host; else they are refused."""

    @property
    def wires(self) -> Wires | None:
        """The lines of every tile; None: they have no resistance."""
        return Wires(self.wire_ohms, self.wire_ohms) if self.wire_ohms else None

    def encodings(self, levels: int, layers: Sequence[str]) -> dict[int, Encoding]:
        """How weights lie in cells of so many levels, by the numbers of layers with these names."""
        chosen = [self.layers.get(name, LayerOptions()) for name in layers]
        return {
            number: Encoding(levels, own.slices or self.slices, own.scheme or self.scheme)
            for number, own in enumerate(chosen)
        }
