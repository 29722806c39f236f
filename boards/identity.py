"""Whether the controller at the other end of a link is the one that a bundle is for."""

from __future__ import annotations

from ..compiler.compiled import Compiled
from ..hw.afe.cards import FRONT_ENDS
from ..hw.afe.emulated import Emulated
from ..hw.afe.kinds import FrontEndKind
from ..hw.link.protocol import FRONT_END_BYTES
from .link import Info, LinkClient, LinkError


class WrongController(LinkError):
    """A controller that answers, and is not for the bundle."""


def identify(client: LinkClient, compiled: Compiled) -> Info:
    """What the controller says of itself, if a bundle can run on it.

    Raises
    ------
    LinkTimeout
        If nothing answers.
    LinkError
        If it lacks something, has another clock or another front end, naming them.
    """
    info = client.require(compiled.image)
    clk_hz, front_end = compiled.options.clk_hz, front_end_of(compiled)
    if info.clk_hz != clk_hz:
        raise WrongController(
            f"the bundle is compiled for a clock of {clk_hz} Hz, the board runs at {info.clk_hz} Hz"
        )
    if info.front_end != front_end:
        raise WrongController(
            f"the bundle is for the front end {front_end}, the board has {info.front_end}"
        )
    return info


def front_end_of(compiled: Compiled) -> str:
    """The front end that a bundle's controller says it has."""
    if compiled.options.afe is FrontEndKind.EMULATED:
        name = f"{Emulated.__name__} {compiled.tables.digest}"
    else:
        name = FRONT_ENDS[compiled.options.afe].__name__
    return name[:FRONT_END_BYTES]
