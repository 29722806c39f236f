"""Scales that a quantised model says its tensors have, where several are read together.

What a layer reads together has one scale. Values that the model gives different ones are
brought to a scale of the compiler's choice first, by a sum of one term for each tensor.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from .errors import TargetError
from .graph import Network
from .layers import Layer, Renumbering, WeightedSum
from .scales import WHOLE, Scale


def settled(network: Network) -> Network:
    """The same network, where tensors that are read together have one scale of the model's.

    Or none: a sum before the layer makes values without.
    """
    if not any(network.pins):
        return network
    old = [tensor.start for tensor in network.tensors]
    new, following = [0], network.inputs  # where each tensor begins
    layers = list[Layer]()
    pins: list[Scale | None] = [network.input_pin]
    made: dict[int, int] = {}
    names = {layer.name for layer in network.layers}
    for layer in network.layers:
        own = list(new)
        read: set[Scale | None] = set()
        for values in layer.reads:
            tensors = sorted(network.tensors_of(values))
            together = {pins[tensor] for tensor in tensors}
            if len(together) < 2:
                read |= together
                continue
            read.add(None)
            for tensor in tensors:
                if pins[tensor] and tensor not in made:
                    name = _unique(f"{layer.name}/scale", names)
                    count = len(network.tensors[tensor])
                    made[tensor] = following
                    layers.append(_same(name, new[tensor], count, following))
                    following += count
                own[tensor] = made.get(tensor, new[tensor])
        new.append(following)
        layers.append(layer.renumbered(Renumbering(old[: len(new)], [*own, following])))
        following += layer.count
        pins.append(read.pop() if layer.passes and len(read) == 1 else layer.pin)
    return replace(network, layers=tuple(layers))


def check_words(network: Network, ranges: Sequence[tuple[float, float]], word_bits: int) -> None:
    """Refuse what does not fit the controller's words.

    Raises
    ------
    TargetError
        Naming the tensor, and what it needs.
    """
    names = [f"input '{network.input_name}'", *(f"layer '{n.name}'" for n in network.layers)]
    low, high = -(1 << word_bits - 1), (1 << word_bits - 1) - 1
    for name, pin, (least, most) in zip(names, network.pins, ranges, strict=True):
        if pin is None:
            continue
        least, most = (round(least), round(most)) if pin == WHOLE else (pin.low, pin.high)
        if not low <= least <= most <= high:
            raise TargetError(
                f"{name} has integers from {least} to {most} about its zero point, "
                f"the target's words hold {low} to {high}"
            )


def _unique(name: str, taken: set[str]) -> str:
    found, number = name, 1
    while found in taken:
        number += 1
        found = f"{name}/{number}"
    taken.add(found)
    return found


def _same(name: str, source: int, count: int, first: int) -> WeightedSum:
    """The values of a tensor, which begins at ``source``, once more."""
    return WeightedSum(
        name=name,
        first=first,
        terms=np.arange(source, source + count)[np.newaxis],
        factors=np.ones((1, count)),
        offset=np.zeros(count),
    )
