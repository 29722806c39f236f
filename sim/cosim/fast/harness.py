"""The compiled bench behind the comparison: the same card, the same link, no event loop.

The engine runs inside the calls of the serial line, so a coroutine never waits:
it is run to its end in one go.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeVar

from ....hw.timers import FOREVER
from ..bench import Watched
from ..comparison import Harness
from ..pins import CODES, SAMPLE, TAG, CardPins
from ..runner import RESET_CYCLES
from .engine import Engine, Reason

LOOK_CYCLES = 5000
"""Stepped cycles between two looks at how far programming has come, at least."""
BUSY = "busy"
"""Output of the bench: the controller has something to do. Its changes end a run."""
FRAME_BITS = 10
"""Bits of a byte on the serial line, with start and stop."""

T = TypeVar("T")


class Line(Protocol):
    """The serial line and clock of a bench; a job has them."""

    @property
    def bit_cycles(self) -> int:
        """Clock cycles of a bit."""
        ...

    @property
    def clk_hz(self) -> int:
        """Of the controller."""
        ...

    @property
    def jump(self) -> bool:
        """Whether time in which only timers run is skipped."""
        ...


class Serial:
    """The host's end of the serial line: a transport of the link's async client."""

    def __init__(self, harness: FastHarness) -> None:
        self._harness = harness

    async def write(self, data: bytes) -> None:
        """Send bytes back to back; ends with the last stop bit."""
        harness = self._harness
        engine = harness.engine
        until = engine.edges + FRAME_BITS * harness.line.bit_cycles * len(data)
        engine.send(data)
        while engine.edges < until:
            harness.run(until)

    async def read(self, timeout: float) -> bytes:
        """The bytes that have arrived, at least one, or none after ``timeout`` seconds."""
        harness = self._harness
        engine = harness.engine
        until = engine.edges + round(timeout * harness.line.clk_hz)
        while not (found := engine.received()) and engine.edges < until:
            harness.run(until)
        return found


class FastHarness(Harness):
    """The bench in the compiled engine: see :class:`~ohmloom.sim.cosim.comparison.Harness`."""

    def __init__(self, engine: Engine, line: Line) -> None:
        self.engine = engine
        self.line = line
        self.transport = Serial(self)
        self._pins: CardPins | None = None
        self._outputs: dict[str, Watched] = {}
        self._look: Callable[[], None] = lambda: None
        self._looked = 0
        self._before = 0.0

    async def begin(self, pins: CardPins | None) -> None:
        engine = self.engine
        self._before = engine.seconds
        engine.set("rst", 1)
        engine.set("jump", int(self.line.jump))
        engine.set("horizon", FOREVER)
        engine.run(engine.edges + RESET_CYCLES)
        if pins is not None:
            for output in pins.watched:
                engine.watch(output.name, output.at_once)
            engine.watch(SAMPLE, True)
            self._outputs = {output.name: output for output in pins.watched}
        engine.watch(BUSY, True)
        self._pins = pins
        engine.set("rst", 0)

    async def attend(self, work: Coroutine[Any, Any, T], look: Callable[[], None]) -> T:
        self._look = look
        try:
            return await work
        finally:
            self._look = lambda: None

    async def counters(self) -> tuple[int, int]:
        return self.engine.get("now"), self.engine.get("skipped")

    def stepped(self) -> int:
        return self.engine.edges

    def seconds(self) -> float:
        return self.engine.seconds - self._before

    def run(self, until: int) -> Reason:
        """Run to clock edge ``until`` or a reason before it; the card has been told everything."""
        engine = self.engine
        reason = engine.run(min(until, engine.edges + LOOK_CYCLES))
        if self._pins is not None:
            self._tell(self._pins)
        if engine.edges >= self._looked + LOOK_CYCLES:
            self._looked = engine.edges
            self._look()
        return reason

    def _tell(self, pins: CardPins) -> None:
        """The changes since last time, in their order; a conversion is answered."""
        engine = self.engine
        for change in engine.changes():
            if change.name == SAMPLE:
                engine.set(CODES, pins.convert(change.now, *map(engine.get, TAG)))
            elif change.name != BUSY:
                pins.moved(self._outputs[change.name], change.now, change.value)


def complete(work: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine of :class:`FastHarness`.

    Raises
    ------
    RuntimeError
        If it waits for something, which nothing here would ever bring.
    """
    try:
        work.send(None)
    except StopIteration as finished:
        return finished.value
    work.close()
    raise RuntimeError("a coroutine of the compiled engine waited")
