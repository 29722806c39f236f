"""A small hand-made network for co-simulation: one layer over two row tiles."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from ohmloom.compiler.profile import make_profile
from ohmloom.hw.geometry import Geometry
from ohmloom.hw.image import Image, LayerSpan, Span
from ohmloom.hw.isa import Dac, Instruction, Op, Reg, instruction, pack_level, pack_requant
from ohmloom.sim.converters import Converters
from ohmloom.sim.cosim.fault import Fault
from ohmloom.sim.cosim.job import Job
from ohmloom.sim.devices import Device, load
from ohmloom.sim.emulated import emulate

CARD = Converters()


def image(device: Device, geometry: Geometry, clk_hz: int, cells: int, planes: int) -> Image:
    """Program and parameters of the network; ``PROGRAM`` covers the first ``cells`` cells."""
    gain = CARD.gain(device.g_lsb, device.v_read, 0)
    codes_per_code = gain.mantissa / 2.0**gain.shift
    half = device.verify_window * device.level_step * codes_per_code
    params = [
        pack_level(
            int(CARD.gate_code(float(i_cc))),
            int(np.floor(code * codes_per_code - half)),
            int(np.ceil(code * codes_per_code + half)),
        )
        for i_cc, code in zip(device.level_i_cc, device.level_codes, strict=True)
    ]
    requant = len(params)
    params += [pack_requant(5 - k, (1 << 23) + 12345 * k, 31) for k in range(geometry.pairs)]
    registers = {
        Reg.LEVELS: 0,
        Reg.TRIES: device.verify_tries,
        Reg.SET_CYCLES: int(device.set_width_s * clk_hz),
        Reg.RESET_CYCLES: int(device.reset_width_s * clk_hz),
        Reg.RAIL_SET: CARD.dac_code(device.v_set),
        Reg.RAIL_RESET: CARD.dac_code(device.v_reset),
        Reg.TIA_RANGE: 0,
        Reg.CLAMP_LO: -1000,
        Reg.CLAMP_HI: 30000,
    }
    code: list[Instruction] = [
        instruction(Op.ADOPT),
        instruction(Op.DAC, channel=Dac.RAIL_A, code=CARD.read_code(device.v_read)),
        instruction(Op.DAC, channel=Dac.GATE_ON, code=CARD.gate_on_code),
        *(instruction(Op.SET, reg=reg, value=value) for reg, value in registers.items()),
        instruction(Op.WAIT, cycles=100),
        instruction(Op.HALT),
    ]
    entries = {"setup": 0}
    for tile in range(2):
        entries[f"program/{tile}"] = len(code)
        code += [
            instruction(Op.RESTORE, tile=tile, mode=0),
            instruction(Op.PROGRAM, tile=tile, cell=0, count=cells),
            instruction(Op.HALT),
        ]
    entries["infer"] = len(code)
    for tile in range(2):
        code.append(
            instruction(
                Op.MVM,
                tile=tile,
                act=tile * geometry.rows,
                first=0,
                rows=geometry.rows - tile,
                planes=planes,
                signed=tile,
                clear=1 - tile,
            )
        )
    out = 2 * geometry.rows
    code += [
        instruction(Op.REQUANT, out=out, param=requant, count=geometry.pairs),
        instruction(Op.HALT),
    ]
    return Image(
        geometry=geometry,
        code=tuple(code),
        entries=entries,
        params=np.array(params, np.uint64),
        tiles=2,
        input=Span(0, 2 * geometry.rows),
        layers=(LayerSpan("dense", Span(out, geometry.pairs)),),
        profile=make_profile(device, CARD, clk_hz).without_ways().words,
    )


@pytest.fixture
def make_job() -> Callable[..., Job]:
    """Builds a job on tiles of ``lines`` rows and columns; keyword arguments as below."""

    def make(
        device: str = "cspbbr3_ogb",
        clk_hz: int = 48_000_000,
        cells: int = 12,
        planes: int = 5,
        samples: int = 3,
        fault: Fault | None = None,
        jump: bool = True,
        lines: int = 8,
        emulated: bool = False,
    ) -> Job:
        geometry = Geometry(
            rows=lines,
            columns=lines,
            tiles=2,
            program_depth=64,
            param_depth=64,
            act_depth=8 * lines,
        )
        entry = emulate(load(device)) if emulated else load(device)
        rng = np.random.default_rng(7)
        levels = rng.integers(0, len(entry.level_codes), (2, geometry.rows, geometry.columns))
        inputs = rng.integers(0, 1 << planes, (samples, 2 * geometry.rows))
        return Job(
            image=image(entry, geometry, clk_hz, cells, planes),
            device=entry,
            levels=levels,
            samples=inputs,
            converters=CARD,
            seed=3,
            clk_hz=clk_hz,
            fault=fault,
            jump=jump,
        )

    return make
