"""What an FPGA has, and what a controller's memories take of it before anything is synthesised."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ..hw.geometry import Geometry
from ..hw.isa import WORD_BITS
from ..hw.link.frame import ROOM
from ..hw.modes.engine import TILE_BITS
from ..hw.profile import PROFILE_QUARTERS, QUARTER_BITS
from ..hw.tables import ENTRY_FIELDS, table_depth
from ..hw.verify import WEAR_BITS

Memories = Mapping[str, tuple[int, int]]
"""Bits of a word and number of words, by a memory's name."""

CELL_BITS = 32
ENTRY_BITS = sum(field.width for field in ENTRY_FIELDS)


@dataclass(frozen=True)
class Budget:
    """Cells of an FPGA.

    Attributes
    ----------
    luts, flip_flops:
        Tables (of four inputs, of six in a Xilinx) and flip-flops.
    block_rams, block_bits:
        Block RAMs, and bits of each.
    shapes:
        Widths that a block can have, each with its number of words.
    multipliers:
        Multipliers of 18 x 18 bits, or the DSP blocks in their place.
    table_bits:
        A memory of fewer bits may be made of tables instead, and takes no block here.
    """

    luts: int
    flip_flops: int
    block_rams: int
    shapes: tuple[tuple[int, int], ...]
    multipliers: int
    table_bits: int = 2048

    @property
    def block_bits(self) -> int:
        """Bits of a block RAM."""
        return max(width * words for width, words in self.shapes)

    def blocks(self, width: int, words: int) -> int:
        """Block RAMs that a memory takes at least."""
        if width * words < self.table_bits:
            return 0
        return min(-(-width // wide) * -(-words // deep) for wide, deep in self.shapes)

    def blocks_of(self, memories: Memories) -> dict[str, int]:
        """Block RAMs of each memory, the largest first."""
        found = {name: self.blocks(*size) for name, size in memories.items()}
        return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


def memories(geometry: Geometry) -> dict[str, tuple[int, int]]:
    """The controller's memories that its geometry sizes, each a power of two of words."""
    sizes = {
        "program_memory": (WORD_BITS, geometry.program_depth),
        "param_memory": (WORD_BITS, geometry.param_depth),
        "act_memory": (geometry.act_width, geometry.act_depth),
        "cell_memory": (CELL_BITS, geometry.cells),
        "profile_memory": (QUARTER_BITS, PROFILE_QUARTERS),
        "mode_memory": (TILE_BITS, geometry.tiles),
        "frame_memory": (8, geometry.window * ROOM),
    }
    if geometry.lock_depth:
        sizes["lock_memory"] = (1, geometry.lock_depth)
    if geometry.wear:
        sizes["wear_memory"] = (WEAR_BITS, geometry.cells)
    if geometry.calibration:
        sizes["calibration_memory"] = (ENTRY_BITS, table_depth(geometry))
    if geometry.log_depth:
        sizes["log_memory"] = (64, geometry.log_depth)
    return {name: (width, 1 << (words - 1).bit_length()) for name, (width, words) in sizes.items()}


def no_memories(_: Geometry) -> Memories:
    """Of a front end that has none worth counting."""
    return {}


AfeMemories = Callable[[Geometry], Memories]

ECP5_SHAPES = ((1, 16384), (2, 8192), (4, 4096), (9, 2048), (18, 1024), (36, 512))
"""DP16KD: Lattice FPGA-TN-02204 (ECP5 memory usage guide)."""
ICE40_SHAPES = ((2, 2048), (4, 1024), (8, 512), (16, 256))
"""SB_RAM40_4K: Lattice FPGA-TN-02002 (iCE40 memory usage guide)."""
GOWIN_SHAPES = ((1, 16384), (2, 8192), (4, 4096), (9, 2048), (18, 1024), (36, 512))
"""BSRAM of 18 Kbit: Gowin UG285 (Gowin BSRAM & SSRAM user guide)."""
XILINX_SHAPES = ((1, 16384), (2, 8192), (4, 4096), (9, 2048), (18, 1024), (36, 512))
"""RAMB18E1: AMD UG473 (7 Series memory resources)."""
