"""The loop that carries bytes between a terminal and a controller.

The controller's time passes only while it has something to do, and much faster than a
clock's where nothing but timers runs. A host's time does not: it asks for the status now and
then, and a controller that hears nothing for ten of its seconds takes it for dead. So the
controller's time since it heard from the host never runs ahead of the host's by more than
:data:`AHEAD_S`: a longer jump is cut there, and goes on as the host's time does or when it is
heard.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from .controller import VirtualController
from .faults import LineFaults, NoisyLine
from .terminal import Terminal

AHEAD_S = 4.0
"""Below half of the shortest watchdog of a front end (10 s, array card)."""
SLICE_EDGES = 50_000
"""Clock edges between two looks at the terminal."""
IDLE_S = 0.1
"""How long the loop waits for bytes before it looks whether it is to end."""
WAIT_S = 0.05
"""How long it waits for bytes where the controller is as far ahead of the host as it may be."""


@dataclass(frozen=True)
class Faults:
    """What a virtual board is to suffer.

    Attributes
    ----------
    line:
        Of the serial cable.
    brown_outs, every_s:
        How often its supply fails, after ``every_s`` of its seconds each in the mean.
    slow_s:
        The host is slow: so long [s] of the controller's time passes before it gets what has
        been sent to it.
    seed:
        Of all that is random here.
    """

    line: LineFaults = field(default_factory=LineFaults)
    brown_outs: int = 0
    every_s: float = 1.0
    slow_s: float = 0.0
    seed: int = 0


class VirtualBoard:
    """A controller behind a terminal.

    Parameters
    ----------
    controller, terminal:
        The two; the controller is powered up here.
    faults:
        What is to go wrong.
    clock:
        The host's time [s].
    """

    def __init__(
        self,
        controller: VirtualController,
        terminal: Terminal,
        faults: Faults | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.controller = controller
        self.terminal = terminal
        self.faults = faults or Faults()
        self._clock = clock
        self._up = NoisyLine(self.faults.line, 2 * self.faults.seed)
        self._down = NoisyLine(self.faults.line, 2 * self.faults.seed + 1)
        self._random = random.Random(self.faults.seed)
        self._stop = threading.Event()
        self._reset = threading.Event()
        self._left = self.faults.brown_outs
        self._lived = 0.0
        self.resets = 0
        controller.power_up()
        self._next = self._draw()
        self._heard = (clock(), 0.0)

    @property
    def hits(self) -> int:
        """Bytes that the line's faults have hit."""
        return self._up.hit + self._down.hit

    def stop(self) -> None:
        """End :meth:`serve`, from another thread or a signal."""
        self._stop.set()

    def brown_out(self) -> None:
        """Let the supply fail at the next moment, from another thread or a signal."""
        self._reset.set()

    def serve(self) -> None:
        """Carry bytes until :meth:`stop`."""
        while not self._stop.is_set():
            self._turn()
        self.controller.power_down()

    def _turn(self) -> None:
        if self._is_due():
            self._left -= 1
            self._reset.set()
        if self._reset.is_set():
            self._reset.clear()
            self._power_cycle()
        controller = self.controller
        ahead = self._ahead()
        patience = IDLE_S
        if controller.busy:
            patience = 0.0 if ahead < 0 else WAIT_S
        data = self.terminal.read(patience)
        if data:
            self._linger()
            controller.send(self._down.carry(data))
            self._heard = (self._clock(), controller.seconds)
            ahead = -AHEAD_S
        if controller.busy and ahead < 0:
            sent = self._up.carry(controller.run(SLICE_EDGES, controller.seconds - ahead))
            if sent:
                self.terminal.write(sent)

    def _ahead(self) -> float:
        """How much too far the controller's time is ahead of the host's [s]; below 0: it is not."""
        at, then = self._heard
        return self.controller.seconds - then - (self._clock() - at) - AHEAD_S

    def _linger(self) -> None:
        """The controller's time that a slow host lets pass."""
        if not self.faults.slow_s:
            return
        until = self.controller.seconds + self.faults.slow_s
        while self.controller.busy and self.controller.seconds < until:
            self.terminal.write(self._up.carry(self.controller.run(SLICE_EDGES, until)))

    def _is_due(self) -> bool:
        return self._left > 0 and self._lived + self.controller.seconds >= self._next

    def _power_cycle(self) -> None:
        self._lived += self.controller.seconds
        self.resets += 1
        self.controller.power_up()
        self._heard = (self._clock(), 0.0)
        self._next = self._lived + self._draw()

    def _draw(self) -> float:
        return self._random.expovariate(1 / self.faults.every_s)
