"""A board's controller as gates: what its synthesis makes, with models of its cells.

The same script and options as for the bitstream, of the controller alone: without the board's
pin buffers, its clock and what is on neither side of them.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from amaranth.back import rtlil

from ..cache import cache_folder, content_key, publish
from ..hw.geometry import Geometry
from ..sim.cosim.gates import NAME, Boundary, Netlist
from .board import Board, BoardError
from .build import BuildError, Progress, before_synthesis, reason
from .tools import Runner, ToolRunner

DESIGN, VERILOG, MODEL = f"{NAME}.il", f"{NAME}.v", "model.il"
CELLS = "+/ice40/cells_sim.v"
"""Yosys' own simulation models of an iCE40's cells."""
SYNTHESIS = "synthesis.ys"
WITH_MODELS = (
    f"read_verilog {VERILOG}",
    f"read_verilog {CELLS}",
    f"hierarchy -top {NAME}",
    "proc",
    "flatten",
    "opt -full",
    # A word of which one bit depends on another one would look like a loop.
    "splitnets",
    "rename -hide",
    "opt_clean -purge",
    "rename -enumerate -pattern n%",
    f"write_rtlil {MODEL}",
)
MODELLING = "models.ys"
CACHE_FORMAT = 1
"""Part of every key: raise it when the meaning of a cached folder changes."""


def netlist(
    board: Board,
    geometry: Geometry,
    progress: Progress = lambda stage: None,
    runner: Runner | None = None,
    cache: Path | None = None,
) -> Netlist:
    """The gates of a board's controller, from the cache or made now.

    Raises
    ------
    BoardError
        If the board cannot hold the geometry, or no models are for its FPGA.
    BuildError, ToolError
        If synthesis fails or is missing.
    """
    if not str(getattr(board.platform(), "device", "")).startswith("iCE40"):
        raise BoardError(
            f"gate-level co-simulation is for an iCE40: of the FPGA of board {board.name} Yosys "
            "has block RAMs and multipliers as black boxes only"
        )
    top = board.controller(geometry)
    before, files = before_synthesis(board)
    script = [
        f"read_rtlil {DESIGN}",
        *before,
        f"synth_ice40 {board.synth_opts} -top {NAME}",
        f"write_verilog -noattr {VERILOG}",
    ]
    design = rtlil.convert(Boundary(top), name=NAME, emit_src=False)
    verilog = _made(
        {DESIGN: design, **files, SYNTHESIS: "\n".join(script)}, SYNTHESIS, VERILOG,
        "synthesis", progress, runner, cache,
    )  # fmt: skip
    return modelled(verilog, progress, runner, cache)


def modelled(
    verilog: str,
    progress: Progress = lambda stage: None,
    runner: Runner | None = None,
    cache: Path | None = None,
) -> Netlist:
    """A netlist in Verilog with the models of its cells.

    Raises
    ------
    BuildError, ToolError
        If Yosys fails or is missing.
    """
    files = {VERILOG: verilog, MODELLING: "\n".join(WITH_MODELS)}
    model = _made(files, MODELLING, MODEL, "models of its cells", progress, runner, cache)
    return Netlist(verilog, model)


def _made(
    files: dict[str, str],
    script: str,
    product: str,
    stage: str,
    progress: Progress,
    runner: Runner | None,
    cache: Path | None,
) -> str:
    """What Yosys makes of files by a script, once for the same ones."""
    runner = runner or ToolRunner()
    versions = sorted(runner.versions(["yosys"]).items())
    key = content_key([("format", str(CACHE_FORMAT)), *versions, *sorted(files.items())])
    entry = (cache or cache_folder("netlists")) / key
    if not entry.is_dir():
        progress(stage)
        entry.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="build-", dir=entry.parent) as temporary:
            folder, kept = Path(temporary) / "work", Path(temporary) / "kept"
            folder.mkdir()
            kept.mkdir()
            for name, text in files.items():
                (folder / name).write_text(text)
            said = folder / "yosys.log"
            if code := runner.run(["yosys", "-q", script], folder, said):
                raise BuildError(f"{stage} failed with exit code {code}: {reason(said)}")
            (folder / product).rename(kept / product)
            publish(kept, entry)
    return (entry / product).read_text()
