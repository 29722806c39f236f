"""A virtual board at work on a thread of its own, while this process is its host."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

from .board import Faults, VirtualBoard
from .controller import VirtualController
from .terminal import Terminal


@contextmanager
def serving(controller: VirtualController, faults: Faults | None = None) -> Iterator[VirtualBoard]:
    """The board, until the end of the block; ``board.terminal.port`` is its serial port.

    What goes wrong in it is raised at the end, in place of what its host then complained of.
    """
    wrong: list[BaseException] = []
    with Terminal() as terminal:
        board = VirtualBoard(controller, terminal, faults)

        def serve() -> None:
            try:
                board.serve()
            except BaseException as error:
                wrong.append(error)

        thread = Thread(target=serve, name="virtual-board", daemon=True)
        thread.start()
        try:
            yield board
        except Exception:
            if wrong:
                raise wrong[0] from None
            raise
        finally:
            board.stop()
            thread.join()
    if wrong:
        raise wrong[0]
