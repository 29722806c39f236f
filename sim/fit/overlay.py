"""Panels that figures of several families share."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from ..figure import OURS, SEED
from ..numerics import FloatArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def cumulative(axes: Axes, values: FloatArray, median: float, decades: float, label: str) -> None:
    """Sorted values above 0 on a logarithmic axis, and the log-normal that was fitted."""
    order = np.sort(values)
    part = (np.arange(order.size) + 0.5) / order.size
    axes.semilogx(order, 100.0 * part, ".", color=SEED, ms=3, label=f"measured, {order.size}")
    z = np.linspace(-3.0, 3.0, 97)
    model = [50.0 * (1.0 + math.erf(v / math.sqrt(2.0))) for v in z]
    axes.semilogx(median * 10.0 ** (decades * z), model, color=OURS, label="model")
    axes.set(xlabel=label, ylabel="below [%]")
    axes.legend(loc="upper left")
