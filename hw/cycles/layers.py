"""Which layer of an image a run's cycles belong to. Plain Python."""

from __future__ import annotations

from ..image import Image, LayerSpan
from ..isa import Op
from .run import Run, Step


def layer_cycles(image: Image, run: Run) -> tuple[int, ...]:
    """Cycles of each layer, in the order of ``image.layers``.

    A layer ends with the last write into its span before the next one ends, and begins
    where the one before has ended; the ends of its loops are its own. What is left of the
    run, its beginning and ``HALT``, is no layer's.

    Parameters
    ----------
    image : Image
        What the run was predicted of. While a layer is computed nothing but its results is
        written over those of the layer before, which it needs.
    run : Run
        Of its ``infer``.
    """
    steps = run.steps
    owners: list[int | None] = [None] * len(steps)
    end = len(steps)
    for number in reversed(range(len(image.layers))):
        last = max((n for n in range(end) if _writes(steps[n], image.layers[number])), default=-1)
        owners[: last + 1] = [number] * (last + 1)
        end = last if last >= 0 else end
    loops: list[int | None] = []
    for n, step in enumerate(steps):
        if step.instruction.op is Op.LOOP:
            loops.append(owners[n])
        elif step.instruction.op is Op.END:
            owners[n] = loops.pop()
    cycles = [0] * len(image.layers)
    for owner, step in zip(owners, steps, strict=True):
        if owner is not None:
            cycles[owner] += step.cycles
    return tuple(cycles)


def _writes(step: Step, layer: LayerSpan) -> bool:
    """Whether it writes into a layer's span, in its loops' first round."""
    address = step.instruction.operands.get("out", -1)
    return 0 <= address - layer.span.address < layer.span.count
