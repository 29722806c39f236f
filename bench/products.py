"""Products of a matrix beside those of CrossSim and AIHWKit, in one process.

1024 x 1024 weights, each the difference of two cells; a DAC and an ADC of 8 bits, one conversion
for the difference; a programming error in proportion to the conductance that was wanted, and read
noise, drawn anew for every input. Times are multiples of numpy's product in float32 on as many
threads. Errors of weights and read noise have the size that those of our device have; ranges of the
ADC are those of the products in floats.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits
from works import SIZE, Way, Work, error, in_a_row, prepared

WAY = Way(SIZE, 2 * SIZE, 8, "differential", adc_bits=8)
BATCHES = (64, 1024)
BITS = 8
TOGETHER = 16
"""Inputs that CrossSim has at a time with read noise: it draws all cells for each of them."""
MOST_SECONDS = 20.0
"""What has taken as long has no further turn."""

Product = Callable[[np.ndarray], np.ndarray]
"""Of inputs (batch, rows), the outputs (batch, columns)."""

log = logging.getLogger("bench")


@dataclass(frozen=True)
class Matrix:
    """Weights (rows, columns), and what is wrong with their product.

    ``g_min`` and ``g_max`` are the lowest and the highest conductance [S] that is written,
    ``spread`` and ``noise`` standard deviations of programming and reading over the conductance
    (0: there is none), and ``most`` the largest magnitude of an output.
    """

    weight: np.ndarray
    g_min: float
    g_max: float
    spread: float
    noise: float
    most: float

    @classmethod
    def of(cls, work: Work, read_noise: bool) -> Matrix:
        """What our engine has."""
        device, levels = work.compiled.device, work.compiled.levels
        written = work.engine.array.g / device.levels[levels] - 1
        sigma = np.sqrt(device.var_codes(device.levels[-1:])) * 0.5**device.var_exponent
        return cls(
            work.weight,
            float(device.levels[0]),
            float(device.levels[-1]),
            float(written.std()),
            float(sigma[0] * device.g_lsb / device.levels[-1]) if read_noise else 0.0,
            float(np.abs(work.floats()).max()),
        )

    @property
    def mean_noise(self) -> float:
        """Root mean square over the weights of their read noise, over the largest of them."""
        span = self.g_max - self.g_min
        high = self.g_min + span * np.abs(self.weight) / np.abs(self.weight).max()
        return self.noise * float(np.sqrt(np.mean(high**2 + self.g_min**2))) / span


def crosssim(matrix: Matrix, threads: int) -> Product:
    """That of CrossSim 3.2, https://github.com/sandialabs/cross-sim."""
    from simulator import AnalogCore, CrossSimParameters  # pyright: ignore

    params = CrossSimParameters()
    params.xbar.adc.mvm.model = "QuantizerADC"  # which puts another object there
    device, adc, dac = params.xbar.device, params.xbar.adc.mvm, params.xbar.dac.mvm
    device.Rmin, device.Rmax = 1 / matrix.g_max, 1 / matrix.g_min
    for wrong, size in (
        (device.programming_error, matrix.spread),
        (device.read_noise, matrix.noise),
    ):
        if size:
            wrong.enable, wrong.model, wrong.magnitude = True, "NormalProportionalDevice", size
    inputs = params.core.mapping.inputs.mvm
    inputs.min, inputs.max = 0.0, 1.0
    dac.signed, dac.model, dac.bits = False, "QuantizerDAC", BITS
    adc.bits = BITS
    # Ranges are in units of the largest weight, as the difference of two cells has it.
    unit = np.abs(matrix.weight).max() / (1 - matrix.g_min / matrix.g_max)
    adc.calibrated_range = [-matrix.most / unit, matrix.most / unit]
    core = AnalogCore(matrix.weight.T, params)
    if not matrix.noise:
        return lambda x: (core @ x.T).T

    def product(x: np.ndarray) -> np.ndarray:
        parts = range(0, len(x), TOGETHER)
        return np.concatenate([(core @ x[start : start + TOGETHER].T).T for start in parts])

    return product


def aihwkit(matrix: Matrix, threads: int) -> Product:
    """That of AIHWKit 1.1, https://github.com/IBM/aihwkit."""
    import torch  # pyright: ignore[reportMissingImports]
    from aihwkit.inference.converter.conductance import (  # pyright: ignore
        SinglePairConductanceConverter,
    )
    from aihwkit.inference.noise.custom import StateIndependentNoiseModel  # pyright: ignore
    from aihwkit.nn import AnalogLinear  # pyright: ignore
    from aihwkit.simulator.configs import InferenceRPUConfig  # pyright: ignore
    from aihwkit.simulator.parameters.enums import (  # pyright: ignore
        BoundManagementType,
        NoiseManagementType,
        WeightNoiseType,
    )

    torch.set_num_threads(threads)
    weight, largest = matrix.weight, np.abs(matrix.weight).max()
    config = InferenceRPUConfig()
    mapping, io = config.mapping, config.forward
    mapping.max_input_size, mapping.max_output_size = weight.shape
    mapping.weight_scaling_omega = 1.0  # the largest weight is 1
    io.inp_res = io.out_res = 1 / (2**BITS - 2)
    io.inp_bound, io.out_bound = 1.0, float(matrix.most / largest)
    io.noise_management, io.bound_management = NoiseManagementType.NONE, BoundManagementType.NONE
    io.out_noise = 0.0
    if matrix.noise:
        io.w_noise_type, io.w_noise = WeightNoiseType.ADDITIVE_CONSTANT, matrix.mean_noise
    g_min, g_max = 1e6 * matrix.g_min, 1e6 * matrix.g_max
    config.noise_model = StateIndependentNoiseModel(
        SinglePairConductanceConverter(g_max=g_max, g_min=g_min),
        prog_coeff=[0.0, matrix.spread * g_max, 0.0],
    )
    layer = AnalogLinear(*weight.shape, bias=False, rpu_config=config)
    layer.set_weights(torch.from_numpy(np.ascontiguousarray(weight.T)))
    layer.eval()
    layer.program_analog_weights()

    def product(x: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return layer(torch.from_numpy(x)).numpy()

    return product


PEERS = {
    "CrossSim": (crosssim, "simulator.cores.analog_core"),
    "AIHWKit": (aihwkit, "aihwkit.nn"),
}
"""What makes their products, and a module of theirs."""


@dataclass(frozen=True)
class Figure:
    """Seconds of a product, as a multiple of the floats', and the error of its outputs."""

    seconds: float
    ratio: float
    error: float


@dataclass(frozen=True)
class Row:
    """A line of the table: figures by name."""

    batch: int
    read_noise: bool
    figures: dict[str, Figure]

    def __str__(self) -> str:
        wrong = "programming error and read noise" if self.read_noise else "programming error"
        found = "; ".join(
            f"{name} {each.ratio:.1f} x ({1e3 * each.seconds:.2f} ms), error {each.error:.3f}"
            for name, each in self.figures.items()
        )
        return f"MVM {SIZE}, {wrong}, batch {self.batch}: {found}"


def importable() -> dict[str, Callable[[Matrix, int], Product]]:
    """The peers that are here; one line tells of each that is not."""
    found = {}
    for name, (peer, module) in PEERS.items():
        try:
            import_module(module)
        except ImportError as missing:
            log.info("%s is not importable, its products are left out: %s", name, missing)
        else:
            found[name] = peer
    return found


def measure(
    batch: int, read_noise: bool, threads: int, repeats: int,
    peers: Mapping[str, Callable[[Matrix, int], Product]],
) -> Row:  # fmt: skip
    """Run one line of the table."""
    with tempfile.TemporaryDirectory() as folder:
        work = prepared("mvm", batch, WAY, threads, Path(folder), read_noise=read_noise)
        matrix = Matrix.of(work, read_noise)
    made: dict[str, Callable[[], np.ndarray]] = {
        "floats": work.floats,
        "Ohmloom": lambda: work.outputs(work.ours()),
    }
    for name, peer in peers.items():
        made[name] = partial(peer(matrix, threads), work.x)
    with threadpool_limits(threads):
        wanted = work.floats()
        errors = [error(each(), wanted) for each in made.values()]
        seconds = in_a_row([*made.values()], repeats, MOST_SECONDS)
    figures = {
        name: Figure(taken, taken / seconds[0], off)
        for name, taken, off in zip(made, seconds, errors, strict=True)
    }
    return Row(batch, read_noise, figures)


def rows(threads: int, repeats: int) -> list[Row]:
    """The table; each line is logged as it is there."""
    peers, found = importable(), []
    for read_noise in (False, True):
        for batch in BATCHES:
            found.append(measure(batch, read_noise, threads, repeats, peers))
            log.info("%s", found[-1])
    return found
