"""Where in the array a layer's output comes from: for messages about a difference."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...hw.cycles import executed
from ...hw.image import Image
from ...hw.isa import Instruction, Op, Reg, Scheme
from ..engine.post import POST, places
from ..numerics import IntArray
from .overhead import inference

_ADDRESSES = 1 << 16


def origin(image: Image, address: int) -> tuple[tuple[int, ...], tuple[int, int]]:
    """Tiles and the two columns behind activation word ``address``, the second one subtracted.

    Of a word that post-processing has made, those of the first word that it was made from.
    """
    return _origin(image, inference(image), address)


def _origin(
    image: Image, code: Sequence[Instruction], address: int
) -> tuple[tuple[int, ...], tuple[int, int]]:
    """The same by the instructions ``code`` alone: by the last one that writes the word.

    Of a word that is written in several rounds of a loop, that of the first of them.
    """
    for n, instr in reversed(list(enumerate(code))):
        if instr.op is Op.REQUANT:
            _, moved = _moved(code[:n], instr)
            outputs = address - instr["out"] - moved
            if (found := outputs[(outputs >= 0) & (outputs < instr["count"])]).size:
                output, tiles = int(found[0]), _tiles(code[:n])
                if tiles:
                    return tiles, _columns(code[:n], output)
                break  # a word that holds 0
        elif instr.op in POST:
            reads, writes = places(instr, image.params)
            acts, outs = _moved(code[:n], instr)
            rounds, made = np.nonzero(outs[:, np.newaxis] + writes == address)
            if rounds.size:
                return _origin(image, code[:n], int(acts[rounds[0]] + reads[made[0], 0]))
    raise LookupError(f"no REQUANT of the program writes activation word {address}")


def _moved(code: Sequence[Instruction], instr: Instruction) -> tuple[IntArray, IntArray]:
    """What the loops that ``code`` leaves open add to an instruction's addresses, by round."""
    loops: list[Instruction] = []
    for each in code:
        if each.op is Op.LOOP:
            loops.append(each)
        elif each.op is Op.END:
            loops.pop()
    moved = []
    for flag, step in (("move_act", "act_step"), ("move_out", "out_step")):
        total = np.zeros(1, np.int64)
        for loop in loops:
            steps = np.arange(loop["count"]) * loop[step] * instr.operands.get(flag, 0)
            total = np.add.outer(total, steps).ravel() % _ADDRESSES
        moved.append(total)
    return moved[0], moved[1]


def _tiles(code: Sequence[Instruction]) -> tuple[int, ...]:
    """Tiles whose products are in the accumulators after ``code``."""
    tiles: list[int] = []
    for instr in code:
        if instr.op is Op.MVM:
            tiles = [instr["tile"]] if instr["clear"] else [*tiles, instr["tile"]]
    return tuple(dict.fromkeys(tiles))


def _columns(code: Sequence[Instruction], output: int) -> tuple[int, int]:
    """Columns whose codes accumulator ``output`` is the difference of after ``code``."""
    schemes = (i["value"] for i in reversed(code) if i.op is Op.SET and i["reg"] == Reg.SCHEME)
    if next(schemes, Scheme.DIFFERENTIAL) == Scheme.DIFFERENTIAL:
        return 2 * output, 2 * output + 1
    return output + 1, 0


def conversions(image: Image) -> int:
    """Conversions of one inference: input planes summed over its MVMs, each round of loops."""
    code = image.code
    return sum(
        times * code[at]["planes"] for at, times in executed(image).items() if code[at].op is Op.MVM
    )
