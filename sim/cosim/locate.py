"""Where in the array a layer's output comes from: for messages about a difference."""

from __future__ import annotations

from ...hw.image import Image
from ...hw.isa import Op
from .overhead import inference


def origin(image: Image, address: int) -> tuple[tuple[int, ...], tuple[int, int]]:
    """Tiles and the column pair behind activation word ``address``."""
    tiles: list[int] = []
    for instr in inference(image):
        if instr.op is Op.MVM:
            tiles = [instr["tile"]] if instr["clear"] else [*tiles, instr["tile"]]
        elif instr.op is Op.REQUANT and 0 <= address - instr["out"] < instr["count"]:
            pair = address - instr["out"]
            return tuple(dict.fromkeys(tiles)), (2 * pair, 2 * pair + 1)
    raise LookupError(f"no REQUANT of the program writes activation word {address}")


def conversions(image: Image) -> int:
    """Conversions of one inference: input planes summed over its MVMs."""
    return sum(instr["planes"] for instr in inference(image) if instr.op is Op.MVM)
