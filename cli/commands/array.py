"""`ohmloom array`: cells on the bench, over the link."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ...errors import OhmloomError
from ..output import Json, Reporter, help_without_command, working
from ..steps.bench import (
    Asked,
    BenchOptionError,
    Clear,
    ColumnsOption,
    DeviceName,
    ICc,
    InMode,
    Out,
    Output,
    Plot,
    Png,
    Record,
    Rows,
    Seed,
    Tile,
    load_wear,
    opened,
    rectangle,
    save_wear,
)
from ..steps.connecting import BAUD, Baud, Port, Virtual, connect
from ..steps.recording import Record as RecordFile
from ..steps.recording import Replay
from ..steps.tables import Curves

if TYPE_CHECKING:
    from ...boards.bench import LinkArray
    from ...boards.link import Transport
    from ...sim.numerics import FloatArray, IntArray

DEVICE = "cspbbr3_ogb"

app = typer.Typer(
    help="Cells on the bench, over the link: read, pulse, sweep, cycle them.",
    invoke_without_command=True,
    no_args_is_help=False,
)
app.callback()(help_without_command)


class ResistorsFailed(OhmloomError):
    """Resistors that are not what they are, or a channel that reads them wrong."""

    exit_code = 1


TiaRange = Annotated[
    int | None,
    typer.Option(min=0, max=5, help="TIA range of all samples; without, the one that fits."),
]
Average = Annotated[
    int, typer.Option(min=0, max=10, help="A sample is the mean of 2^N conversions.")
]


@app.command()
def read(
    device: DeviceName = DEVICE,
    virtual: Virtual = False,
    port: Port = None,
    baud: Baud = BAUD,
    seed: Seed = 1,
    in_mode: InMode = None,
    clear: Clear = False,
    keep: RecordFile = None,
    replay: Replay = None,
    tile: Tile = 0,
    rows: Rows = "",
    columns: ColumnsOption = "",
    repeat: Annotated[int, typer.Option(min=1, help="Reads of each cell.")] = 1,
    average: Average = 0,
    out: Out = None,
    plot: Plot = False,
    png: Png = None,
    as_json: Json = False,
) -> None:
    """Read cells once or several times, each in the TIA range that fits."""
    asked = Asked(device, virtual, port, baud, seed, in_mode, clear, keep, replay, average=average)
    output, curves = Output(out, png, as_json), Curves("read", "conductance_s", live=plot)
    with working(), Reporter() as reporter, opened(asked, reporter) as array, curves:
        cells = rectangle(array, tile, rows, columns)
        record = _record("Reads", array, curves)
        record.facts["v_read_v"] = array.read_volts
        for number in range(repeat):
            reporter.update("reading", number, repeat)
            for cell, siemens in zip(cells.tolist(), array.read(cells).tolist(), strict=True):
                record.add(
                    array, cell, read=number, conductance_s=siemens, resistance_ohm=_ohms(siemens)
                )
            record.show()
        output.save(record)
    output.emit(record)


@app.command()
def pulse(
    volts: Annotated[float, typer.Option(help="Amplitude [V].")],
    width: Annotated[float, typer.Option(help="Width [s].")],
    icc: ICc = None,
    count: Annotated[int, typer.Option(min=1, help="Pulses on each cell.")] = 1,
    device: DeviceName = DEVICE,
    virtual: Virtual = False,
    port: Port = None,
    baud: Baud = BAUD,
    seed: Seed = 1,
    in_mode: InMode = None,
    clear: Clear = False,
    keep: RecordFile = None,
    replay: Replay = None,
    tile: Tile = 0,
    rows: Rows = "",
    columns: ColumnsOption = "",
    out: Out = None,
    plot: Plot = False,
    png: Png = None,
    as_json: Json = False,
) -> None:
    """Pulse cells, and read them before and after each pulse."""
    asked = Asked(device, virtual, port, baud, seed, in_mode, clear, keep, replay)
    output, curves = Output(out, png, as_json), Curves("pulses", "conductance_s", live=plot)
    with working(), Reporter() as reporter, opened(asked, reporter) as array, curves:
        cells = rectangle(array, tile, rows, columns)
        record = _record("Pulses", array, curves)
        record.facts |= {"volts_v": volts, "width_s": width, "i_cc_a": icc}
        for number in range(count + 1):
            reporter.update("pulses", number, count + 1)
            if number:
                array.pulse(cells, volts, width, icc)
            for cell, siemens in zip(cells.tolist(), array.read(cells).tolist(), strict=True):
                record.add(array, cell, pulses=number, conductance_s=siemens)
            record.show()
        output.save(record)
    output.emit(record)


@app.command()
def sweep(
    stop: Annotated[float, typer.Option(help="Voltage at which it ends or turns [V].")],
    rate: Annotated[float, typer.Option(min=0, help="How fast [V/s].")] = 1.0,
    step: Annotated[float, typer.Option(min=0, help="Height of a step [V].")] = 0.02,
    both: Annotated[bool, typer.Option("--both", help="And back to 0 V.")] = False,
    icc: ICc = None,
    tia_range: TiaRange = None,
    average: Average = 0,
    device: DeviceName = DEVICE,
    virtual: Virtual = False,
    port: Port = None,
    baud: Baud = BAUD,
    seed: Seed = 1,
    in_mode: InMode = None,
    clear: Clear = False,
    keep: RecordFile = None,
    replay: Replay = None,
    tile: Tile = 0,
    rows: Rows = "0",
    columns: ColumnsOption = "0",
    out: Out = None,
    plot: Plot = False,
    png: Png = None,
    as_json: Json = False,
) -> None:
    """A staircase from 0 V on each cell, with the current at the end of each step."""
    if not rate or not step:
        raise BenchOptionError(f"--rate {rate:g} --step {step:g}: accepted are numbers above 0")
    asked = Asked(
        device, virtual, port, baud, seed, in_mode, clear, keep, replay, tia_range=tia_range,
        average=average,
    )  # fmt: skip
    output, curves = Output(out, png, as_json), _iv_curves(plot)
    with working(), Reporter() as reporter, opened(asked, reporter) as array, curves:
        from ...boards.bench.routines import staircase

        cells = rectangle(array, tile, rows, columns)
        record = _record("Sweep", array, curves)
        record.facts |= {"rate_v_s": rate, "i_cc_a": icc}
        volts = staircase(stop, step, both=both)
        _swept(array, cells, volts, step / rate, icc, record, reporter)
        output.save(record)
    output.emit(record)


@app.command()
def iv(
    resistors: Annotated[
        bool, typer.Option("--resistors", help="Of the card of known resistors: pass or fail.")
    ] = False,
    stop: Annotated[float, typer.Option(help="Largest voltage, below 0 too [V].")] = 0.1,
    steps: Annotated[int, typer.Option(min=1, help="Steps to there.")] = 10,
    dwell: Annotated[float, typer.Option(min=0, help="Time at each step [s].")] = 0.05,
    icc: ICc = None,
    average: Average = 2,
    fault: Annotated[
        str | None,
        typer.Option(
            help="On the virtual card of resistors: another one, as ROW,COLUMN,OHM.",
            metavar="R,C,OHM",
        ),
    ] = None,
    device: DeviceName = DEVICE,
    virtual: Virtual = False,
    port: Port = None,
    baud: Baud = BAUD,
    seed: Seed = 1,
    in_mode: InMode = None,
    clear: Clear = False,
    keep: RecordFile = None,
    replay: Replay = None,
    tile: Tile = 0,
    rows: Rows = "0",
    columns: ColumnsOption = "0",
    out: Out = None,
    plot: Plot = False,
    png: Png = None,
    as_json: Json = False,
) -> None:
    """A quasi-static I-V, every current with what it may be off by.

    With --resistors of the card of known resistors; exit code 1 if one is not what it is.
    """
    output, curves = Output(out, png, as_json), _iv_curves(plot)
    if resistors:
        with working(), Reporter() as reporter, curves:
            with connect(
                virtual, port, baud, lambda: _card(fault, seed), reporter, keep, replay,
                "a card of resistors",
            ) as transport:  # fmt: skip
                record = _resistors(transport, clear, curves, reporter)
            output.save(record)
        output.emit(record)
        if failed := record.facts["failed"]:
            raise ResistorsFailed(
                f"{failed} of {record.facts['readings']} readings of the resistors are further "
                f"off than they may be, the first one: {record.facts['first']}"
            )
        return
    asked = Asked(device, virtual, port, baud, seed, in_mode, clear, keep, replay, average=average)
    with working(), Reporter() as reporter, opened(asked, reporter) as array, curves:
        from ...boards.bench.routines import staircase

        cells = rectangle(array, tile, rows, columns)
        record = _record("I-V", array, curves)
        record.facts |= {"dwell_s": dwell, "i_cc_a": icc}
        volts = staircase(stop, abs(stop) / steps, both=True)
        _swept(array, cells, volts, dwell, icc, record, reporter)
        output.save(record)
    output.emit(record)


@app.command()
def mode(
    to: Annotated[str, typer.Argument(help="Name of a mode, or a kind of mode.")],
    arm: Annotated[bool, typer.Option("--arm", help="Allow an irreversible change.")] = False,
    icc: ICc = None,
    volts: Annotated[float | None, typer.Option(help="Largest voltage [V].")] = None,
    rate: Annotated[float | None, typer.Option(help="Rate of the sweep [V/s].")] = None,
    device: DeviceName = DEVICE,
    virtual: Virtual = False,
    port: Port = None,
    baud: Baud = BAUD,
    seed: Seed = 1,
    in_mode: InMode = None,
    clear: Clear = False,
    keep: RecordFile = None,
    replay: Replay = None,
    as_json: Json = False,
) -> None:
    """Bring all tiles into a mode, by the way that the device's profile has."""
    asked = Asked(device, virtual, port, baud, seed, in_mode, clear, keep, replay, armed=arm)
    output, curves = Output(None, None, as_json), Curves("row", "conductance_s", live=False)
    with working(), Reporter() as reporter, opened(asked, reporter) as array:
        record = Record("Change of mode", curves, facts={"device": array.device.name})
        record.facts["before"] = array.mode.name
        reporter.update(f"{array.mode.name} to {to}")
        array.set_mode(to, i_cc=icc, volts=volts, rate_v_s=rate)
        record.facts["after"] = array.mode.name
        for cell in rectangle(array, 0, "", "").tolist():
            record.add(array, cell, conductance_s=float(array.read([cell])[0]))
    output.emit(record)


@app.command()
def form(
    stop: Annotated[float, typer.Option(help="Highest voltage [V].")],
    formed: Annotated[float, typer.Option(help="Conductance of a formed cell, at least [S].")],
    step: Annotated[float, typer.Option(help="Height of a step [V].")] = 0.05,
    dwell: Annotated[float, typer.Option(help="Time at each step [s].")] = 0.05,
    icc: ICc = None,
    open_below: Annotated[
        float, typer.Option(help="A crossing that conducts less is open: nothing is formed [S].")
    ] = 1e-8,
    short_above: Annotated[
        float, typer.Option(help="One that conducts more is shorted [S].")
    ] = 1e-2,
    device: DeviceName = DEVICE,
    virtual: Virtual = False,
    port: Port = None,
    baud: Baud = BAUD,
    seed: Seed = 1,
    in_mode: InMode = None,
    clear: Clear = False,
    keep: RecordFile = None,
    replay: Replay = None,
    tile: Tile = 0,
    rows: Rows = "0",
    columns: ColumnsOption = "0",
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Raise the voltage on one cell after the other until it conducts.

    Contacts are checked before: an open or shorted crossing of the tiles up to this one stops
    it.
    """
    from ...boards.bench.array import Forming

    if not step or not stop:
        raise BenchOptionError(f"--stop {stop:g} --step {step:g}: accepted are numbers but 0")
    forming = Forming(stop, step, dwell, icc, formed)
    asked = Asked(device, virtual, port, baud, seed, in_mode, clear, keep, replay, forming=forming)
    output, curves = Output(out, None, as_json), Curves("row", "conductance_s", live=False)
    with working(), Reporter() as reporter, opened(asked, reporter) as array:
        from ...boards.safety import require_contacts

        cells = rectangle(array, tile, rows, columns)
        record = _record("Forming", array, curves)
        reporter.update("contacts")
        require_contacts(array.reader, tile + 1, open_below, short_above)
        for number, cell in enumerate(cells.tolist()):
            reporter.update("forming", number, cells.size)
            before = float(array.read([cell])[0])
            array.form([cell])
            record.add(array, cell, before_s=before, after_s=float(array.read([cell])[0]))
        output.save(record)
    output.emit(record)


@app.command()
def retention(
    until: Annotated[float, typer.Option(min=0, help="Time of the last read [s].")] = 1e3,
    first: Annotated[float, typer.Option(min=0, help="Time of the first one [s].")] = 1.0,
    points: Annotated[int, typer.Option(min=1, help="Reads, evenly spaced on a log axis.")] = 10,
    after: Annotated[str, typer.Option(help="Pulse before: set, reset or none.")] = "set",
    volts: Annotated[float | None, typer.Option(help="Of that pulse [V].")] = None,
    width: Annotated[float | None, typer.Option(help="Of that pulse [s].")] = None,
    icc: ICc = None,
    device: DeviceName = DEVICE,
    virtual: Virtual = False,
    port: Port = None,
    baud: Baud = BAUD,
    seed: Seed = 1,
    in_mode: InMode = None,
    clear: Clear = False,
    keep: RecordFile = None,
    replay: Replay = None,
    tile: Tile = 0,
    rows: Rows = "0",
    columns: ColumnsOption = "",
    out: Out = None,
    plot: Plot = False,
    png: Png = None,
    as_json: Json = False,
) -> None:
    """Read cells at growing times after a SET or a RESET."""
    if after not in ("set", "reset", "none") or not 0 < first <= until:
        raise BenchOptionError(
            f"--after {after} --first {first:g} --until {until:g}: accepted are set, reset and "
            "none, and two times above 0 in order"
        )
    asked = Asked(device, virtual, port, baud, seed, in_mode, clear, keep, replay)
    output = Output(out, png, as_json)
    curves = Curves("time_s", "conductance_s", live=plot, log="xy")
    with working(), Reporter() as reporter, opened(asked, reporter) as array, curves:
        from ...boards.bench import routines

        cells = rectangle(array, tile, rows, columns)
        record = _record(f"Retention after {after.upper()}", array, curves)
        if after == "set":
            routines.set_pulse(array, volts, width, icc).on(array, cells)
        elif after == "reset":
            routines.reset_pulse(array, volts, width).on(array, cells)
        for number, (time, found) in enumerate(
            routines.retention(array, cells, first, until, points)
        ):
            reporter.update("retention", number, points + 1)
            for cell, siemens in zip(cells.tolist(), found.tolist(), strict=True):
                record.add(array, cell, time_s=time, conductance_s=siemens)
            record.show()
        output.save(record)
    output.emit(record)


@app.command()
def endurance(
    cycles: Annotated[int, typer.Option(min=1, help="SET and RESET so often at most.")] = 100,
    set_volts: Annotated[float | None, typer.Option(help="Of a SET [V].")] = None,
    set_width: Annotated[float | None, typer.Option(help="Of a SET [s].")] = None,
    icc: ICc = None,
    reset_volts: Annotated[float | None, typer.Option(help="Of a RESET [V].")] = None,
    reset_width: Annotated[float | None, typer.Option(help="Of a RESET [s].")] = None,
    wear: Annotated[
        Path | None,
        typer.Option(
            help="Cycles that the cells have had, read and written (.npy).", metavar="FILE"
        ),
    ] = None,
    device: DeviceName = DEVICE,
    virtual: Virtual = False,
    port: Port = None,
    baud: Baud = BAUD,
    seed: Seed = 1,
    in_mode: InMode = None,
    clear: Clear = False,
    keep: RecordFile = None,
    replay: Replay = None,
    tile: Tile = 0,
    rows: Rows = "0",
    columns: ColumnsOption = "0",
    out: Out = None,
    plot: Plot = False,
    png: Png = None,
    as_json: Json = False,
) -> None:
    """Cycle cells with a read after each pulse; ends at the endurance that the device has."""
    asked = Asked(device, virtual, port, baud, seed, in_mode, clear, keep, replay)
    output = Output(out, png, as_json)
    curves = Curves("cycle", "lrs_s", live=plot, log="y")
    with working(), Reporter() as reporter, opened(asked, reporter) as array, curves:
        from ...boards.bench import routines
        from ...sim.devices import REFERENCE_K, EnduranceError

        cells = rectangle(array, tile, rows, columns)
        load_wear(wear, array)
        record = _record("Endurance", array, curves)
        setting = routines.set_pulse(array, set_volts, set_width, icc)
        resetting = routines.reset_pulse(array, reset_volts, reset_width)
        record.facts["stopped"] = None
        try:
            for cycle, lrs, hrs in routines.endurance(array, cells, setting, resetting, cycles):
                reporter.update("cycles", cycle, cycles)
                for cell, on, off in zip(cells.tolist(), lrs.tolist(), hrs.tolist(), strict=True):
                    record.add(array, cell, cycle=cycle, lrs_s=on, hrs_s=off)
                record.show()
        except EnduranceError as error:
            record.facts["stopped"] = str(error)
        finally:
            if replay is None:
                save_wear(wear, array)
        most = array.mode.endurance(REFERENCE_K)
        record.facts["cycles_of_the_most_worn_cell"] = int(array.cycles[cells].max())
        record.facts["worn"] = float(array.cycles[cells].max() / most)
        output.save(record)
    output.emit(record)


# -- parts ----------------------------------------------------------------------------


def _record(title: str, array: LinkArray, curves: Curves) -> Record:
    name = f"{title}, {array.device.name}, {array.mode.name}"
    return Record(name, curves, facts={"device": array.device.name, "mode": array.mode.name})


def _iv_curves(plot: bool) -> Curves:
    return Curves("voltage_v", "current_a", live=plot, log="y")


def _ohms(siemens: float) -> float:
    return 1 / siemens if siemens > 0 else float("inf")


def _swept(
    array: LinkArray, cells: IntArray, volts: FloatArray, step_s: float, icc: float | None,
    record: Record, reporter: Reporter,
) -> None:  # fmt: skip
    """Sweep one cell after the other, and record each step as it is made."""
    for number, cell in enumerate(cells.tolist()):
        reporter.update("sweeps", number, cells.size)
        kept = {name: len(values) for name, values in record.columns.items()}

        def watch(some: IntArray, first: int, amperes: FloatArray) -> None:
            for n, current in enumerate(amperes[0].tolist(), first):
                record.add(
                    array, int(some[0]), voltage_v=float(volts[n]), current_a=current,
                    uncertainty_a=float("nan"),
                )  # fmt: skip
            record.show()

        array.watch = watch
        current = array.sweep([cell], volts, step_s, icc)
        # What a current may be off by is known when the ranges of all samples are.
        first = kept.get("uncertainty_a", 0)
        record.columns["uncertainty_a"][first:] = array.uncertainty(current)[0].tolist()


def _card(fault: str | None, seed: int) -> Any:
    from ...boards.bench.virtual import resistor_card

    if fault is None:
        return resistor_card(seed)
    try:
        row, column, ohms = fault.split(",")
        return resistor_card(seed, {(int(row), int(column)): 1 / float(ohms)})
    except (ValueError, IndexError, ZeroDivisionError) as error:
        raise BenchOptionError(
            f"--fault {fault}: accepted is ROW,COLUMN,OHM, like 2,3,150000"
        ) from error


def _resistors(transport: Transport, clear: bool, curves: Curves, reporter: Reporter) -> Record:
    """The card of resistors: every reading, and how many failed."""
    from ...boards.bench.resistors import measure
    from ...boards.link import LinkClient
    from ...boards.reader import LinkReader
    from ...boards.selftest import TEST_V

    client = LinkClient(transport)
    reads = LinkReader(client)
    if clear:
        client.clear()
    record = Record("Card of resistors", curves)
    names = ("row", "column", "voltage_v", "current_a", "uncertainty_a", "resistance_ohm",
             "uncertainty_ohm", "expected_ohm", "passed")  # fmt: skip
    record.columns = {name: [] for name in names}
    failed = []
    for found in measure(reads, (TEST_V / 2, TEST_V)):
        reporter.update("resistors", found.row, 7)
        values = (found.row, found.column, found.volts, found.amperes, found.off_amperes,
                  found.ohms, found.off_ohms, found.expected_ohms, found.passed)  # fmt: skip
        for name, value in zip(names, values, strict=True):
            record.columns[name].append(value)
        if not found.passed:
            failed.append(
                f"row {found.row}, column {found.column} at {found.volts:.3g} V: "
                f"{found.ohms:.5g} ohm, expected {found.expected_ohms:.5g} +- {found.off_ohms:.2g}"
            )
        record.show()
    record.facts |= {
        "readings": len(record.columns["row"]),
        "failed": len(failed),
        "first": failed[0] if failed else None,
    }
    return record
