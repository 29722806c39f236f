"""A design and a board become a bitstream, once.

The build plan (Amaranth's files and commands) and the tools' versions name the
result: the second build of the same thing is a copy from the cache. What was asked for
(:mod:`ohmloom.boards.request`) points to it, so that the second time not even the plan is made.
Amaranth's own ``Platform.build`` is not used, because it asks for the programming tool
before it builds.
"""

from __future__ import annotations

import json
import logging
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from amaranth.build.run import BuildPlan
from amaranth.lib import wiring

from ..cache import cache_folder, content_key, publish
from ..errors import OhmloomError
from ..hw.geometry import Geometry
from .blocks import BOARD, Cells, block_names, count_blocks
from .board import Board
from .report import PlaceReport, read_report
from .request import recall, remember, request_key
from .routing import UNROUTED
from .tools import TOOLS, YOSYS, Runner, ToolError, ToolRunner

log = logging.getLogger(__name__)

NAME = "top"
REPORT = "report.json"
NETLIST = f"{NAME}.json"
BLOCKS = "blocks.json"
STAGES = {
    "yosys": "synthesis",
    "nextpnr-ecp5": "place and route",
    "nextpnr-ice40": "place and route",
    "nextpnr-himbaechel": "place and route",
    "ecppack": "packing",
    "icepack": "packing",
    "gowin_pack": "packing",
}
PLACEMENTS = 4
# Part of every key: raise it when the meaning of a cached folder changes.
CACHE_FORMAT = 2
# What a memory reads where it is written at the same edge is open (ohmloom.hw.ram).
OPEN_COLLISIONS = "setparam -set COLLISION_X_MASK 1'1 t:$memrd_v2 r:TRANSPARENCY_MASK=1'0 %i"
# What synthesis does itself before it makes carry chains: a techmap wants words as short.
BEFORE_TECHMAP = (
    "proc",
    "flatten",
    "opt_expr",
    "opt_clean",
    "opt -nodffe -nosdff",
    "wreduce",
    "opt_clean",
)

Progress = Callable[[str], None]


class BuildError(OhmloomError):
    """A bitstream that could not be built, or that does not meet its clock."""


@dataclass(frozen=True)
class BuildReport:
    """A bitstream and what is known of it.

    Attributes
    ----------
    path:
        The bitstream file; None: the design is too slow for its clock.
    board, afe:
        Names of the board and of the front end it is for.
    place:
        Clocks and utilisation, as the tool reported them.
    blocks:
        Cells of each block of the controller, and of the board around it.
    left_out:
        What a controller can have and this one has not.
    cached:
        It was not built now but came from the cache.
    """

    path: Path | None
    board: str
    afe: str
    place: PlaceReport
    blocks: Mapping[str, Cells]
    left_out: tuple[str, ...]
    cached: bool

    @property
    def fmax_mhz(self) -> float:
        """Highest frequency of the clock with the least room."""
        return self.place.slowest[1].achieved

    @property
    def required_mhz(self) -> float:
        """What that clock has to reach."""
        return self.place.slowest[1].constraint

    def as_dict(self) -> dict[str, object]:
        """The report as JSON types."""
        return {
            "bitstream": None if self.path is None else str(self.path),
            "board": self.board,
            "afe": self.afe,
            "cached": self.cached,
            "fmax_mhz": self.fmax_mhz,
            "required_mhz": self.required_mhz,
            "clocks": {name: clock.model_dump() for name, clock in self.place.clocks.items()},
            "utilisation": {
                name: cell.model_dump() for name, cell in self.place.utilisation.items()
            },
            "blocks": {name: cells.as_dict() for name, cells in self.blocks.items()},
            "left_out": list(self.left_out),
            "critical_path": self.place.critical and self.place.critical.model_dump(mode="json"),
        }


def build_controller(
    geometry: Geometry,
    board: Board,
    out_dir: Path,
    *,
    afe: str | None = None,
    progress: Progress = log.info,
    runner: Runner | None = None,
    cache: Path | None = None,
) -> BuildReport:
    """Build the controller of a geometry for a board, or take it from the cache.

    Parameters are those of :func:`build_bitstream`.

    Raises
    ------
    BoardError
        If the board cannot hold it.
    BuildError, ToolError
        As of :func:`build_bitstream`.
    """
    board.check(geometry, afe)
    if board.plan_only:
        how = "; ".join(TOOLS[name].remedy for name in board.toolchain)
        raise ToolError(
            f"board {board.name} is built by {', '.join(board.toolchain)} and not by this command: "
            f"{how}; `--plan DIR` writes the build plan to run there"
        )
    runner = runner or ToolRunner()
    folder = cache or cache_folder("bitstreams")
    asked = request_key(geometry, board, afe, runner.versions(board.toolchain))
    entry = None if asked is None else recall(folder, asked)
    cached = entry is not None
    if entry is None:
        top = board.controller(geometry, afe)
        entry, cached = _entry(top, board, afe, out_dir, progress, runner, folder)
        if asked is not None:
            remember(folder, asked, entry)
    return _hand_out(entry, cached, board, afe, out_dir, geometry.left_out)


def build_bitstream(
    top: wiring.Component,
    board: Board,
    out_dir: Path,
    *,
    afe: str | None = None,
    left_out: Sequence[str] = (),
    progress: Progress = log.info,
    runner: Runner | None = None,
    cache: Path | None = None,
) -> BuildReport:
    """Build a design for a board, or take it from the cache.

    Parameters
    ----------
    top:
        The controller, with the pins of the front end ``afe`` of the board.
    out_dir:
        Receives the bitstream and ``report.json``; with a failed build, the logs.
    left_out:
        What the controller has not, for the report.
    progress:
        Called with the name of each stage as it begins.
    runner:
        Runs the tools; by default the real ones.
    cache:
        Folder of the cache; by default the user's.

    Raises
    ------
    BuildError
        If a tool fails, the design has more cells than the FPGA, or it is too slow for the
        board's clock.
    ToolError
        If a tool is missing.
    """
    folder = cache or cache_folder("bitstreams")
    entry, cached = _entry(top, board, afe, out_dir, progress, runner or ToolRunner(), folder)
    return _hand_out(entry, cached, board, afe, out_dir, left_out)


def write_plan(geometry: Geometry, board: Board, folder: Path, *, afe: str | None = None) -> Path:
    """Write sources and scripts that build a controller elsewhere; returns the script to run.

    Raises
    ------
    BoardError
        If the board cannot hold it.
    BuildError
        If the folder is there and not empty, or the platform makes no plan.
    """
    if folder.is_dir() and any(folder.iterdir()):
        raise BuildError(f"{folder} is not empty: a build plan needs a folder of its own")
    plan = prepare(board.controller(geometry, afe), board, afe)
    plan.extract(str(folder))
    return folder / f"{plan.script}.sh"


def _entry(
    top: wiring.Component,
    board: Board,
    afe: str | None,
    out_dir: Path,
    progress: Progress,
    runner: Runner,
    folder: Path,
) -> tuple[Path, bool]:
    """The cache's entry of a design, built now if it is not there; and whether it was."""
    progress("elaboration")
    plan = prepare(top, board, afe)
    commands = plan_commands(plan)
    entry = folder / plan_key(plan, runner.versions([command[0] for command in commands]))
    cached = entry.is_dir()
    if not cached:
        _build(plan, commands, board, entry, out_dir, progress, runner)
    return entry, cached


def _hand_out(
    entry: Path,
    cached: bool,
    board: Board,
    afe: str | None,
    out_dir: Path,
    left_out: Sequence[str],
) -> BuildReport:
    """Copy an entry's bitstream and write its report, if it meets its clock."""
    counts: dict[str, dict[str, int]] = json.loads((entry / BLOCKS).read_bytes())
    report = BuildReport(
        path=None,
        board=board.name,
        afe=board.afe_name(afe),
        place=read_report(entry / REPORT),
        blocks={block: Cells(**cells) for block, cells in counts.items()},
        left_out=tuple(left_out),
        cached=cached,
    )
    out_dir.mkdir(parents=True, exist_ok=True)
    name, clock = report.place.slowest
    if clock.achieved >= clock.constraint:
        path = out_dir / f"{board.name}.{board.suffix}"
        content = (entry / _product(board)).read_bytes()
        _write(path, content if board.finish is None else board.finish(content))
        report = replace(report, path=path)
    text = json.dumps(report.as_dict(), indent=2) + "\n"
    _write(out_dir / f"{board.name}.json", text)
    _write(out_dir / REPORT, text)
    if report.path is None:
        critical = report.place.critical
        raise BuildError(
            f"the design is too slow for {board.name}: clock {name} reaches "
            f"{clock.achieved:.2f} MHz, {clock.constraint:.2f} MHz is needed "
            f"(slack {clock.slack_ns:.2f} ns)"
            + (f"; the slowest path is {critical}, step by step in " if critical else "; see ")
            + str(out_dir / REPORT)
        )
    return report


def prepare(top: wiring.Component, board: Board, afe: str | None = None) -> BuildPlan:
    """Elaborate the design on the board's platform; the same design gives the same plan.

    Parameters
    ----------
    top:
        The controller, with the pins of the front end ``afe`` of the board.

    Raises
    ------
    BuildError
        If the board's platform does not make a build plan.
    """
    platform = board.platform()
    script, files = before_synthesis(board)
    for name, text in files.items():
        platform.add_file(name, text)
    plan = platform.prepare(
        board.connect(top, board.afe(afe).header),
        NAME,
        # Source paths would make the plan depend on where the checkout lies.
        emit_src=False,
        # Timing is judged here, from the report, so that the slack can be named.
        nextpnr_opts=f"--report {REPORT} --timing-allow-fail --seed {board.seed}",
        script_after_read="\n".join(script),
        synth_opts=board.synth_opts,
    )
    if not isinstance(plan, BuildPlan):
        raise BuildError(f"the platform of {board.name} makes no build plan")
    return plan


def before_synthesis(board: Board) -> tuple[list[str], dict[str, str]]:
    """What Yosys does to a design before its synthesis, and the files that it takes for that."""
    script = [OPEN_COLLISIONS] if YOSYS.name in board.toolchain else []
    files = dict[str, str]()
    if board.techmap:
        # Not as Verilog: that would become a part of the design.
        name = f"{board.techmap.stem}.map"
        files[name] = board.techmap.read_text()
        script += [*BEFORE_TECHMAP, f"techmap -map {name}"]
    return script, files


def plan_commands(plan: BuildPlan) -> list[list[str]]:
    """The commands of a plan, each a list of a tool's name and its arguments."""
    script = json.loads(plan.files[f"{plan.script}.json"])
    return [[str(word) for word in command] for command in script["commands"]]


def plan_key(plan: BuildPlan, versions: dict[str, str]) -> str:
    """SHA-256 over every file of the plan and the version of every tool."""
    listed: list[tuple[str, str | bytes]] = [("format", str(CACHE_FORMAT))]
    return content_key([*listed, *sorted(versions.items()), *sorted(plan.files.items())])


def _build(
    plan: BuildPlan,
    commands: Sequence[Sequence[str]],
    board: Board,
    entry: Path,
    out_dir: Path,
    progress: Progress,
    runner: Runner,
) -> None:
    """Run the plan in a temporary folder beside ``entry``, then give it that name."""
    entry.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="build-", dir=entry.parent) as temporary:
        folder = Path(temporary) / "plan"
        plan.extract(str(folder))
        for command in commands:
            stage = STAGES.get(command[0], command[0])
            progress(stage)
            said = folder / f"{command[0]}.log"
            code = runner.run(command, folder, said)
            for seed in range(board.seed + 1, board.seed + PLACEMENTS):
                if not code or UNROUTED not in said.read_text(errors="replace"):
                    break
                log.info("a placement that cannot be routed: once more with seed %d", seed)
                code = runner.run(_with_seed(command, seed), folder, said)
            if code:
                out_dir.mkdir(parents=True, exist_ok=True)
                kept = out_dir / said.name
                _copy(said, kept)
                size = ""
                if (folder / NETLIST).is_file():  # what does not fit is worth knowing
                    total, where = _size(plan, folder, out_dir)
                    size = (
                        f"; synthesis has made {total.luts} tables and "
                        f"{total.flip_flops} flip-flops, by block in {where}"
                    )
                raise BuildError(
                    f"{stage} failed with exit code {code}: {reason(said)} (see {kept}){size}"
                )
            if command[0] == YOSYS.name:
                _require_room(plan, folder, board, out_dir)
        kept_folder = Path(temporary) / "kept"
        kept_folder.mkdir()
        counts = _count(plan, folder)
        if set(counts) <= {BOARD}:
            raise BuildError("synthesis has left nothing of the controller")
        (kept_folder / BLOCKS).write_text(_counted(counts))
        for name in (_product(board), REPORT):
            if not (folder / name).is_file():
                raise BuildError(f"the tools ended well but left no {name}")
            shutil.move(folder / name, kept_folder / name)
        publish(kept_folder, entry)


def _with_seed(command: Sequence[str], seed: int) -> list[str]:
    """A command of place and route that starts elsewhere."""
    place = command.index("--seed") + 1
    return [*command[:place], str(seed), *command[place + 1 :]]


def _size(plan: BuildPlan, folder: Path, out_dir: Path) -> tuple[Cells, Path]:
    """All cells of the netlist, and where their counts by block have been written."""
    counts = _count(plan, folder)
    out_dir.mkdir(parents=True, exist_ok=True)
    _write(out_dir / BLOCKS, _counted(counts))
    return sum(counts.values(), start=Cells()), out_dir / BLOCKS


def _require_room(plan: BuildPlan, folder: Path, board: Board, out_dir: Path) -> None:
    """Refuse what has more cells than the FPGA before it is placed."""
    total = sum(_count(plan, folder).values(), start=Cells())
    budget = board.budget
    for what, made, there in (
        ("tables", total.luts, budget.luts),
        ("flip-flops", total.flip_flops, budget.flip_flops),
        ("block RAMs", total.block_rams, budget.block_rams),
        ("multipliers", total.multipliers, budget.multipliers),
    ):
        if made > there:
            _, where = _size(plan, folder, out_dir)
            raise BuildError(
                f"{board.fpga} of board {board.name} has {there} {what}, synthesis has made "
                f"{made}, by block in {where}"
            )


def _count(plan: BuildPlan, folder: Path) -> dict[str, Cells]:
    """Cells by block, in the netlist that synthesis has left."""
    return count_blocks(folder / NETLIST, NAME, block_names(str(plan.files[f"{NAME}.il"])))


def _counted(counts: dict[str, Cells]) -> str:
    return json.dumps({block: cells.as_dict() for block, cells in counts.items()})


def _product(board: Board) -> str:
    """What the last tool leaves."""
    return f"{NAME}.{board.suffix}"


def reason(said: Path) -> str:
    """The line of a tool's output that says what went wrong: the last error, or the last line."""
    lines = [line.strip() for line in said.read_text(errors="replace").splitlines()]
    errors = [line for line in lines if line.startswith("ERROR")]
    return next(reversed(errors or [line for line in lines if line]), "it said nothing")


def _copy(source: Path, target: Path) -> None:
    temporary = target.with_name(f".{target.name}.part")
    shutil.copyfile(source, temporary)
    temporary.replace(target)


def _write(target: Path, content: str | bytes) -> None:
    temporary = target.with_name(f".{target.name}.part")
    temporary.write_bytes(content.encode() if isinstance(content, str) else content)
    temporary.replace(target)
