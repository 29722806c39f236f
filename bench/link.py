"""How much of the serial line bulk transfers use: payload over what the baud rate could carry.

The controller's RTL at its board's real rate, 10 bits a byte. Time is the model's own, from the
first bit of the first request to the last bit of the last reply, so it has nothing of this
machine in it. A host's port is given a latency: bytes from the controller reach it that much
later, as behind a USB bridge, whose driver collects them for a while. What the host does itself
takes no time.

    python bench/link.py [--latency-ms MS ...]
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import deque

from ohmloom.boards.catalogue import board as find_board
from ohmloom.boards.link import LinkClient, Space
from ohmloom.boards.virtual.controller import VirtualController
from ohmloom.hw.geometry import Geometry
from ohmloom.sim.array import SimulatedArray
from ohmloom.sim.converters import Converters
from ohmloom.sim.cosim.bench import Bench, lags
from ohmloom.sim.cosim.card import AnalogCard
from ohmloom.sim.cosim.fast.build import library, ports
from ohmloom.sim.cosim.fast.engine import Engine
from ohmloom.sim.cosim.fast.plugged import SerialLine
from ohmloom.sim.cosim.pins import CardPins
from ohmloom.sim.devices import load

BOARD = "ulx3s-85f"
GEOMETRY = Geometry(rows=8, columns=8, tiles=1, program_depth=4096, act_depth=8192)
BITS = 10
"""Of a byte on the line."""
LIMIT = 0.85
STEP_EDGES = 200


class Latent:
    """A controller as a transport; what it sends arrives ``latency`` seconds later.

    The line is never idle for the host's sake: while it waits, the controller's clock runs.
    """

    def __init__(self, controller: VirtualController, latency: float) -> None:
        self.controller = controller
        self.latency = latency
        self.baud = controller.line.clk_hz // controller.line.bit_cycles
        self._coming: deque[tuple[float, bytes]] = deque()

    def write(self, data: bytes) -> None:
        self.controller.send(data)

    def read(self, timeout: float) -> bytes:
        controller = self.controller
        until = controller.seconds + timeout
        while controller.seconds < until:
            if self._coming and self._coming[0][0] <= controller.seconds:
                return self._coming.popleft()[1]
            found = controller.pass_time(STEP_EDGES)
            if found:
                self._coming.append((controller.seconds + self.latency, found))
        return b""


def measure(latency: float) -> dict[str, object]:
    """Shares of the line that a write and a read of program and activation memory use."""
    board = find_board(BOARD)
    bit_cycles = board.clk_hz // board.baud
    bench = Bench(GEOMETRY, board.clk_hz, board.baud)
    path, names = library(bench), ports(bench)
    array = SimulatedArray(load("cspbbr3_ogb"), 1, GEOMETRY.rows, GEOMETRY.columns, 1)

    def pins() -> CardPins:
        card = AnalogCard(array, Converters(), GEOMETRY, board.clk_hz, lags(board.clk_hz))
        return CardPins(GEOMETRY, card)

    controller = VirtualController(
        lambda: Engine(path, names, bit_cycles), pins, SerialLine(bit_cycles, board.clk_hz)
    )
    controller.power_up()
    client = LinkClient(Latent(controller, latency))
    client.ping()
    words = {Space.PROGRAM: (GEOMETRY.program_depth, 8), Space.ACT: (GEOMETRY.act_depth, 2)}
    found: dict[str, object] = {"baud": board.baud, "latency_ms": 1e3 * latency}
    for space, (count, size) in words.items():
        data = [(37 * n) & 0xFFF for n in range(count)]
        name = space.name.lower()
        carried = size * count * BITS / board.baud
        begun = controller.seconds
        client.write_words(space, 0, data)
        found[f"write_{name}"] = round(carried / (controller.seconds - begun), 4)
        begun = controller.seconds
        if client.read_words(space, 0, count) != data:
            sys.exit(f"{name} memory does not hold what was written")
        found[f"read_{name}"] = round(carried / (controller.seconds - begun), 4)
    controller.power_down()
    return found


def main() -> int:
    """Print a JSON line a latency; 1 if a share is below the limit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--latency-ms", type=float, action="append")
    worst = 1.0
    for latency in parser.parse_args().latency_ms or (0.0, 1.0, 2.0):
        found = measure(latency / 1e3)
        shares = [value for name, value in found.items() if name[:4] in ("writ", "read")]
        worst = min(worst, *(float(str(share)) for share in shares))
        print(json.dumps(found), flush=True)
    return int(worst < LIMIT)


if __name__ == "__main__":
    sys.exit(main())
