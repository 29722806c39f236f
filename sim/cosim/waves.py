"""The waveform of every signal of the RTL over a part of a simulation, in Icarus Verilog.

A co-simulation is deterministic: when it has ended with a difference, the same job gives
the same difference again, and this time the signals are kept from where the sample began.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .job import Cosimulation

STEPS_PER_CYCLE = 2
"""Simulator steps of a clock period. Model time is counted in cycles, so the
simulator's own unit does not matter."""
MARGIN = 16
"""Cycles before a sample's first that are kept too: the reset is not counted everywhere alike."""
LAST = 100_000
"""Cycles that are kept of a simulation that ended before its first sample."""
MODULE = "waves"
DUMP = f"{MODULE}.fst"


@dataclass(frozen=True)
class Waves:
    """What to keep, and where.

    Attributes
    ----------
    path :
        The file, in GTKWave's format FST.
    first :
        Stepped clock cycle from which on the signals are kept.
    """

    path: Path
    first: int

    @classmethod
    def of_failure(cls, path: Path, outcome: Cosimulation) -> Waves:
        """The last sample that ``outcome`` ran; of one that ran none, its last cycles."""
        if outcome.begins:
            return cls(path, max(0, outcome.begins[-1] - MARGIN))
        return cls(path, max(0, outcome.report.simulated_cycles - LAST))

    @property
    def options(self) -> Sequence[str]:
        """What the compiler has to be told besides."""
        return ("-s", MODULE)

    def module(self, folder: Path, toplevel: str) -> Path:
        """Write the Verilog that keeps the signals of ``toplevel``."""
        source = folder / f"{MODULE}.v"
        source.write_text(
            f"`timescale 1ps/1ps\n"
            f"module {MODULE};\n"
            f"  initial begin\n"
            f"    #{STEPS_PER_CYCLE * self.first};\n"
            f'    $dumpfile("{DUMP}");\n'
            f"    $dumpvars(0, {toplevel});\n"
            f"  end\n"
            f"endmodule\n"
        )
        return source

    def keep(self, folder: Path) -> None:
        """Give what the simulator has left in ``folder`` its place, if it has come that far."""
        found = folder / DUMP
        if found.is_file():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            temporary = self.path.with_name(f".{self.path.name}.part")
            shutil.copyfile(found, temporary)
            temporary.replace(self.path)
