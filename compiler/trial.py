"""What a search has tried: settings, what they lost, and what they cost."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

SIGMAS = 2.0
"""Standard errors by which a drop has to stay inside what is allowed."""


@dataclass(frozen=True)
class Trial:
    """A setting and what it gave.

    Attributes
    ----------
    slices, act_bits, adc_bits:
        The setting.
    drop:
        Accuracy lost against floats, mean over seeds and samples; None where the network
        does not fit.
    error:
        Its standard error.
    tiles:
        That it takes.
    cycles:
        Of an inference, predicted; None where that is not known.
    pulses:
        That a cell takes to be written, mean over seeds and cells.
    why_not:
        Why it does not fit.
    """

    slices: int
    act_bits: int
    adc_bits: int
    drop: float | None = None
    error: float = 0.0
    tiles: int = 0
    cycles: int | None = None
    pulses: float = 0.0
    why_not: str = ""

    def keeps(self, target: float) -> bool:
        """Whether the drop is inside the target, its error included."""
        return self.drop is not None and self.drop + SIGMAS * self.error <= target


@dataclass(frozen=True)
class Outcome:
    """A search that has found a setting.

    Attributes
    ----------
    target:
        Accuracy that may be lost.
    trials:
        In the order in which they were made.
    chosen:
        One of them.
    """

    target: float
    trials: tuple[Trial, ...]
    chosen: Trial

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "target_drop": self.target,
            "trials": [
                {
                    **asdict(trial),
                    "keeps": trial.keeps(self.target),
                    "chosen": trial == self.chosen,
                }
                for trial in self.trials
            ],
        }
