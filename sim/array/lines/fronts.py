"""Two blocks of a network that touch become one: the step of nested dissection.

A block is known by its ports alone: where its lines are cut, on four sides. ``y`` gives the
currents into them for the voltages at them. What lies between two blocks is eliminated.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cholesky, solve_triangular

from ...numerics import FloatArray, IntArray

Sides = tuple[int, int, int, int]
"""Ports on the left, right, upper and lower side, in this order."""


@dataclass(frozen=True)
class Joint:
    """How the ports of two blocks, side by side or one above the other, become those of one.

    Attributes
    ----------
    inner:
        Ports of the first block, and of the second, that meet.
    outer:
        The other ports of each.
    place:
        Where these are among the ports of the new block.
    sides:
        Of the new block.
    """

    inner: tuple[IntArray, IntArray]
    outer: tuple[IntArray, IntArray]
    place: tuple[IntArray, IntArray]
    sides: Sides

    @classmethod
    def of(cls, first: Sides, second: Sides, *, beside: bool) -> Joint:
        """The second block lies right of the first one if ``beside``, else below it."""
        meets = (1, 0) if beside else (3, 2)
        ports = [np.split(np.arange(sum(s)), np.cumsum(s)[:-1]) for s in (first, second)]
        own: tuple[list[IntArray], list[IntArray]] = ([], [])
        place: tuple[list[IntArray], list[IntArray]] = ([], [])
        sides, begin = [], 0
        for side in range(4):
            count = 0
            for which in (0, 1):
                if side == meets[which]:
                    continue
                here = ports[which][side]
                own[which].append(here)
                place[which].append(np.arange(len(here)) + begin + count)
                count += len(here)
            sides.append(count)
            begin += count
        return cls(
            (ports[0][meets[0]], ports[1][meets[1]]),
            (np.concatenate(own[0]), np.concatenate(own[1])),
            (np.concatenate(place[0]), np.concatenate(place[1])),
            (sides[0], sides[1], sides[2], sides[3]),
        )


@dataclass(frozen=True)
class Inner:
    """What finds the voltages between two blocks from those around them.

    ``v = impedance @ j - follow @ outer``, with ``j`` the currents that come out of the
    blocks there while all ports are at 0 V.
    """

    joint: Joint
    follow: FloatArray
    impedance: FloatArray


def joined(
    a: FloatArray, b: FloatArray, joint: Joint, *, keep: bool
) -> tuple[FloatArray, Inner | None]:
    """``y`` of two blocks together, shape (..., ports, ports), and what is inside.

    Parameters
    ----------
    a, b:
        Those of the two; leading axes are pairs of blocks that are alike.
    keep:
        Whether voltages inside will be asked for.
    """
    (ia, ib), (oa, ob), (pa, pb) = joint.inner, joint.outer, joint.place
    ports = sum(joint.sides)
    middle = _at(a, ia, ia) + _at(b, ib, ib)
    couple = np.empty((*a.shape[:-2], len(ia), ports))
    couple[..., pa] = _at(a, ia, oa)
    couple[..., pb] = _at(b, ib, ob)
    follow: FloatArray = np.empty(0)
    impedance: FloatArray = np.empty(0)
    if len(ia) == 1:
        impedance = 1.0 / middle
        follow = couple * impedance
        y = couple.swapaxes(-1, -2) * -follow
    elif a.ndim > 2:
        if keep:
            impedance = np.asarray(np.linalg.inv(middle), np.float64)
            follow = impedance @ couple
        else:
            follow = np.asarray(np.linalg.solve(middle, couple), np.float64)
        y = couple.swapaxes(-1, -2) @ follow
        np.negative(y, out=y)
    else:
        root = cholesky(middle, lower=True, overwrite_a=True, check_finite=False)
        half = solve_triangular(root, couple, lower=True, overwrite_b=True, check_finite=False)
        y = half.T @ half  # the symmetric product, half of the work
        np.negative(y, out=y)
        if keep:
            inverse = solve_triangular(root, np.eye(len(ia)), lower=True, check_finite=False)
            impedance = inverse.T @ inverse
            follow = inverse.T @ half
    for own, outer, place in ((a, oa, pa), (b, ob, pb)):
        y[..., place[:, np.newaxis], place] += _at(own, outer, outer)
    grounded_nowhere(y)
    if not keep:
        return y, None
    return y, Inner(joint, follow, impedance)


def grounded_nowhere(y: FloatArray) -> None:
    """Put the diagonals of ``y``, shape (..., ports, ports), where nothing flows at equal voltages.

    All ends of lines are ports, so that nothing inside leads to ground. The other elements are
    sums of one sign: what is small beside the lines' own conductances is not lost in them.
    """
    diagonal = np.einsum("...ii->...i", y)  # a view
    diagonal[...] = 0.0
    diagonal[...] = -y.sum(axis=-1)


def _at(y: FloatArray, rows: IntArray, columns: IntArray) -> FloatArray:
    return y[..., rows[:, np.newaxis], columns]


def inward(
    inner: Inner, volts: FloatArray, currents: FloatArray | None
) -> tuple[FloatArray, FloatArray]:
    """Voltages at the ports of the two blocks, from those of the block that they make.

    Parameters
    ----------
    volts:
        Shape (..., ports, n), n solutions.
    currents:
        That come out of the blocks between them, shape (..., inner ports, n); None: none.
    """
    joint = inner.joint
    between = -(inner.follow @ volts)
    if currents is not None:
        between += inner.impedance @ currents
    found = []
    for which in (0, 1):
        meet, outer, place = joint.inner[which], joint.outer[which], joint.place[which]
        own = np.empty((*volts.shape[:-2], len(meet) + len(outer), volts.shape[-1]))
        own[..., meet, :] = between
        own[..., outer, :] = volts[..., place, :]
        found.append(own)
    return found[0], found[1]


def outward(inner: Inner, a: FloatArray, b: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Currents that come out of a block's ports at 0 V, from those of its two parts.

    Returns
    -------
    Those of the block, shape (..., ports, n), and those between its parts.
    """
    joint = inner.joint
    between = a[..., joint.inner[0], :] + b[..., joint.inner[1], :]
    out = -(inner.follow.swapaxes(-1, -2) @ between)
    for own, outer, place in zip((a, b), joint.outer, joint.place, strict=True):
        out[..., place, :] += own[..., outer, :]
    return out, between
