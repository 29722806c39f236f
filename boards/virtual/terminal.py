"""A pseudo-terminal as the far end of a serial cable."""

from __future__ import annotations

import os
import select
import tty
from pathlib import Path
from types import TracebackType

from ...errors import OhmloomError

CHUNK = 1 << 16


class TerminalError(OhmloomError):
    """A pseudo-terminal that cannot be had, or a name for it that is taken."""


class Terminal:
    """This end of a pseudo-terminal; a host opens :attr:`port` as a serial port.

    Parameters
    ----------
    link:
        A symbolic link to the port, for a name that is known beforehand; one that is there
        already is replaced.

    Raises
    ------
    TerminalError
        If the system has no pseudo-terminal, or ``link`` is something else than a link.
    """

    def __init__(self, link: Path | None = None) -> None:
        self.link = link
        try:
            self._near, self._far = os.openpty()
        except OSError as error:
            raise TerminalError(f"no pseudo-terminal: {error.strerror}") from error
        # The far end stays open here: a host that comes and goes is no end of the line.
        tty.setraw(self._far)
        os.set_blocking(self._near, False)
        self.port = os.ttyname(self._far)
        if link is not None:
            self._name(link)

    def _name(self, link: Path) -> None:
        if link.exists() and not link.is_symlink():
            self.close()
            raise TerminalError(f"{link} is there and no link")
        beside = link.with_name(f".{link.name}.part")
        beside.unlink(missing_ok=True)
        beside.symlink_to(self.port)
        beside.replace(link)

    def close(self) -> None:
        """Hang up."""
        link = self.link
        if link is not None and link.is_symlink() and os.readlink(link) == self.port:
            link.unlink()
        os.close(self._near)
        os.close(self._far)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def read(self, timeout: float) -> bytes:
        """What the host has sent, or ``b""`` after ``timeout`` seconds."""
        ready, _, _ = select.select([self._near], [], [], timeout)
        return os.read(self._near, CHUNK) if ready else b""

    def write(self, data: bytes) -> None:
        """Send to the host. What it does not take is lost, as on a serial cable."""
        while data:
            try:
                data = data[os.write(self._near, data) :]
            except BlockingIOError:
                return
