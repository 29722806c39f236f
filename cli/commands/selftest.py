"""`ohmloom selftest`: the card of resistors, read through the controller."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Group, RenderableType

from ...errors import OhmloomError
from ..output import Json, Reporter, emit, plain_table, short_number, working
from ..steps.connecting import Port
from ..steps.recording import Record, Replay, conversation

if TYPE_CHECKING:
    from ...boards.link import Transport
    from ...boards.selftest import Check
    from ...boards.temperature import Temperatures

CLK_HZ = 48_000_000
BIT_CYCLES = 48
BOARD = "ulx3s-85f"


class SelfTestUsage(OhmloomError):
    """A command line that is about a board and about the virtual card."""


class SelfTestFailed(OhmloomError):
    """A card with readings that are further off than its parts allow."""

    exit_code = 1


def selftest(
    port: Port = None,
    board: Annotated[
        str | None,
        typer.Option(help="Board at the port, a name or a file [with --port: ulx3s-85f]."),
    ] = None,
    columns: Annotated[
        int | None,
        typer.Option(min=8, max=32, help="Columns of the virtual card, a multiple of 8 [8]."),
    ] = None,
    tolerance: Annotated[
        float | None,
        typer.Option(
            min=0, help="Errors of the virtual card, as a multiple of what its parts allow [1]."
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, max=(1 << 32) - 1, help="Seed of these errors [1].")
    ] = None,
    table: Annotated[
        Path | None,
        typer.Option(help="Calibration to load first: judge by what a calibrated card keeps to."),
    ] = None,
    calibrate: Annotated[
        Path | None,
        typer.Option(help="Calibrate, write the table here, and test again.", metavar="FILE"),
    ] = None,
    temperature_log: Annotated[
        Path | None,
        typer.Option(
            help="Add the converters' temperatures, before and after, to this file.", metavar="FILE"
        ),
    ] = None,
    celsius: Annotated[
        float | None, typer.Option(help="Temperature of the virtual card's converters [25].")
    ] = None,
    record: Record = None,
    replay: Replay = None,
    as_json: Json = False,
) -> None:
    """Read the card of known resistors in every TIA range and channel, of a board or virtual.

    Exit code 1 if a channel is further off than its parts allow. Nothing is read of a card
    whose converters are too hot.
    """
    real = port is not None or board is not None
    virtual = {
        "--columns": columns, "--tolerance": tolerance, "--seed": seed, "--celsius": celsius,
    }  # fmt: skip
    with working(), Reporter() as reporter:
        from ...boards.calibration import Calibration, load_calibration
        from ...boards.catalogue import board as find_board
        from ...boards.link import LinkClient
        from ...boards.loader import wait_open
        from ...boards.reader import LinkReader
        from ...boards.selftest import calibrate as make_table
        from ...boards.selftest import neutral, require, require_resistors, self_test
        from ...boards.temperature import TemperatureLog, measure
        from ...hw.geometry import Feature

        if real:
            if given := [option for option, value in virtual.items() if value is not None]:
                raise SelfTestUsage(f"{given[0]} is for the virtual card: a board has its own")
            chosen = find_board(board or BOARD)
            about = f"selftest, {chosen.name}"
            card = partial(_card_at, port, chosen.baud)
        else:
            size = 8 if columns is None else columns
            about = f"selftest, {size} columns"
            card = partial(
                _virtual_card, size, 1.0 if tolerance is None else tolerance,
                1 if seed is None else seed, 25.0 if celsius is None else celsius, reporter,
            )  # fmt: skip
        with conversation(card, record, replay, about) as wire:
            client = LinkClient(wire)
            reads = LinkReader(client)
            columns = reads.info.columns
            require(reads.info, table is not None or calibrate is not None)
            given = None if table is None else load_calibration(table, columns)
            if real:
                wait_open(client)
                if reads.info.has(Feature.CALIBRATION):  # whatever an earlier host has left there
                    reads.write_table(neutral(reads.info))
                reporter.update("looking for the resistors")
                require_resistors(reads)
            log = None if temperature_log is None else TemperatureLog(temperature_log)

            def temperature(doing: str) -> Temperatures:
                reporter.update("temperature")
                found = measure(reads, doing)
                if log is not None:
                    log.append(found)
                found.require()
                return found

            before = temperature("before the self-test")
            if given is not None:
                reads.write_table(given.words)
            if calibrate is not None:
                reporter.update("calibration")
                found = Calibration(columns=columns, words=make_table(reads))
                found.save(calibrate)
            reporter.update("self-test")
            calibrated = given is not None or calibrate is not None
            checks = self_test(reads, calibrated)
            after = temperature("after the self-test")
        data = _data(columns, calibrated, checks)
        data["temperature"] = _temperature(before, after, temperature_log)
        if calibrate is not None:
            data["calibration"] = str(calibrate)
        report = _report(data)
    emit(as_json, data, report)
    if failed := data["failures"]:
        raise SelfTestFailed(
            f"{len(failed)} of {len(checks)} readings are further off than the parts allow, "
            f"the first one: {failed[0]}"
        )


def _card_at(port: str | None, baud: int) -> AbstractContextManager[Transport]:
    """The serial line of a board whose card has the resistors."""
    from ...boards.serial_port import SerialTransport

    if port is None:
        raise SelfTestUsage("--board without --port: it is the serial port that finds a board")
    return SerialTransport(port, baud)


def _virtual_card(
    columns: int, tolerance: float, seed: int, celsius: float, reporter: Reporter
) -> AbstractContextManager[Transport]:
    """The serial line of a virtual board with the resistors."""
    from ...boards.selftest import READ_NOISE, card_ohms
    from ...hw.geometry import Geometry
    from ...sim.converters import Channels, Converters
    from ...sim.cosim.fast.plugged import plugged
    from ...sim.cosim.resistors import Resistors

    geometry = Geometry(rows=8, columns=columns, tiles=1, calibration=True)
    return plugged(
        geometry,
        CLK_HZ,
        BIT_CYCLES,
        Resistors(card_ohms(geometry.rows, columns), READ_NOISE, seed),
        Converters(celsius=celsius),
        channels=Channels.drawn(columns, seed, tolerance),
        progress=lambda stage, done, total: reporter.update(f"RTL: {stage}", done, total),
    )


def _data(columns: int, calibrated: bool, checks: list[Check]) -> dict[str, Any]:
    from ...boards.selftest import failures, reference_ohms
    from ...hw.afe.tia import RANGES

    rows = []
    for tia_range, network in enumerate(RANGES):
        for driven in (True, False):
            mine = [c for c in checks if (c.tia_range, c.driven) == (tia_range, driven)]
            codes = [check.reading.code for check in mine]
            rows.append(
                {
                    "tia_range": tia_range,
                    "full_scale_a": network.amperes,
                    "ohm": reference_ohms(tia_range) if driven else None,
                    "expected": mine[0].expected,
                    "limit": mine[0].limit,
                    "lowest": min(codes),
                    "highest": max(codes),
                    "failed": len(failures(mine)),
                }
            )
    return {
        "columns": columns,
        "calibrated": calibrated,
        "readings": len(checks),
        "ranges": rows,
        "failures": [str(check) for check in failures(checks)],
    }


def _temperature(before: Temperatures, after: Temperatures, log: Path | None) -> dict[str, Any]:
    from ...boards.temperature import LIMIT_C, UNCERTAINTY_C

    return {
        "before_c": [round(value, 2) for value in before.celsius],
        "after_c": [round(value, 2) for value in after.celsius],
        "uncertainty_c": UNCERTAINTY_C,
        "limit_c": LIMIT_C,
        "log": None if log is None else str(log),
    }


def _report(data: dict[str, Any]) -> RenderableType:
    state = "calibrated" if data["calibrated"] else "not calibrated"
    table = plain_table(
        f"Card of resistors, {data['columns']} columns, {state}",
        "range", "full A", "ohm", "expected", "limit", "result", "codes read",
    )  # fmt: skip
    for row in data["ranges"]:
        table.add_row(
            str(row["tia_range"]),
            short_number(row["full_scale_a"]),
            "open" if row["ohm"] is None else short_number(row["ohm"]),
            f"{row['expected']:.0f}",
            f"+-{row['limit']:.1f}",
            f"{row['failed']} FAIL" if row["failed"] else "pass",
            f"{row['lowest']} to {row['highest']}",
        )
    lines = [f"{data['readings']} readings, {len(data['failures'])} outside their limits"]
    heat = data["temperature"]
    for when in ("before", "after"):
        values = ", ".join(f"{value:.1f}" for value in heat[f"{when}_c"])
        lines.append(
            f"converters {when}: {values} degC (+-{heat['uncertainty_c']:g}; "
            f"limit {heat['limit_c']:g})"
        )
    if heat["log"] is not None:
        lines.append(f"temperatures added to: {heat['log']}")
    if "calibration" in data:
        lines.append(f"calibration written: {data['calibration']}")
    return Group(table, *lines)
