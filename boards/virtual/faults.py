"""What a serial cable does to bytes: each one is dropped, doubled or flipped at random."""

from __future__ import annotations

import random
from dataclasses import dataclass

from ...errors import OhmloomError


class FaultError(OhmloomError, ValueError):
    """A fault that cannot be."""


@dataclass(frozen=True)
class LineFaults:
    """Probabilities, for each byte in either direction.

    Attributes
    ----------
    dropped, doubled, flipped:
        That a byte is lost, comes twice, or has one bit wrong; together at most 1.

    Raises
    ------
    FaultError
        If one is below 0, or their sum above 1.
    """

    dropped: float = 0.0
    doubled: float = 0.0
    flipped: float = 0.0

    def __post_init__(self) -> None:
        each = (self.dropped, self.doubled, self.flipped)
        if not all(0 <= part <= 1 for part in each) or sum(each) > 1:
            raise FaultError(
                f"bytes dropped {each[0]:g}, doubled {each[1]:g} and flipped {each[2]:g}: "
                "accepted are probabilities that sum to 1 at most"
            )


class NoisyLine:
    """A line with faults.

    Parameters
    ----------
    faults:
        What it does.
    seed:
        Of its random numbers: the same bytes in the same order have the same faults.
    """

    def __init__(self, faults: LineFaults, seed: int = 0) -> None:
        self.faults = faults
        self._random = random.Random(seed)
        self.bytes = 0
        self.hit = 0

    def carry(self, data: bytes) -> bytes:
        """What of ``data`` arrives."""
        faults = self.faults
        if faults == LineFaults():
            return data
        arrived = bytearray()
        for byte in data:
            self.bytes += 1
            chance = self._random.random()
            if chance >= faults.dropped + faults.doubled + faults.flipped:
                arrived.append(byte)
                continue
            self.hit += 1
            if chance < faults.flipped:
                arrived.append(byte ^ 1 << self._random.randrange(8))
            elif chance < faults.flipped + faults.doubled:
                arrived += bytes([byte, byte])
        return bytes(arrived)
