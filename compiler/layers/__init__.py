"""The layers of a network, one file each: in floats, in integers, and as instructions."""

from .base import ZERO, Bounded, Layer, Renumbering, Values
from .copy import Copy
from .function import Function
from .host import Host
from .largest import Largest
from .matrix import Block, Matrix
from .patches import Patches, compact
from .pool import Maximum, Mean
from .product import Product
from .threshold import Threshold
from .weighted_sum import WeightedSum

__all__ = [
    "ZERO",
    "Block",
    "Bounded",
    "Copy",
    "Function",
    "Host",
    "Largest",
    "Layer",
    "Matrix",
    "Maximum",
    "Mean",
    "Patches",
    "Product",
    "Renumbering",
    "Threshold",
    "Values",
    "WeightedSum",
    "compact",
]
