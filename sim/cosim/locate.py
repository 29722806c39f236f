"""Where in the array a layer's output comes from: for messages about a difference."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...hw.cycles import executed
from ...hw.image import Image
from ...hw.isa import Instruction, Op
from ..engine.post import POST, places
from .overhead import inference


def origin(image: Image, address: int) -> tuple[tuple[int, ...], tuple[int, int]]:
    """Tiles and the column pair behind activation word ``address``.

    Of a word that post-processing has made, those of the first word that it was made from.
    """
    return _origin(image, inference(image), address)


def _origin(
    image: Image, code: Sequence[Instruction], address: int
) -> tuple[tuple[int, ...], tuple[int, int]]:
    """The same by the instructions ``code`` alone."""
    tiles: list[int] = []
    for n, instr in enumerate(code):
        if instr.op is Op.MVM:
            tiles = [instr["tile"]] if instr["clear"] else [*tiles, instr["tile"]]
        elif instr.op is Op.REQUANT and 0 <= address - instr["out"] < instr["count"]:
            pair = address - instr["out"]
            return tuple(dict.fromkeys(tiles)), (2 * pair, 2 * pair + 1)
        elif instr.op in POST:
            reads, writes = places(instr, image.params)
            if (made := np.flatnonzero(writes == address)).size:
                return _origin(image, code[:n], int(reads[made[-1], 0]))
    raise LookupError(f"no REQUANT of the program writes activation word {address}")


def conversions(image: Image) -> int:
    """Conversions of one inference: input planes summed over its MVMs, each round of loops."""
    code = image.code
    return sum(
        times * code[at]["planes"] for at, times in executed(image).items() if code[at].op is Op.MVM
    )
