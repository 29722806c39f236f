"""The style of the figures; it is in :mod:`ohmloom.sim.figure`."""

from ..figure import FOURTH, OURS, QUIET, SEED, SERIES, THIRD, draw

__all__ = ["FOURTH", "OURS", "QUIET", "SEED", "SERIES", "THIRD", "draw"]
