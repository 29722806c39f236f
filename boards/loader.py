"""A controller loaded with an image: its memories, its profile, its registers and rails."""

from __future__ import annotations

from time import sleep

import numpy as np

from ..hw.image import Image
from ..hw.isa import assemble
from ..hw.link.protocol import GuardState, Space, Status
from ..hw.profile import quarters
from .calibration import Calibration, table_words
from .link import LinkClient, LinkError, LinkRefused

START_S, LOOK_S = 30.0, 0.01
"""How long a front end may take to be initialised, and from look to look. Looks are counted, not
timed, so that a recorded host and its replay look as often."""


def load(client: LinkClient, image: Image, calibration: Calibration | None = None) -> None:
    """Load an image and run its setup; no cell is driven.

    Parameters
    ----------
    calibration:
        What a controller with a calibration table gets; None: a table that changes nothing.

    Raises
    ------
    LinkError
        If the controller cannot run it, or holds to the profile of another device.
    """
    client.require(image)
    client.write_words(Space.PROGRAM, 0, words(image))
    client.write_words(Space.PARAM, 0, image.params.tolist())
    client.write_words(Space.CALIBRATION, 0, table_words(image.geometry, calibration))
    _adopt(client, image)
    wait_open(client)
    client.run(image.entries["setup"], 0)


def is_loaded(client: LinkClient, image: Image, calibration: Calibration | None = None) -> bool:
    """Whether the controller has the program and the parameters of an image, and the table."""
    code, params = words(image), image.params.tolist()
    return (
        client.read_words(Space.PROGRAM, 0, len(code)) == code
        and client.read_words(Space.PARAM, 0, len(params)) == params
        and is_mended(client, image, calibration)
    )


def is_mended(client: LinkClient, image: Image, calibration: Calibration | None) -> bool:
    """Whether a controller's calibration table is that; one without a table has none to compare."""
    table = table_words(image.geometry, calibration)
    return client.read_words(Space.CALIBRATION, 0, len(table)) == table


def words(image: Image) -> list[int]:
    """The image's program as words of program memory."""
    return np.frombuffer(assemble(image.code), "<u8").tolist()


def wait_open(client: LinkClient) -> None:
    """Leave the safe state, if that is possible, and wait until the front end is initialised.

    Raises
    ------
    LinkError
        If the cause of the safe state is still there, or it takes too long.
    """
    if client.health().state is GuardState.SAFE:
        client.clear()
    for _ in range(round(START_S / LOOK_S)):
        if client.health().state is GuardState.OPEN:
            return
        sleep(LOOK_S)
    raise LinkError(f"the front end has not been initialised within {START_S:g} s")


def _adopt(client: LinkClient, image: Image) -> None:
    """The device profile, unless the controller holds to the same one already."""
    wanted = quarters(image.profile)
    try:
        client.write_words(Space.PROFILE, 0, wanted)
    except LinkRefused as refused:
        if refused.status != Status.LOCKED:
            raise
        if client.read_words(Space.PROFILE, 0, len(wanted)) != list(wanted):
            raise LinkError(
                "the controller holds to the profile of another device until its next reset"
            ) from refused
