"""What a co-simulation is asked to do and what it answers, as files.

The testbench runs inside the simulator's process; a job is how it gets the
network and the samples there, and a result is how the figures come back.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...hw.afe import ad7606c
from ...hw.afe.adc_part import AdcPart
from ...hw.afe.array_card import ADCS
from ...hw.afe.kinds import FrontEndKind
from ...hw.geometry import Geometry
from ...hw.image import HostCall, Image, LayerSpan, Span
from ...hw.isa import assemble, parse
from ..array import SimulatedArray
from ..array.lines import Wires
from ..converters import Converters
from ..devices import Device
from ..devices.record import from_record, to_record
from .fault import Fault

JOB_VARIABLE = "OHMLOOM_COSIM_JOB"
"""Environment variable that names the job's folder to the testbench."""


@dataclass(frozen=True)
class Job:
    """One co-simulation.

    Attributes
    ----------
    image : Image
        Program, parameters and memory map.
    device : Device
        What every cell is.
    levels : ndarray
        Level codes, shape (tiles, rows, columns).
    samples : ndarray
        Network inputs as the controller takes them, shape (n, inputs), integers.
    converters : Converters
        Transfer functions of the card.
    seed, clk_hz : int
        Seed of all draws, controller clock.
    bit_cycles : int
        Clock cycles of a bit on the link; no cable limits it here.
    tile : int
        The tile that the RTL programs itself, cell by cell.
    every_tile : bool
        It programs all of them, not only that one.
    fault : Fault or None
        Fault to plant.
    jump : bool
        Let the timer service skip time in which nothing but timers runs.
    stuck : tuple of (int, float)
        Stuck-at faults of the array: flat cell numbers and conductances [S].
    adc : AdcPart
        Converters of the card.
    wires : Wires or None
        Resistance of the array's lines.
    afe : FrontEndKind
        What the controller has.
    """

    image: Image
    device: Device
    levels: np.ndarray
    samples: np.ndarray
    converters: Converters
    seed: int
    clk_hz: int
    bit_cycles: int = 4
    tile: int = 0
    every_tile: bool = False
    fault: Fault | None = None
    jump: bool = True
    stuck: tuple[tuple[int, float], ...] = ()
    adc: AdcPart = ad7606c.PART
    wires: Wires | None = None
    afe: FrontEndKind = FrontEndKind.ARRAY_CARD

    def __post_init__(self) -> None:
        self.converters.require_card()

    @property
    def programmed(self) -> tuple[int, ...]:
        """Tiles that the RTL programs."""
        return tuple(range(self.image.tiles)) if self.every_tile else (self.tile,)

    def array(self) -> SimulatedArray:
        """The cells as made, with those that are stuck."""
        geometry = self.image.geometry
        array = SimulatedArray(
            self.device, self.image.tiles, geometry.rows, geometry.columns, self.seed,
            wires=self.wires, passive=geometry.passive,
        )  # fmt: skip
        if self.stuck:
            cells, siemens = zip(*self.stuck, strict=True)
            array.stick(np.array(cells, np.int64), siemens)
        return array

    def save(self, folder: Path) -> None:
        """Write the job as ``job.json`` and ``job.npz``."""
        image = self.image
        document = {
            "geometry": asdict(image.geometry),
            "entries": image.entries,
            "tiles": image.tiles,
            "input": asdict(image.input),
            "layers": [{"name": layer.name, **asdict(layer.span)} for layer in image.layers],
            "host": [asdict(call) for call in image.host],
            "device": to_record(self.device),
            "seed": self.seed,
            "clk_hz": self.clk_hz,
            "bit_cycles": self.bit_cycles,
            "converters": asdict(self.converters),
            "tile": self.tile,
            "every_tile": self.every_tile,
            "fault": self.fault,
            "jump": self.jump,
            "stuck": self.stuck,
            "adc": self.adc.name,
            "wires": None if self.wires is None else asdict(self.wires),
            "afe": self.afe,
        }
        (folder / "job.json").write_text(json.dumps(document, indent=1))
        np.savez(
            folder / "job.npz",
            code=np.frombuffer(assemble(image.code), dtype=np.uint8),
            params=image.params,
            levels=self.levels,
            samples=self.samples,
            profile=np.array(image.profile, np.uint64),
        )

    @classmethod
    def load(cls, folder: Path) -> Job:
        """Read what :meth:`save` wrote."""
        document = json.loads((folder / "job.json").read_text())
        with np.load(folder / "job.npz", allow_pickle=False) as arrays:
            image = Image(
                geometry=Geometry(**document["geometry"]),
                code=tuple(parse(arrays["code"].tobytes())),
                entries=document["entries"],
                params=arrays["params"],
                tiles=document["tiles"],
                input=Span(**document["input"]),
                layers=tuple(
                    LayerSpan(layer["name"], Span(layer["address"], layer["count"]))
                    for layer in document["layers"]
                ),
                profile=tuple(int(word) for word in arrays["profile"]),
                host=tuple(_call(call) for call in document["host"]),
            )
            return cls(
                image=image,
                device=from_record(document["device"]),
                levels=arrays["levels"],
                samples=arrays["samples"],
                seed=document["seed"],
                clk_hz=document["clk_hz"],
                bit_cycles=document["bit_cycles"],
                converters=_converters(document["converters"]),
                tile=document["tile"],
                every_tile=document["every_tile"],
                fault=Fault(document["fault"]) if document["fault"] else None,
                jump=document["jump"],
                stuck=tuple((cell, siemens) for cell, siemens in document["stuck"]),
                adc=ADCS[document["adc"]],
                wires=Wires(**document["wires"]) if document["wires"] else None,
                afe=FrontEndKind(document["afe"]),
            )


def _call(record: dict[str, Any]) -> HostCall:
    reads, writes = (tuple(Span(**span) for span in record[name]) for name in ("reads", "writes"))
    return HostCall(record["name"], reads, writes, record["entry"])


def _converters(record: dict[str, Any]) -> Converters:
    """JSON has lists where the dataclass has tuples."""
    return Converters(**{k: tuple(v) if isinstance(v, list) else v for k, v in record.items()})


@dataclass(frozen=True)
class Mismatch:
    """The first difference between RTL and numpy engine."""

    sample: int
    layer: str
    index: int
    tiles: tuple[int, ...]
    columns: tuple[int, int]
    expected: int
    found: int

    def __str__(self) -> str:
        tiles = ", ".join(str(tile) for tile in self.tiles)
        place = f"tile {tiles}, columns {self.columns[0]}/{self.columns[1]}"
        return (
            f"sample {self.sample}, layer {self.layer}, output {self.index} "
            f"({place if tiles else 'of no tile'}): "
            f"expected {self.expected}, found {self.found}"
        )


@dataclass(frozen=True)
class CosimReport:
    """Figures of one co-simulation.

    Attributes
    ----------
    samples, values_compared, mismatches :
        Inferences run, integers compared, and how many differed (the run stops
        at the first).
    first_mismatch : str or None
        Where the first difference was.
    cells_programmed, pulses :
        Cells that the RTL wrote and verified, and the pulses it took.
    cycles_per_inference :
        Clock cycles from RUN to HALT, skipped ones included: the largest of all
        samples, which is the first one, since it also sets column and gate switches.
    predicted_cycles :
        What the cost model (:mod:`ohmloom.hw.cycles`) says of that first one; all of
        them are compared with it. 0: the program's time depends on more than the program.
    afe_bound_cycles, afe_utilisation :
        Cycles that the front end needs for the same conversions by its
        data-sheet formulas, and the ratio of the two.
    overhead :
        The cycles beyond the bound, by cause.
    saturations :
        ADC codes at a rail over all samples.
    simulated_cycles, skipped_cycles :
        Clock cycles stepped through, and those jumped over.
    """

    samples: int
    values_compared: int
    mismatches: int
    first_mismatch: str | None
    cells_programmed: int
    pulses: int
    cycles_per_inference: int
    predicted_cycles: int
    afe_bound_cycles: int
    afe_utilisation: float
    overhead: dict[str, int]
    saturations: int
    simulated_cycles: int
    skipped_cycles: int


@dataclass(frozen=True)
class Times:
    """Processor seconds of a co-simulation, from the controller's reset on.

    Attributes
    ----------
    simulator :
        In what runs the RTL.
    card :
        In the analog card and the device model.
    rest :
        In Python besides: the link, the numpy engine's samples and the comparison.
    """

    simulator: float = 0.0
    card: float = 0.0
    rest: float = 0.0

    @property
    def total(self) -> float:
        """All of them."""
        return self.simulator + self.card + self.rest


@dataclass(frozen=True)
class Cosimulation:
    """What a co-simulation gives.

    Attributes
    ----------
    report :
        Its figures.
    output :
        The network's output integers as read from the RTL, int64, shape
        (samples that ran to their end, outputs).
    times :
        What it took.
    begins :
        Stepped clock cycles, counted from the start of the simulation, at which each
        sample that was run began.
    """

    report: CosimReport
    output: np.ndarray
    times: Times = Times()
    begins: tuple[int, ...] = ()
