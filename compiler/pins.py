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
from .layers import Layer, WeightedSum
from .scales import WHOLE, Scale


def settled(network: Network) -> Network:
    """The same network, where tensors that are read together have one scale of the model's.

    Or none: a sum before the layer makes values without.
    """
    if not any(network.pins):
        return network
    table = np.full(network.tensors[-1].stop + 1, -1)
    table[: network.inputs] = np.arange(network.inputs)
    following, layers = network.inputs, list[Layer]()
    pins: list[Scale | None] = [network.input_pin]
    made: dict[int, np.ndarray] = {}
    names = {layer.name for layer in network.layers}
    for layer in network.layers:
        own = table.copy()
        read: set[Scale | None] = set()
        for values in layer.reads:
            tensors = sorted(network.tensors_of(values))
            together = {pins[tensor] for tensor in tensors}
            if len(together) < 2:
                read |= together
                continue
            read.add(None)
            for tensor in tensors:
                numbers = np.array(network.tensors[tensor])
                if pins[tensor] and tensor not in made:
                    name = _unique(f"{layer.name}/scale", names)
                    made[tensor] = following + np.arange(len(numbers))
                    layers.append(_same(name, table[numbers], following))
                    following += len(numbers)
                own[numbers] = made.get(tensor, table[numbers])
        table[layer.first : layer.first + layer.count] = following + np.arange(layer.count)
        own[layer.first : layer.first + layer.count] = following + np.arange(layer.count)
        layers.append(layer.renumbered(own))
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


def _same(name: str, source: np.ndarray, first: int) -> WeightedSum:
    """The values of a tensor once more."""
    count = len(source)
    return WeightedSum(
        name=name,
        first=first,
        terms=source[np.newaxis],
        factors=np.ones((1, count)),
        offset=np.zeros(count),
    )
