"""The commands put together, and what a failure looks like."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Sequence
from typing import Annotated

import typer

from .. import __version__
from ..errors import OhmloomError
from .commands import (
    array,
    bitstream,
    boards,
    compile,
    cosim,
    demo,
    deploy,
    devices,
    doctor,
    drift,
    modes,
    reproduce,
    run,
    selftest,
    virtual_board,
)
from .output import help_without_command

FAILED = 2
INTERRUPTED = 130

app = typer.Typer(
    name="ohmloom",
    help="Neural networks on memristor crossbars: compile, run, prove, build.",
    invoke_without_command=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.command("doctor")(doctor.doctor)
app.add_typer(devices.app, name="devices")
app.add_typer(boards.app, name="boards")
app.command("reproduce")(reproduce.reproduce)
app.command("compile")(compile.compile_model)
app.command("run")(run.run)
app.command("drift")(drift.drift)
app.command("cosim")(cosim.cosim)
app.command("modes")(modes.modes)
app.command("selftest")(selftest.selftest)
app.add_typer(array.app, name="array")
app.command("bitstream")(bitstream.bitstream)
app.command("deploy")(deploy.deploy)
app.command("virtual-board")(virtual_board.virtual_board)
app.command("demo")(demo.demo)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def common(
    context: typer.Context,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Say on stderr what is being done.")
    ] = False,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    help_without_command(context)
    level = logging.INFO if verbose else logging.WARNING
    logging.basicConfig(level=level, stream=sys.stderr, format="%(name)s: %(message)s")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code.

    What a user can cause and mend ends in one sentence and exit code 2. Any
    other exception is a fault of the program and keeps its traceback.
    """
    # A design that is refused, or only asked what it is, is never elaborated.
    warnings.filterwarnings("ignore", message=".*created but never used")
    try:
        code = app(arguments, prog_name="ohmloom", standalone_mode=False)
    except typer.TyperException as error:
        return _fail(error.format_message())
    except typer.Abort:
        return INTERRUPTED
    except OSError as error:
        return _fail(f"{error.filename}: {error.strerror}" if error.filename else str(error))
    except OhmloomError as error:
        return _fail(str(error), error.exit_code)
    return code or 0


def _fail(message: str, code: int = FAILED) -> int:
    print("ohmloom:", " ".join(message.split()), file=sys.stderr)
    return code
