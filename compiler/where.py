"""Which part of a network runs where, and why there."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from ..hw.cycles import layer_of_each
from ..hw.isa import Instruction, Op
from .compiled import Compiled

CONTROLLER, HOST = "controller", "host"
WHY = {
    "matrix": "a constant matrix: weights are conductances, columns add up their currents",
    "sum": "values times constants: the controller has a multiplier, tiles would be too coarse",
    "max pool": "a comparison of values, which no column of cells makes",
    "mean pool": "a sum of integers, which the controller makes without an error",
    "function": "no function of a value is a sum: the controller looks it up in a table",
    "product": "both factors are activations: no cell holds either, so it is squares by table",
    "threshold": "a comparison of values, which no column of cells makes",
    "argmax": "a comparison of values, which no column of cells makes",
    "copy": "values are only moved",
    HOST: "no lowering",
}
"""By the kind of layer."""
_AROUND = (Op.SET, Op.LOOP, Op.END, Op.HALT, Op.NOP)


@dataclass(frozen=True)
class Where:
    """One layer.

    Attributes
    ----------
    name, kind:
        Of the layer.
    where:
        What runs it.
    why:
        Why that does.
    """

    name: str
    kind: str
    where: str
    why: str


def places(compiled: Compiled, code: Sequence[Instruction]) -> list[Where]:
    """Every layer of a network, in order.

    ``code`` is that of an inference, with the addresses that are meant.
    """
    image = compiled.image
    ops: dict[str, list[str]] = defaultdict(list)
    tiles: dict[str, set[int]] = defaultdict(set)
    for p in compiled.placements:
        tiles[compiled.layers[p.layer].name].add(p.tile)
    for owner, instr in zip(layer_of_each(image, code), code, strict=True):
        if owner is None or instr.op in _AROUND:
            continue
        name = image.layers[owner].name
        if instr.op is Op.MVM:
            tiles[name].add(instr["tile"])
        if instr.op.name not in ops[name]:
            ops[name].append(instr.op.name)
    found, reasons = [], _reasons(compiled)
    for layer in compiled.layers:
        if layer.kind == HOST:
            why = f"{WHY[HOST]}: {next(reasons)}"
            found.append(Where(layer.name, layer.kind, HOST, why))
            continue
        on, done = tiles[layer.name], ops[layer.name]
        where = f"tile{'s' * (len(on) > 1)} {_ranges(on)}" if on else CONTROLLER
        where += f": {', '.join(done)}" if done else ""
        found.append(Where(layer.name, layer.kind, where, WHY.get(layer.kind, "")))
    return found


def _reasons(compiled: Compiled) -> Iterator[str]:
    """For each layer that the host makes, why its segment's nodes are there."""
    for step in compiled.host:
        nodes = step.segment.nodes
        told = "; ".join(f"{node.operator} {node.node}, {node.reason}" for node in nodes)
        yield from [told] * max(len(step.gives), 1)


def _ranges(numbers: Iterable[int]) -> str:
    """Numbers as ``0-5, 8``."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else f"{run[0]}" for run in runs)
