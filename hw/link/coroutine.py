"""The link's client for coroutines: simulators, where waiting is a clock edge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from ..image import Image
from .exchange import Exchange, Exchanges, Health, LinkStatus, Log, RunResult, T
from .protocol import Info, Limit, Space


class AsyncTransport(Protocol):
    """A byte pipe to the controller."""

    async def write(self, data: bytes) -> None:
        """Send all of ``data``."""
        ...

    async def read(self, timeout: float) -> bytes:
        """The bytes that have arrived, at least one, or ``b""`` after ``timeout`` seconds."""
        ...


class AsyncLinkClient:
    """:class:`~ohmloom.boards.link.LinkClient` with awaitable methods; see there."""

    def __init__(self, transport: AsyncTransport, timeout: float = 0.5, tries: int = 5) -> None:
        self.transport = transport
        self.exchanges = Exchanges(timeout, tries)

    async def ping(self) -> Info:
        return await self._perform(self.exchanges.ping())

    async def require(self, image: Image) -> Info:
        return await self._perform(self.exchanges.require(image))

    async def status(self) -> LinkStatus:
        return await self._perform(self.exchanges.status())

    async def write_words(self, space: Space, address: int, words: Sequence[int]) -> None:
        await self._perform(self.exchanges.write_words(space, address, words))

    async def read_words(self, space: Space, address: int, count: int) -> list[int]:
        return await self._perform(self.exchanges.read_words(space, address, count))

    async def run(self, address: int, epoch: int, limit: float = 60.0) -> RunResult:
        return await self._perform(self.exchanges.run(address, epoch, limit))

    async def health(self) -> Health:
        """What the guard lets through, and why not more."""
        return await self._perform(self.exchanges.health())

    async def abort(self) -> None:
        """Bring the safe state; a run ends."""
        await self._perform(self.exchanges.abort())

    async def clear(self) -> None:
        """Leave the safe state: the front end is initialised again, all rails at 0 V."""
        await self._perform(self.exchanges.clear())

    async def lower(self, limits: Mapping[Limit, int]) -> None:
        """Lower limits of the guard, each of them once per reset."""
        await self._perform(self.exchanges.lower(limits))

    async def log(self, since: int = 0) -> Log:
        """The entries of the event log from number ``since`` on."""
        return await self._perform(self.exchanges.log(since))

    async def _perform(self, exchange: Exchange[T]) -> T:
        try:
            step = next(exchange)
            while True:
                if step.send:
                    await self.transport.write(step.send)
                step = exchange.send(await self.transport.read(step.timeout))
        except StopIteration as finished:
            return finished.value
