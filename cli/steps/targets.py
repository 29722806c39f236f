"""Controllers that a network can be compiled for: those of boards, and one without a board."""

from __future__ import annotations

from dataclasses import replace

from ...boards.board import BoardError
from ...boards.catalogue import board
from ...hw.afe.kinds import EMULATED_STEP, FrontEndKind
from ...hw.geometry import BANKED_DEPTH, BANKED_TILES, Geometry
from ...sim.converters import Converters, Sensing

SIMULATED = "simulated"
"""A controller without a limit: with banks it has what no instruction reaches by itself."""
SIMULATED_WORDS = 1 << 24
"""Activation words of it: a network that has more values uses words again."""
SIMULATED_AFES = (FrontEndKind.ARRAY_CARD, FrontEndKind.EMULATED)
CLK_HZ = 48_000_000


def target(
    name: str,
    rows: int | None,
    columns: int | None,
    afe: str | None = None,
    calibrated: bool = False,
) -> tuple[Geometry, int]:
    """The largest controller of a target, and its clock [Hz].

    A network gets no more memory of it than it needs.

    Parameters
    ----------
    name:
        A board's name or file, or :data:`SIMULATED`.
    rows, columns:
        Lines of a tile; None: those of the board's standard controller.
    afe:
        Front end of the board; None: its first. ``emulated`` is one of :data:`SIMULATED` too.
    calibrated:
        With a calibration table.

    Raises
    ------
    BoardError, GeometryError
        If there is no such board, or no such tile, or it has no room for a calibration table.
    """
    if calibrated and afe_of(name, afe) is FrontEndKind.EMULATED:
        raise BoardError("an emulated array has no channels that a calibration table could mend")
    step = EMULATED_STEP if afe == FrontEndKind.EMULATED else Geometry.step
    if name == SIMULATED:
        return Geometry(
            step=step,
            rows=rows or 32,
            columns=columns or 32,
            tiles=BANKED_TILES,
            acc_width=64,
            program_depth=BANKED_DEPTH,
            param_depth=BANKED_DEPTH,
            act_depth=SIMULATED_WORDS,
            calibration=calibrated,
            banks=True,
        ), CLK_HZ
    chosen = board(name)
    standard, most = chosen.afe(afe).standard, chosen.afe(afe).largest
    if calibrated and not most.calibration:
        raise BoardError(
            f"the controller of board {chosen.name} with front end {chosen.afe_name(afe)} is built "
            "without a calibration table"
        )
    return replace(
        standard,
        rows=rows or standard.rows,
        columns=columns or standard.columns,
        tiles=most.tiles,
        program_depth=most.program_depth,
        param_depth=most.param_depth,
        act_depth=most.act_depth,
        calibration=calibrated or standard.calibration,
    ), chosen.clk_hz


def converters_of(name: str, adc_bits: int, input_bits: int, sensing: Sensing) -> Converters:
    """Converters of a target's card.

    Raises
    ------
    ConverterError
        If a board's card has no such converters.
    """
    made = Converters(adc_bits=adc_bits, input_bits=input_bits, sensing=sensing)
    if name != SIMULATED:
        made.require_card()
    return made


def afe_of(name: str, afe: str | None = None) -> FrontEndKind:
    """Front end of a target's controller; the array card where there is no board.

    ``afe`` is its name on the board; None: the board's first.

    Raises
    ------
    BoardError
        If there is no such board, it has no such front end, or no network is compiled for that.
    """
    if name != SIMULATED:
        return board(name).kind(afe)
    asked = (afe or FrontEndKind.ARRAY_CARD).replace("-", "_")
    if asked not in SIMULATED_AFES:
        raise BoardError(
            f"target {SIMULATED} has no front end {afe!r}, it has: {', '.join(SIMULATED_AFES)}"
        )
    return FrontEndKind(asked)


def link_baud(name: str) -> int | None:
    """Rate of a target's command link; None of :data:`SIMULATED`.

    Raises
    ------
    BoardError
        If there is no such board.
    """
    return None if name == SIMULATED else board(name).baud
