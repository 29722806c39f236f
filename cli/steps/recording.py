"""A command's conversation with its controller, kept in a file or taken from one."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ...errors import OhmloomError

if TYPE_CHECKING:
    from ...boards.link import Transport

Record = Annotated[
    Path | None,
    typer.Option(
        "--record", help="Keep the conversation with the controller here.", metavar="FILE"
    ),
]
Replay = Annotated[
    Path | None,
    typer.Option(
        "--replay", help="Take the controller's part from this recording.", metavar="FILE"
    ),
]


class RecordAndReplay(OhmloomError):
    """A command line that asks for both."""


@contextmanager
def conversation(
    connect: Callable[[], AbstractContextManager[Transport]],
    record: Path | None,
    replay: Path | None,
    about: str,
    *,
    seeded: bool = False,
) -> Iterator[Transport]:
    """The byte pipe to a controller: what ``connect`` opens, or a recording of it.

    Parameters
    ----------
    connect:
        Opens the pipe; not called for a replay.
    record:
        Where the conversation is kept, also one that fails.
    replay:
        A recording; at the end everything in it has to have been said.
    about:
        The command with what the conversation depends on: a replay has to be of the same.
    seeded:
        Whether the host draws at random: a recording then has a seed of its own.

    Raises
    ------
    RecordAndReplay
        If both are asked for.
    RecordingError, ReplayError
        If the file cannot be used, or the host does not say what is in it.
    """
    from ...boards.recording import RecordingTransport, ReplayTransport

    if record is not None and replay is not None:
        raise RecordAndReplay("--record and --replay exclude each other")
    if replay is not None:
        with ReplayTransport(replay, about) as transport:
            yield transport
        return
    with connect() as transport:
        if record is None:
            yield transport
        else:
            seed = secrets.randbits(64) if seeded else 0
            with RecordingTransport(transport, record, about, seed) as recording:
                yield recording
