"""What a front end takes, in clock cycles. Plain Python."""

from __future__ import annotations

from dataclasses import dataclass

from ..geometry import Geometry
from ..isa import Dac
from ..ranges import RANGE_BITS
from ..tables import CALIBRATION_CYCLES

_READ_STEPS = 16
"""States between the switch updates of a read after a pulse, and a few to spare."""


@dataclass(frozen=True)
class FrontEndCycles:
    """The cycles of a front end's handshakes, and those that the core waits for it.

    They are those of parts as slow as their data sheets allow: a converter that is ready
    before its time makes a controller faster than predicted, never slower.

    Attributes
    ----------
    settle:
        From ``latch`` to ``convert``, by the number on the range pins.
    load:
        From an accepted switch update to ``loaded``.
    recover:
        From ``latch`` to the next update that is accepted.
    readout:
        From ``convert`` to ``adc_idle``.
    drive:
        From there, or from the last ``latch``, until a pulse may begin: DAC and switches
        have settled.
    pulse:
        The shortest pulse.
    closing:
        From the closing of a pulse until ``loaded`` is no longer held back.
    hold:
        From ``convert`` until ``loaded`` is no longer held back: the columns have been
        sampled.
    write:
        From an accepted DAC write to ``dac_idle``, by channel
        (:class:`~ohmloom.hw.isa.Dac`).
    dac_settle:
        From there until the DAC has settled.

    Raises
    ------
    ValueError
        If a range or a channel is missing, or a switch update would still hold up the next
        instruction: no cost model of one instruction after the other holds then.
    """

    settle: tuple[int, ...]
    load: int
    recover: int
    readout: int
    write: tuple[int, ...]
    dac_settle: int
    drive: int = 1
    pulse: int = 1
    hold: int = 1
    closing: int = 0

    def __post_init__(self) -> None:
        if len(self.settle) != 1 << RANGE_BITS or len(self.write) != len(Dac):
            raise ValueError(
                f"{len(self.settle)} ranges and {len(self.write)} DAC channels, "
                f"there are {1 << RANGE_BITS} and {len(Dac)}"
            )
        if self.recover > min(self.settle) + self.readout:
            raise ValueError(
                f"switches recover in {self.recover} cycles, after a conversion has been read "
                f"out in {min(self.settle)} + {self.readout}"
            )

    def read_after(self, tia_range: int) -> int:
        """From the closing of a pulse to a read that is surely ready (``after_delay``)."""
        switching = 3 * (self.load + self.recover) + self.settle[tia_range]
        return self.closing + switching + _READ_STEPS

    def read_spacing(self, geometry: Geometry) -> int:
        """From one conversion of a mean to the next (``after_spacing``)."""
        return self.readout + CALIBRATION_CYCLES * geometry.calibration + 1
