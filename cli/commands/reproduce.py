"""`ohmloom reproduce`: what the source documents report, on the device models."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ...errors import OhmloomError
from ..output import Json, Reporter, emit, plain_table, short_number, working
from ..steps.connecting import BAUD, Baud, Port, Virtual, require_one

if TYPE_CHECKING:
    from ...sim.devices import Device
    from ...sim.experiments import Definition, Experiment, Row
    from ...sim.experiments.bench import MakeArray


class ReproduceError(OhmloomError):
    """A command line that asks for nothing, or for two things at once."""


class NotOverTheLink(OhmloomError):
    """An experiment that asks for something that a bench does not do."""


def reproduce(
    name: Annotated[
        str | None, typer.Argument(help="SEED, like 001, or SEED/EXPERIMENT.", metavar="SEED")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every experiment.")] = False,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for the figures.", metavar="FOLDER")
    ] = Path("build/reproduce"),
    replace: Annotated[
        list[str] | None,
        typer.Option(help="Use your own entry for a device.", metavar="NAME=FILE.toml"),
    ] = None,
    virtual: Virtual = False,
    terminal: Annotated[
        bool,
        typer.Option("--terminal", help="With --virtual: behind a pseudo-terminal, like a board."),
    ] = False,
    port: Port = None,
    baud: Baud = BAUD,
    arm: Annotated[
        bool, typer.Option("--arm", help="On a board: allow irreversible changes of mode.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Run experiments and compare with their source; exit code 1 if a row fails.

    With --virtual or --port the arrays are cells behind a controller, over the link.
    """
    if virtual or port is not None:
        require_one(virtual, port)
    if terminal and not virtual:
        raise ReproduceError("--terminal says where the controller of --virtual is")
    with working(), Reporter() as reporter:
        from ...sim.experiments import EXPERIMENTS, select

        if everything == (name is not None):
            raise ReproduceError("name one seed or experiment, like 001 or 001/table, or --all")
        chosen = EXPERIMENTS if name is None else select(name)
        replaced = _replaced(replace or [])
        found = []
        for definition in chosen:
            reporter.update(definition.path)
            with _arrays(virtual, terminal, port, baud, arm, reporter) as make:
                found.append(_run(definition, replaced, make, output))
        data = _data(found)
        report = _report(found)
    emit(as_json, data, report)
    if data["failed"]:
        raise typer.Exit(1)


@contextmanager
def _arrays(
    virtual: bool, terminal: bool, port: str | None, baud: int, arm: bool, reporter: Reporter
) -> Iterator[MakeArray | None]:
    """Where the arrays of an experiment come from; None: from the model."""
    if not virtual and port is None:
        yield None
        return
    from ...boards.bench.factory import BoardArrays, VirtualArrays
    from ...boards.link import LinkClient
    from ...boards.serial_port import SerialTransport

    if virtual:

        def told(stage: str, done: int, total: int) -> None:
            reporter.update(f"RTL: {stage}", done, total)

        with VirtualArrays(told, terminal=terminal) as arrays:
            yield arrays
        return
    assert port is not None
    with SerialTransport(port, baud) as transport:
        yield BoardArrays(LinkClient(transport), arm)


def _run(
    definition: Definition, replaced: dict[str, Device], make: MakeArray | None, output: Path
) -> Experiment:
    from ...sim.experiments import Bench, run

    if make is None:
        return run(definition, Bench(replaced=replaced), output)
    try:
        return run(definition, Bench(replaced=replaced, make=make), output)
    except OhmloomError as error:
        raise NotOverTheLink(f"{definition.path} does not run over the link: {error}") from error


def _replaced(pairs: Iterable[str]) -> dict[str, Device]:
    from ...sim.devices import catalogue, load

    replaced = {}
    for pair in pairs:
        device, equals, path = pair.partition("=")
        if not equals or device not in catalogue():
            raise ReproduceError(
                f"--replace {pair}: accepted is NAME=FILE.toml with NAME one of "
                f"{', '.join(catalogue())}"
            )
        replaced[device] = load(Path(path))
    return replaced


# -- as JSON --------------------------------------------------------------------------


def _data(found: Sequence[Experiment]) -> dict[str, Any]:
    passed = sum(experiment.passed for experiment in found)
    rows = [row for experiment in found for row in experiment.rows]
    return {
        "experiments": [_experiment(experiment) for experiment in found],
        "passed": passed,
        "failed": len(found) - passed,
        "rows": _counts(rows),
    }


def _counts(rows: Sequence[Row]) -> dict[str, dict[str, int]]:
    """Rows by kind: how many, and how many of them pass."""
    from ...sim.experiments import Kind

    counts = {}
    for kind in Kind:
        verdicts = [row.passed for row in rows if row.kind is kind]
        counts[kind.value] = {"rows": len(verdicts), "passed": sum(verdicts)}
    return counts


def _experiment(experiment: Experiment) -> dict[str, Any]:
    return {
        "experiment": experiment.path,
        "title": experiment.title,
        "stands_for": experiment.stands_for,
        "passed": experiment.passed,
        "rows": [_row(row) for row in experiment.rows],
        "kinds": _counts(experiment.rows),
        "devices": list(experiment.devices),
        "figures": [str(path) for path in experiment.figures],
        "assumed": [
            {
                "device": item.device,
                "parameter": item.parameter,
                "value": item.value,
                "unit": item.unit,
                "reason": item.reason,
                "influences": item.influences,
            }
            for item in experiment.assumed
        ],
    }


def _row(row: Row) -> dict[str, Any]:
    value = None if row.seed_value is None else float(row.seed_value)
    low, high = row.tolerance.bounds(value)
    return {
        "quantity": row.quantity,
        "unit": row.unit,
        "seed_value": row.seed_value,
        "ours": row.ours if isinstance(row.ours, bool) else _finite(row.ours),
        "tolerance": row.tolerance.text,
        "accepted": [_finite(low), _finite(high)],
        "passed": row.passed,
        "kind": row.kind.value,
        "source": row.source,
        "interval": row.interval
        and {
            "low": _finite(row.interval.low),
            "high": _finite(row.interval.high),
            "seeds": list(row.interval.seeds),
        },
    }


def _finite(value: float) -> float | None:
    """JSON has no infinity and no NaN."""
    return float(value) if math.isfinite(value) else None


# -- for people -----------------------------------------------------------------------


def _report(found: Sequence[Experiment]) -> RenderableType:
    parts: list[RenderableType] = []
    for experiment in found:
        figure = Text(f" figure: {experiment.figures[0]}", "dim")
        parts += [_table(experiment), figure, ""]
    parts += [_assumed(found), "", _summary(found)]
    return Group(*parts)


def _table(experiment: Experiment) -> Table:
    verdict = ("  passed", "bold green") if experiment.passed else ("  FAILED", "bold red")
    title = Text(f"{experiment.path}  {experiment.title} ({experiment.stands_for})", "bold")
    table = _plain(title.append(*verdict))
    table.add_column("quantity", ratio=1, overflow="fold")
    for column in ("seed", "ours"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("unit", no_wrap=True)
    table.add_column("tolerance", overflow="fold", max_width=20)
    for column in ("kind", ""):
        table.add_column(column, no_wrap=True)
    for row in experiment.rows:
        quantity = Text(row.quantity)
        if row.interval:
            ends = f"{short_number(row.interval.low)} to {short_number(row.interval.high)}"
            seeds = _seeds(row.interval.seeds)
            quantity.append(f"\n  {ends} in 90 % of seeds {seeds}", "dim")
        table.add_row(
            quantity,
            _seed_value(row),
            _number(row.ours),
            "" if row.unit == "1" else row.unit,
            "" if row.seed_value is None else row.tolerance.text,
            row.kind.value,
            Text("pass", "green") if row.passed else Text("FAIL", "bold red"),
        )
    return table


def _plain(title: Text | str) -> Table:
    return Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )


def _seeds(seeds: Sequence[int]) -> str:
    if len(seeds) > 2 and list(seeds) == list(range(seeds[0], seeds[-1] + 1)):
        return f"{seeds[0]}..{seeds[-1]}"
    return ", ".join(map(str, seeds))


def _seed_value(row: Row) -> str:
    """What the source says: a value, a range, or a bound."""
    if row.seed_value is not None:
        return _number(row.seed_value)
    low, high = row.tolerance.bounds(None)
    if math.isinf(low):
        return f"<= {short_number(high)}"
    return (
        f">= {short_number(low)}"
        if math.isinf(high)
        else (f"{short_number(low)} to {short_number(high)}")
    )


def _number(value: float | bool) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return short_number(value)


def _assumed(found: Sequence[Experiment]) -> Table:
    """Every assumed parameter once, under what it changes and where."""
    influences: dict[tuple[str, str], dict[str, list[str]]] = {}
    for experiment in found:
        for item in experiment.assumed:
            value = f"{short_number(item.value)} {'' if item.unit == '1' else item.unit}".rstrip()
            texts = influences.setdefault(
                (item.device, f"{item.parameter.removeprefix('modes.')} = {value}"), {}
            )
            if item.influences:
                texts.setdefault(item.influences, []).append(experiment.name)
    groups: dict[str, dict[str, list[str]]] = {}
    for (device, parameter), texts in influences.items():
        listed = (f"{text} ({', '.join(names)})" for text, names in texts.items())
        whole = "; ".join(listed) or "none on what is compared"
        groups.setdefault(device, {}).setdefault(whole, []).append(parameter)
    table = _plain("Assumed parameters: no source gives them")
    table.add_column("device", no_wrap=True)
    table.add_column("influence", overflow="fold", ratio=2)
    table.add_column("parameters", overflow="fold", ratio=3)
    for device, texts in groups.items():
        for n, (text, parameters) in enumerate(texts.items()):
            table.add_row("" if n else device, text, ", ".join(parameters))
        table.add_section()
    return table


def _summary(found: Sequence[Experiment]) -> Table:
    rows = [row for experiment in found for row in experiment.rows]
    table = plain_table("Rows", "kind", "rows", "pass")
    for kind, count in _counts(rows).items():
        table.add_row(kind, str(count["rows"]), str(count["passed"]))
    passed = sum(experiment.passed for experiment in found)
    table.add_section()
    table.add_row("experiments", str(len(found)), str(passed))
    return table
