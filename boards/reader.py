"""Single reads of cells over the link, in any TIA range or the one that fits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from ..errors import OhmloomError
from ..hw.afe.ad5754r import FULL_SCALE_V, ZERO_CODE
from ..hw.afe.tia import RANGES, VOLTS_PER_CODE
from ..hw.isa import Dac, Op, Reg, encode, instruction, unpack_reading
from ..hw.link.protocol import Info, Space
from ..hw.ranges import AUTO, TEMPERATURE_RANGE
from .link import LinkClient

GATE_ON_V = 5.0
"""Of a gate transistor that is fully on: as ``Converters.gate_on_volts``."""


class ReaderError(OhmloomError, ValueError):
    """A read that the controller or its front end cannot do."""


@dataclass(frozen=True)
class Reading:
    """Mean code of a read, the range that it was made in, and whether it met a rail."""

    code: int
    tia_range: int
    saturated: bool

    @property
    def amperes(self) -> float:
        """Current of the column [A].

        Raises
        ------
        ReaderError
            If it is a temperature's.
        """
        if self.tia_range == TEMPERATURE_RANGE:
            raise ReaderError(f"a reading in range {self.tia_range} is no current")
        return self.code * VOLTS_PER_CODE / RANGES[self.tia_range].ohms


def rail_code(volts: float) -> int:
    """Code of a rail or gate voltage nearest to ``volts``.

    Raises
    ------
    ReaderError
        If the DAC does not reach that far.
    """
    code = round(volts * ZERO_CODE / FULL_SCALE_V) + ZERO_CODE
    if not 0 <= code < 2 * ZERO_CODE:
        raise ReaderError(f"{volts:g} V is outside the DAC's +-{FULL_SCALE_V:g} V")
    return code


class Reads(Protocol):
    """Whatever cells can be read with."""

    info: Info

    def read(
        self,
        tile: int,
        cell: int,
        count: int,
        volts: float,
        tia_range: int | None = None,
        average: int = 0,
    ) -> list[Reading]:
        """Read ``count`` cells of a tile from ``cell`` on, row by row, at ``volts``."""
        ...

    def write_table(self, words: Sequence[int]) -> None:
        """Load the controller's calibration table from its first word on."""
        ...


class LinkReader:
    """Reads through a controller; its program memory's last words are used for it.

    Rail A is at 0 V afterwards, and the registers of a read have changed: a network's
    setup entry is to be run again.

    Parameters
    ----------
    client : LinkClient
        The link; nothing else may use it meanwhile.
    """

    def __init__(self, client: LinkClient) -> None:
        self.client = client
        self.info = client.ping()

    def read(
        self,
        tile: int,
        cell: int,
        count: int,
        volts: float,
        tia_range: int | None = None,
        average: int = 0,
    ) -> list[Reading]:
        """Read ``count`` cells of a tile from ``cell`` on, row by row, at ``volts``.

        Parameters
        ----------
        tia_range:
            TIA range; None: for each cell the one that fits. ``TEMPERATURE_RANGE``: the codes
            are of the converters' temperature sensors, not of cells.
        average:
            Base-two logarithm of the conversions of a read.
        """
        if tia_range not in (None, *range(len(RANGES)), TEMPERATURE_RANGE):
            raise ReaderError(
                f"TIA range {tia_range}, there are 0 to {len(RANGES) - 1}, and "
                f"{TEMPERATURE_RANGE} for the converters' temperature"
            )
        registers = {
            Reg.TIA_RANGE: AUTO if tia_range is None else tia_range,
            Reg.AVERAGE: average,
            Reg.TOGETHER: 0,
        }
        program = [
            instruction(Op.DAC, channel=Dac.RAIL_A, code=rail_code(volts)),
            instruction(Op.DAC, channel=Dac.GATE_ON, code=rail_code(GATE_ON_V)),
            *(instruction(Op.SET, reg=reg, value=value) for reg, value in registers.items()),
            instruction(Op.READ, tile=tile, cell=cell, count=count),
            instruction(Op.DAC, channel=Dac.RAIL_A, code=ZERO_CODE),
            instruction(Op.HALT),
        ]
        address = self.info.program_depth - len(program)
        self.client.write_words(Space.PROGRAM, address, [encode(word) for word in program])
        self.client.run(address, 0)
        words = self.client.read_words(Space.CELL, 0, count)
        return [Reading(*unpack_reading(word)) for word in words]

    def write_table(self, words: Sequence[int]) -> None:
        """Load the controller's calibration table from its first word on.

        Raises
        ------
        LinkRefused
            If the controller has none.
        """
        self.client.write_words(Space.CALIBRATION, 0, words)
