"""The host of a network, asked from inside a simulator's process.

A call is a file of words in the job's folder, and its answer another one: an array, or the
sentence of what went wrong. Each is written under another name and renamed, so that it is
there whole.
"""

from __future__ import annotations

import threading
import time
from pathlib import Path
from types import TracebackType

import numpy as np

from ...errors import OhmloomError
from ..engine.protocol import Host
from ..numerics import IntArray

CALL, ANSWER, REFUSAL = "host-call.npz", "host-answer.npy", "host-refusal.txt"
PATIENCE_S = 600.0
"""How long an answer may take: beyond it nobody is there to give one."""
_POLL_S = 0.005


class DeskError(OhmloomError, RuntimeError):
    """A call of the host that had no answer, or a refusal."""


class Caller:
    """The host as the simulator's process sees it.

    Parameters
    ----------
    folder : Path
        Of the job.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self, number: int, words: IntArray) -> IntArray:
        answer, refusal = self._folder / ANSWER, self._folder / REFUSAL
        partial = self._folder / f"partial-{CALL}"
        np.savez(partial, number=number, words=words)
        partial.replace(self._folder / CALL)
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            if answer.exists():
                made = np.load(answer, allow_pickle=False)
                answer.unlink()
                return made
            if refusal.exists():
                raise DeskError(refusal.read_text(encoding="utf-8"))
            time.sleep(_POLL_S)
        raise DeskError(f"call {number} of the host had no answer in {PATIENCE_S:.0f} s")


class Desk:
    """Answers the calls of a folder while it is open.

    Parameters
    ----------
    folder : Path
        Of the job.
    host : Host
        What is called.
    """

    def __init__(self, folder: Path, host: Host) -> None:
        self._folder, self._host = folder, host
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._attend, daemon=True)

    def __enter__(self) -> Desk:
        for name in (CALL, ANSWER, REFUSAL):
            (self._folder / name).unlink(missing_ok=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closed.set()
        self._thread.join()

    def _attend(self) -> None:
        call = self._folder / CALL
        while not self._closed.wait(_POLL_S):
            if not call.exists():
                continue
            with np.load(call, allow_pickle=False) as asked:
                number, words = int(asked["number"]), asked["words"]
            call.unlink()
            try:
                made = self._host(number, words)
            except Exception as error:  # told to the simulator's process, which raises it there
                self._put(REFUSAL, str(error).encode())
            else:
                partial = self._folder / f"partial-{ANSWER}"
                np.save(partial, made)
                partial.replace(self._folder / ANSWER)

    def _put(self, name: str, body: bytes) -> None:
        partial = self._folder / f"partial-{name}"
        partial.write_bytes(body)
        partial.replace(self._folder / name)
