"""A serial port as the link client's transport."""

from __future__ import annotations

from types import TracebackType

import serial

from .link import LinkError

MOST = 1 << 16
"""Bytes taken at once at most."""


class SerialTransport:
    """8 data bits, no parity, one stop bit; the port is this process's alone.

    Parameters
    ----------
    port : str
        Like ``/dev/ttyUSB0``.
    baud : int
        Bits a second, as the gateware was built for.

    Raises
    ------
    LinkError
        If there is no such port, it is in use, or may not be opened.
    """

    def __init__(self, port: str, baud: int) -> None:
        self.port = port
        try:
            self._serial = serial.Serial(
                port,
                baud,
                bytesize=serial.EIGHTBITS,
                parity=serial.PARITY_NONE,
                stopbits=serial.STOPBITS_ONE,
                exclusive=True,
            )
        except (serial.SerialException, ValueError) as error:
            raise LinkError(f"{port} cannot be opened: {_reason(error)}") from error
        self._serial.reset_input_buffer()

    def write(self, data: bytes) -> None:
        """Send all of ``data``.

        Raises
        ------
        LinkError
            If the port is gone.
        """
        try:
            self._serial.write(data)
            self._serial.flush()
        except serial.SerialException as error:
            raise LinkError(f"{self.port} takes no bytes: {_reason(error)}") from error

    def read(self, timeout: float) -> bytes:
        """The bytes that have arrived, at least one, or ``b""`` after ``timeout`` seconds.

        Raises
        ------
        LinkError
            If the port is gone.
        """
        try:
            self._serial.timeout = timeout
            first = self._serial.read(1)
            return first + self._serial.read(min(self._serial.in_waiting, MOST)) if first else b""
        except (serial.SerialException, OSError) as error:
            raise LinkError(f"{self.port} gives no bytes: {_reason(error)}") from error

    def close(self) -> None:
        """Give the port back."""
        self._serial.close()

    def __enter__(self) -> SerialTransport:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()


def _reason(error: Exception) -> str:
    """What the system says, without what the library adds."""
    number = getattr(error, "errno", None)
    if number in _REASONS:
        return _REASONS[number]
    return str(error).rstrip(".")


_REASONS = {
    2: "there is no such port",
    11: "another program has it",
    13: "permission denied; add yourself to the group of the port, often `dialout`",
}
