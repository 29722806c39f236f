"""Drift compensation: factors and biases for cells as they are, not as they were written.

Conductances fade with time and change with temperature, all of a matrix in much the same way:
each of its outputs comes out too small or too large by a factor, which a host that reads the
cells finds, and puts right in the words that scale the output. Nothing is programmed.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..hw.banks import Banks
from ..hw.isa import BIAS_BITS, Op, pack_requant, unpack_requant
from .compiled import Compiled
from .mapping import Placement
from .scales import mantissa_and_shift

BIAS_MAX = (1 << BIAS_BITS - 1) - 1
Which = tuple[int, int]
"""A matrix: its layer, and which of the layer's it is."""


def gains(compiled: Compiled, conductances: np.ndarray) -> dict[Which, np.ndarray]:
    """Of each output of each matrix, its weights as cells make them over those written.

    The factor that is nearest to all weights of an output, in least squares; 1 where an output
    has none, or where what is there does not go with them at all.

    Parameters
    ----------
    conductances:
        Of every cell [S], shape (tiles, rows, columns).
    """
    device = compiled.device
    step = device.level_step * device.g_lsb
    whole: dict[Which, tuple[np.ndarray, np.ndarray]] = {}
    for p in compiled.placements:
        written, found = whole.setdefault((p.layer, p.block), _zeros(compiled, p))
        encoding = compiled.encodings[p.layer]
        unit = encoding.unit(p.slice)
        levels = p.cells(compiled.levels, encoding).astype(np.float64)
        written[p.weights] += unit * encoding.differences(levels)
        siemens = p.cells(conductances, encoding)
        found[p.weights] += unit * encoding.differences(siemens) / step
    factors = {}
    for which, (written, found) in whole.items():
        size = np.square(written).sum(axis=0)
        both = (written * found).sum(axis=0)
        factors[which] = np.divide(
            both, size, out=np.ones_like(both), where=(size > 0) & (both > 0)
        )
    return factors


def compensated(compiled: Compiled, conductances: np.ndarray) -> np.ndarray:
    """Parameter words, uint64, with which outputs are what cells as written would make.

    Parameters
    ----------
    conductances:
        As of :func:`gains`.
    """
    factors = gains(compiled, conductances)
    params = compiled.image.params.copy()
    for word, which, output in _output_words(compiled):
        gain = float(factors[which][output])
        bias, mantissa, shift = unpack_requant(int(compiled.image.params[word]))
        moved = min(max(round(bias * gain), -BIAS_MAX), BIAS_MAX)
        params[word] = pack_requant(moved, *mantissa_and_shift(mantissa / 2.0**shift / gain))
    return params


def _zeros(compiled: Compiled, placement: Placement) -> tuple[np.ndarray, np.ndarray]:
    """Two arrays for all weights of a matrix, shape (inputs, outputs)."""
    own = [
        p for p in compiled.placements if (p.layer, p.block) == (placement.layer, placement.block)
    ]
    shape = (
        max(p.first_input + p.inputs for p in own),
        max(p.first_output + p.outputs for p in own),
    )
    return np.zeros(shape), np.zeros(shape)


def _output_words(compiled: Compiled) -> Iterator[tuple[int, Which, int]]:
    """Parameter words of outputs: address, matrix and output, each once."""
    image = compiled.image
    banks, last, told = Banks(), None, set[int]()
    for raw in image.code[image.entries["infer"] :]:
        banks = banks.after(raw)
        instr = banks.moved(raw) if image.geometry.banks else raw
        if instr.op is Op.MVM:
            last = compiled.placements[compiled.placement_at(instr["tile"], instr["first"])]
        elif instr.op is Op.REQUANT and last is not None:
            for n in range(instr["count"]):
                if (word := instr["param"] + n) not in told:
                    told.add(word)
                    yield word, (last.layer, last.block), last.first_output + n
            last = None
