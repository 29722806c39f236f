"""What the seeds report, reproduced on the device models."""

from .bench import Bench
from .record import Assumed, Definition, Experiment, Kind, Result, Row, Spread
from .registry import EXPERIMENTS, UnknownExperiment, run, select
from .tolerance import Tolerance

__all__ = [
    "EXPERIMENTS",
    "Assumed",
    "Bench",
    "Definition",
    "Experiment",
    "Kind",
    "Result",
    "Row",
    "Spread",
    "Tolerance",
    "UnknownExperiment",
    "run",
    "select",
]
