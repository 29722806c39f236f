"""Which layer of a network needs what: each made better alone, and each made worse.

Every variant is run on arrays of several seeds, all other nonidealities on. Draws are named,
so that two variants of a seed differ in the layer that is meant, and in nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from ..sim.array import Lines, Operands, SimulatedArray
from .budget import relative_error
from .compiled import Compiled
from .errors import TargetError
from .judge import SEEDS, Judge, standard_error
from .options import LayerOptions
from .pipeline import Source, compile_network
from .runner import build_engine
from .scales import MIN_BITS


@dataclass(frozen=True)
class Result:
    """What a variant gives, mean over seeds and samples.

    Attributes
    ----------
    accuracy:
        Fraction of samples that are right.
    output_error:
        What scores are off against floats, root mean square over that of the floats.
    """

    accuracy: float
    output_error: float


@dataclass(frozen=True)
class LayerSensitivity:
    """What a network gains and loses with one layer with matrices.

    Attributes
    ----------
    name:
        Of the layer.
    ideal:
        With its cells exactly on their levels, none stuck, and read without noise. The ADC,
        which serves all layers, stays as it is.
    regained:
        Accuracy of that above that of the real network.
    error:
        Standard error of ``regained``.
    bits:
        Of its values, as compiled.
    fewer:
        With one bit less of them; None where they have none to give.
    """

    name: str
    ideal: Result
    regained: float
    error: float
    bits: int
    fewer: Result | None


@dataclass(frozen=True)
class Sensitivity:
    """A network layer by layer.

    Attributes
    ----------
    samples, seeds:
        That each result is the mean of.
    labelled:
        Whether labels say what is right; else the float network does.
    floats:
        Accuracy of the float network.
    real:
        With every nonideality on.
    layers:
        Those with matrices: the one whose cells regain the most accuracy first, and of those
        that regain the same, or none, the one that leaves the smallest output error.
    """

    samples: int
    seeds: int
    labelled: bool
    floats: float
    real: Result
    layers: tuple[LayerSensitivity, ...]

    @property
    def verdict(self) -> str:
        """Which layer to begin with, in words."""
        first = self.layers[0]
        most = "regains the most" if first.regained > 0 else "leaves the smallest output error"
        return f"fixing {first.name} {most}"

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {"verdict": self.verdict, **asdict(self)}


def sensitivity(
    source: Source,
    compiled: Compiled,
    faults: np.ndarray | None = None,
    labels: np.ndarray | None = None,
    seeds: int = SEEDS,
    progress: Callable[[str], None] = lambda text: None,
) -> Sensitivity:
    """Every layer with matrices, on the calibration samples.

    Parameters
    ----------
    source, compiled:
        The network, and what it was compiled to.
    faults:
        Stuck cells, as it was compiled with.
    labels:
        Classes of the samples (n,); by default what the float network says of them.
    progress:
        Is told what is run next.

    Raises
    ------
    InputError
        If the labels do not fit the samples.
    TargetError
        If no layer has matrices.
    """
    if not compiled.placements:
        raise TargetError("no layer has a matrix in cells, so none is sensitive to them")
    judge = Judge.of(source.network, source.x, labels)

    def run(
        what: str,
        variant: Compiled,
        stuck: np.ndarray | None,
        array_type: type[SimulatedArray] = SimulatedArray,
    ) -> tuple[Result, np.ndarray]:
        """A variant's result, and which samples are right, shape (seeds, n)."""
        progress(what)
        scores = []
        for seed in range(compiled.options.seed, compiled.options.seed + seeds):
            engine = build_engine(variant, seed, faults=stuck, array_type=array_type)
            scores.append(judge.run(variant, engine))
        right = np.array([judge.right(each) for each in scores])
        wanted = np.broadcast_to(judge.scores, (seeds, *judge.scores.shape))
        return Result(float(right.mean()), relative_error(np.array(scores), wanted)), right

    real, before = run("everything real", compiled, faults)
    found = []
    for number in sorted({p.layer for p in compiled.placements}):
        name, bits = compiled.layers[number].name, compiled.layers[number].output.bits
        ideal, right = run(f"{name} ideal", *_ideal(source, compiled, number, faults))
        coarse, fewer = _with_bits(source, compiled, number, bits - 1, faults), None
        if coarse:
            fewer, _ = run(f"{name} with {bits - 1} bits", coarse, faults)
        error = standard_error(right - before)
        regained = ideal.accuracy - real.accuracy
        found.append(LayerSensitivity(name, ideal, regained, error, bits, fewer))
    found.sort(key=lambda layer: (-max(layer.regained, 0.0), layer.ideal.output_error))
    floats = float(judge.right(judge.scores).mean())
    return Sensitivity(len(judge.x), seeds, labels is not None, floats, real, tuple(found))


def _ideal(
    source: Source, compiled: Compiled, number: int, faults: np.ndarray | None
) -> tuple[Compiled, np.ndarray, type[SimulatedArray]]:
    """A layer whose cells are ideal: the network, what its cells are stuck at, their array."""
    others = _rows(compiled, {p.layer for p in compiled.placements} - {number})
    if faults is None:
        stuck = np.full(compiled.levels.shape, np.nan)
    else:
        # All rows of its tiles that no other layer uses: some are spare, to choose from.
        its = _rows(compiled, {number}).any(axis=1, keepdims=True) & ~others
        stuck = np.where(its[:, :, np.newaxis], np.nan, faults[: len(its)])
        compiled = _again(source, compiled, {}, stuck)
    rows = _rows(compiled, {number})
    stuck[rows] = compiled.device.levels[compiled.levels[rows]]
    return compiled, stuck, _quiet(rows)


def _with_bits(
    source: Source, compiled: Compiled, number: int, bits: int, faults: np.ndarray | None
) -> Compiled | None:
    """The network with so many bits for what a layer makes; None where that changes nothing."""
    name, own = compiled.layers[number].name, compiled.options.layers
    if bits < MIN_BITS:
        return None
    knobs = own.get(name, LayerOptions()).model_copy(update={"act_bits": bits})
    try:
        coarse = _again(source, compiled, {name: knobs}, faults)
    except TargetError:  # a quantised model says itself how many
        return None
    return coarse if coarse.layers[number].output.bits == bits else None


def _again(
    source: Source,
    compiled: Compiled,
    knobs: dict[str, LayerOptions],
    faults: np.ndarray | None,
) -> Compiled:
    """The network compiled again, with other knobs of layers."""
    options = compiled.options
    return compile_network(
        compiled.name,
        source,
        compiled.device,
        compiled.image.geometry,
        options.model_copy(update={"layers": {**options.layers, **knobs}}),
        compiled.converters,
        faults,
    )


def _rows(compiled: Compiled, layers: set[int]) -> np.ndarray:
    """Rows that hold some layers' weights, shape (tiles, rows)."""
    rows = np.zeros(compiled.levels.shape[:2], dtype=np.bool_)
    for p in compiled.placements:
        if p.layer in layers:
            rows[p.tile, p.rows.start : p.rows.stop] = True
    return rows


def _quiet(quiet: np.ndarray) -> type[SimulatedArray]:
    """An array some of whose rows (tiles, rows) add no noise to what is read."""

    class Quiet(SimulatedArray):
        def operands(self, lines: Lines) -> Operands:
            made = super().operands(lines)
            loud = ~quiet[lines.tile, lines.first : lines.first + lines.rows]
            return replace(made, var=made.var * loud[:, np.newaxis])

    return Quiet
