"""Laws of physics and statistics that several families share."""

from __future__ import annotations

import numpy as np

from ..numerics import FloatArray, exp
from .family import REFERENCE_K, Stress, once

BOLTZMANN_EV = 8.617333262e-5
"""Boltzmann's constant [eV/K]."""
STEEPEST = 60.0
"""Exponent of a rate that completes any change; it keeps products finite."""


def limited(amperes: FloatArray, stress: Stress) -> FloatArray:
    """Currents [A] within the compliance of a stress."""
    return np.clip(amperes, -stress.i_cc, stress.i_cc)


def arrhenius(energy_ev: float, temperature_k: FloatArray) -> FloatArray:
    """Factor of an activated quantity at a temperature, 1 at the reference temperature."""
    return once(
        lambda kelvin: exp((energy_ev / BOLTZMANN_EV) * (1.0 / REFERENCE_K - 1.0 / kelvin)),
        temperature_k,
    )
