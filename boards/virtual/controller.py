"""A controller in the compiled engine that lives on: it is fed bytes and gives bytes.

Its clock stands still while it has nothing to do, so that it costs nothing then. What is
behind its pins, the cells above all, stays when its supply fails.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from ...hw.timers import FOREVER
from ...sim.cosim.fast.engine import Engine
from ...sim.cosim.fast.harness import BUSY, FRAME_BITS, FastHarness, Line, complete
from ...sim.cosim.pins import CardPins


class VirtualController:
    """One controller; it has no supply before :meth:`power_up`.

    Parameters
    ----------
    make_engine:
        Makes the simulation of a controller as its bitstream leaves it.
    make_pins:
        Makes what is behind its pins; cells in it are the same ones each time. None: nothing is,
        its cells are in itself and go with its supply.
    line:
        Serial line and clock.
    """

    def __init__(
        self,
        make_engine: Callable[[], Engine],
        make_pins: Callable[[], CardPins | None],
        line: Line,
    ) -> None:
        self._make_engine = make_engine
        self._make_pins = make_pins
        self.line = line
        self._harness: FastHarness | None = None
        self._pins: CardPins | None = None
        self._line_busy_until = 0

    def power_up(self) -> None:
        """Configure it: all of its memories and registers are as new."""
        self.power_down()
        self._pins = self._make_pins()
        self._harness = harness = FastHarness(self._make_engine(), self.line)
        self._line_busy_until = 0
        complete(harness.begin(self._pins))

    def power_down(self) -> None:
        """Its supply fails: what it knew is lost, and a gate that is open closes."""
        if self._harness is None:
            return
        if self._pins is not None:
            self._pins.card.set_gate_b(self._harness.engine.get("now"), False)
        self._harness.engine.close()
        self._harness = self._pins = None

    @property
    def busy(self) -> bool:
        """Whether it has something to do, or bytes are on their way to it."""
        engine = self._running.engine
        return engine.edges < self._line_busy_until or bool(engine.get(BUSY))

    @property
    def seconds(self) -> float:
        """Since it was powered up, jumps included [s]."""
        return self._running.engine.get("now") / self.line.clk_hz

    def send(self, data: bytes) -> None:
        """Put bytes on the line to it, behind those that are there."""
        engine = self._running.engine
        engine.send(data)
        begin = max(self._line_busy_until, engine.edges)
        self._line_busy_until = begin + FRAME_BITS * self.line.bit_cycles * len(data)

    def run(self, edges: int, until_s: float = math.inf) -> bytes:
        """Let up to so many clock edges pass, fewer when it falls idle; what it has sent.

        Parameters
        ----------
        until_s:
            Its time [s] up to which time may be jumped over; it ends soon after.
        """
        harness = self._running
        horizon = FOREVER if until_s == math.inf else int(until_s * self.line.clk_hz) + 1
        harness.engine.set("horizon", horizon)
        until = harness.engine.edges + edges
        while harness.engine.edges < until and self.busy and harness.engine.get("now") < horizon:
            harness.run(until)
        return harness.engine.received()

    def pass_time(self, edges: int) -> bytes:
        """Let so many clock edges pass, idle or not; what it has sent meanwhile."""
        harness = self._running
        harness.engine.set("horizon", FOREVER)
        until = harness.engine.edges + edges
        while harness.engine.edges < until:
            harness.run(until)
        return harness.engine.received()

    @property
    def _running(self) -> FastHarness:
        assert self._harness is not None, "a controller without supply"
        return self._harness
