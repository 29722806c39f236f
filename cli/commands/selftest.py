"""`ohmloom selftest`: the card of resistors, read through the controller."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Group, RenderableType

from ...errors import OhmloomError
from ..output import Json, Reporter, emit, plain_table, short_number, working
from ..steps.recording import Record, Replay, conversation

if TYPE_CHECKING:
    from ...boards.link import Transport
    from ...boards.selftest import Check
    from ...boards.temperature import Temperatures

CLK_HZ = 48_000_000
BIT_CYCLES = 48
READ_NOISE = 2e-5
"""assumed: noise of a resistor's reading, relative, beside the front end's own."""


class SelfTestFailed(OhmloomError):
    """A card with readings that are further off than its parts allow."""

    exit_code = 1


def selftest(
    columns: Annotated[
        int, typer.Option(min=8, max=32, help="Columns of the card, a multiple of 8.")
    ] = 8,
    tolerance: Annotated[
        float,
        typer.Option(
            min=0, help="Errors of the virtual card, as a multiple of what its parts allow."
        ),
    ] = 1.0,
    seed: Annotated[int, typer.Option(min=0, max=(1 << 32) - 1, help="Seed of the errors.")] = 1,
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
        float, typer.Option(help="Temperature of the virtual card's converters.")
    ] = 25.0,
    record: Record = None,
    replay: Replay = None,
    as_json: Json = False,
) -> None:
    """Read the card of known resistors in every TIA range and channel, on the virtual board.

    Exit code 1 if a channel is further off than its parts allow. Nothing is read of a card
    whose converters are too hot.
    """
    with working(), Reporter() as reporter:
        from ...boards.calibration import Calibration, load_calibration
        from ...boards.link import LinkClient
        from ...boards.reader import LinkReader
        from ...boards.selftest import calibrate as make_table
        from ...boards.selftest import card_ohms, self_test
        from ...boards.temperature import TemperatureLog, measure
        from ...hw.geometry import Geometry
        from ...sim.converters import Channels, Converters
        from ...sim.cosim.fast.plugged import plugged
        from ...sim.cosim.resistors import Resistors

        given = None if table is None else load_calibration(table, columns)
        geometry = Geometry(rows=8, columns=columns, tiles=1, calibration=True)

        def virtual_board() -> AbstractContextManager[Transport]:
            return plugged(
                geometry,
                CLK_HZ,
                BIT_CYCLES,
                Resistors(card_ohms(geometry.rows, columns), READ_NOISE, seed),
                Converters(celsius=celsius),
                channels=Channels.drawn(columns, seed, tolerance),
                progress=lambda stage, done, total: reporter.update(f"RTL: {stage}", done, total),
            )

        with conversation(virtual_board, record, replay, f"selftest, {columns} columns") as wire:
            reads = LinkReader(LinkClient(wire))
            log = None if temperature_log is None else TemperatureLog(temperature_log)

            def temperature(doing: str) -> Temperatures:
                reporter.update("RTL: temperature")
                found = measure(reads, doing)
                if log is not None:
                    log.append(found)
                found.require()
                return found

            before = temperature("before the self-test")
            if given is not None:
                reads.write_table(given.words)
            if calibrate is not None:
                reporter.update("RTL: calibration")
                found = Calibration(columns=columns, words=make_table(reads))
                found.save(calibrate)
            reporter.update("RTL: self-test")
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
