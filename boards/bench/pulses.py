"""Batches of pulses as programs: as many records and instructions at once as there is room for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...hw.isa import Instruction, Op, Train, instruction, pack_pulse
from ...hw.link.protocol import Space
from ...sim.numerics import IntArray
from .codes import Codes, Opening
from .controller import Controller
from .region import Region

RECORD_WORDS = len(pack_pulse(Train(rail=0, width=1)))


def drive(
    controller: Controller,
    region: Region,
    codes: Codes,
    cells: IntArray,
    openings: Sequence[Opening],
) -> None:
    """One pulse on each of ``cells`` (n,); neighbours of a row with the same one get it at once.

    Raises
    ------
    BenchError
        If the controller could not make one, or the guard stopped it.
    """
    program: list[Instruction] = []
    records: dict[Opening, int] = {}
    cycles = 0
    for opening in dict.fromkeys(openings):
        alike = np.array([n for n, other in enumerate(openings) if other == opening])
        for group in region.neighbours(cells[alike], codes.together(opening)):
            full = (len(records) + 1) * RECORD_WORDS > controller.words
            if len(program) == controller.room or (full and opening not in records):
                controller.run(program, cycles / codes.clk_hz)
                program, records, cycles = [], {}, 0
            if opening not in records:
                records[opening] = controller.base + len(records) * RECORD_WORDS
                train = Train(
                    rail=opening.rail, width=opening.width, gate=opening.gate, limit=opening.limit
                )
                controller.write(Space.PARAM, records[opening], pack_pulse(train))
            tile, row, column = region.place(cells[alike[group[0]]])
            program.append(
                instruction(
                    Op.PULSE, tile=tile, row=row, column=column, count=group.size, down=0,
                    param=records[opening],
                )
            )  # fmt: skip
            cycles += opening.width
    controller.run(program, cycles / codes.clk_hz)
