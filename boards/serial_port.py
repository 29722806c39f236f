"""A serial port as the transport of the link."""

from __future__ import annotations

import errno
import os
from types import TracebackType

import serial

from .link import LinkError


class PortError(LinkError):
    """A serial port that cannot be opened, or has gone."""


class SerialTransport:
    """A port, 8N1, that nobody else may open meanwhile.

    Parameters
    ----------
    port:
        Its name, like ``/dev/ttyUSB0``.
    baud:
        Bits a second; a pseudo-terminal takes any.

    Raises
    ------
    PortError
        If it cannot be opened, saying why.
    """

    def __init__(self, port: str, baud: int) -> None:
        self.port, self.baud = port, baud
        try:
            self._serial = serial.Serial(port, baud, timeout=0, exclusive=True)
        except (OSError, ValueError) as error:
            raise PortError(f"{port} cannot be opened: {_reason(error)}") from error

    def close(self) -> None:
        """Give it back."""
        self._serial.close()

    def __enter__(self) -> SerialTransport:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def write(self, data: bytes) -> None:
        """Send all of ``data``."""
        try:
            self._serial.write(data)
        except OSError as error:
            raise PortError(f"{self.port} takes no bytes: {_reason(error)}") from error

    def read(self, timeout: float) -> bytes:
        """The bytes that have arrived, at least one, or ``b""`` after ``timeout`` seconds."""
        try:
            self._serial.timeout = timeout
            first = self._serial.read(1)
            return first + self._serial.read(self._serial.in_waiting) if first else b""
        except OSError as error:
            raise PortError(f"{self.port} gives no bytes: {_reason(error)}") from error


HINTS = {
    errno.ENOENT: "there is no such port",
    errno.EACCES: "permission denied; `ohmloom doctor --board` says how to get it",
    errno.EBUSY: "another program has it",
    errno.EWOULDBLOCK: "another program has it",
}


def _reason(error: Exception) -> str:
    """In words, without pyserial's own."""
    number = error.errno if isinstance(error, OSError) else None
    if number is None:
        return str(error)
    return HINTS.get(number, os.strerror(number))
