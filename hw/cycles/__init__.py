"""Clock cycles of a controller's runs, predicted exactly. Plain Python, no Amaranth.

``run_cycles`` follows a program with the formulas of ``docs/gateware.md``; co-simulation
holds the controller to it, cycle for cycle.
"""

from .front_end import FrontEndCycles
from .layers import layer_cycles, layer_of_each
from .mvm import driven_cycles, mvm_cycles
from .post import pool_cycles, post_cycles
from .program import program_cycles
from .run import (
    CycleError,
    Inference,
    Run,
    State,
    Step,
    executed,
    inference,
    run_cycles,
    state_after,
)

__all__ = [
    "CycleError",
    "FrontEndCycles",
    "Inference",
    "Run",
    "State",
    "Step",
    "driven_cycles",
    "executed",
    "inference",
    "layer_cycles",
    "layer_of_each",
    "mvm_cycles",
    "pool_cycles",
    "post_cycles",
    "program_cycles",
    "run_cycles",
    "state_after",
]
