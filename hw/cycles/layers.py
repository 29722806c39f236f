"""Which layer of an image a run's cycles belong to. Plain Python."""

from __future__ import annotations

from collections.abc import Sequence

from ..image import Image, LayerSpan
from ..isa import Instruction, Op
from .run import Run


def layer_cycles(image: Image, run: Run) -> tuple[int, ...]:
    """Cycles of each layer, in the order of ``image.layers``.

    What is left of the run, its beginning and ``HALT``, is no layer's.

    Parameters
    ----------
    image : Image
        What the run was predicted of.
    run : Run
        Of its ``infer``.
    """
    cycles = [0] * len(image.layers)
    owners = layer_of_each(image, [step.instruction for step in run.steps])
    for owner, step in zip(owners, run.steps, strict=True):
        if owner is not None:
            cycles[owner] += step.cycles
    return tuple(cycles)


def layer_of_each(image: Image, code: Sequence[Instruction]) -> list[int | None]:
    """Number of the layer that each instruction belongs to, None for those of no layer.

    A layer ends with the last write into its span before the next one ends, and begins
    where the one before has ended; the ends of its loops are its own.

    Parameters
    ----------
    image : Image
        While a layer of it is computed nothing but its results is written over those of the
        layer before, which it needs.
    code : sequence of Instruction
        Those of its ``infer`` that are executed, by address.
    """
    owners: list[int | None] = [None] * len(code)
    end = len(code)
    for number in reversed(range(len(image.layers))):
        last = max((n for n in range(end) if _writes(code[n], image.layers[number])), default=-1)
        owners[: last + 1] = [number] * (last + 1)
        end = last if last >= 0 else end
    loops: list[int | None] = []
    for n, instr in enumerate(code):
        if instr.op is Op.LOOP:
            loops.append(owners[n])
        elif instr.op is Op.END:
            owners[n] = loops.pop()
    return owners


def _writes(instr: Instruction, layer: LayerSpan) -> bool:
    """Whether it writes into a layer's span, in its loops' first round."""
    address = instr.operands.get("out", -1)
    return 0 <= address - layer.span.address < layer.span.count
