"""The compiled bench as a Python object: ports, clock, serial line and changes of outputs."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntFlag
from pathlib import Path
from time import process_time

_EVENT = struct.Struct("<QII")


class Reason(IntFlag):
    """Why a run ended; see driver.cc."""

    LIMIT = 1
    AT_ONCE = 2
    """An output has moved that the run must not go on without."""
    BYTE = 4
    """The controller has sent a byte."""


@dataclass(frozen=True)
class Change:
    """An output has changed: ``now`` is the model time, ``value`` the new value."""

    now: int
    name: str
    value: int


class Engine:
    """One simulation of the bench.

    Parameters
    ----------
    library : Path
        The compiled bench.
    ports : list of str
        Its ports, in the library's order.
    bit_cycles : int
        Clock cycles of a bit on the serial line.

    Raises
    ------
    ValueError
        If the library has another number of ports.
    """

    def __init__(self, library: Path, ports: list[str], bit_cycles: int) -> None:
        self._ports = ports
        self._index = {name: i for i, name in enumerate(ports)}
        self._library = ctypes.CDLL(str(library))
        self._declare()
        self._handle: int | None = self._library.ohmloom_create(bit_cycles)
        found = self._library.ohmloom_ports(self._handle)
        if found != len(ports):
            raise ValueError(f"{library} has {found} ports, expected {len(ports)}")
        self._bits = [self._library.ohmloom_bits(self._handle, i) for i in range(found)]
        self.wakes = 0
        self.seconds = 0.0

    def close(self) -> None:
        """End it; nothing else may be called afterwards."""
        if self._handle is not None:
            self._library.ohmloom_destroy(self._handle)
            self._handle = None

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def edges(self) -> int:
        """Clock edges so far."""
        return self._library.ohmloom_edges(self._handle)

    def get(self, name: str) -> int:
        """Value of a port after the last clock edge; valid once :meth:`run` has ended."""
        index = self._index[name]
        size = -(-self._bits[index] // 8)
        into = ctypes.create_string_buffer(size)
        self._library.ohmloom_get(self._handle, index, into)
        return int.from_bytes(into.raw, "little")

    def set(self, name: str, value: int) -> None:
        """Drive an input from the coming clock edge on."""
        index = self._index[name]
        self._library.ohmloom_set(
            self._handle, index, value.to_bytes(-(-self._bits[index] // 8), "little")
        )

    def watch(self, name: str, at_once: bool) -> None:
        """Record the changes of an output from now on; ``at_once``: they end a run."""
        self._library.ohmloom_watch(self._handle, self._index[name], at_once)

    def run(self, until: int) -> Reason:
        """Run to clock edge ``until``, or to the first reason to stop before."""
        self.wakes += 1
        begun = process_time()
        reason = self._library.ohmloom_run(self._handle, until)
        self.seconds += process_time() - begun
        return Reason(reason)

    def send(self, data: bytes) -> None:
        """Send bytes to the controller, back to back, after those before."""
        self._library.ohmloom_send(self._handle, data, len(data))

    def received(self) -> bytes:
        """Bytes from the controller that have not been taken yet."""
        return self._take(self._library.ohmloom_take_received)

    def changes(self) -> Iterator[Change]:
        """Changes of the watched outputs that have not been taken yet, in order."""
        raw, at = self._take(self._library.ohmloom_take_events), 0
        while at < len(raw):
            now, index, size = _EVENT.unpack_from(raw, at)
            at += _EVENT.size
            yield Change(now, self._ports[index], int.from_bytes(raw[at : at + size], "little"))
            at += size

    def _take(self, function: ctypes._NamedFuncPointer) -> bytes:
        size = function(self._handle, None, 0)
        if not size:
            return b""
        into = ctypes.create_string_buffer(size)
        function(self._handle, into, size)
        return into.raw

    def _declare(self) -> None:
        handle, index, number = ctypes.c_void_p, ctypes.c_uint32, ctypes.c_uint64
        text = ctypes.c_char_p
        for name, result, arguments in (
            ("create", handle, (number,)),
            ("destroy", None, (handle,)),
            ("ports", index, (handle,)),
            ("bits", index, (handle, index)),
            ("watch", None, (handle, index, index)),
            ("get", None, (handle, index, text)),
            ("set", None, (handle, index, text)),
            ("send", None, (handle, text, number)),
            ("take_received", number, (handle, text, number)),
            ("take_events", number, (handle, text, number)),
            ("edges", number, (handle,)),
            ("run", index, (handle, number)),
        ):
            function = getattr(self._library, f"ohmloom_{name}")
            function.restype = result
            function.argtypes = arguments
