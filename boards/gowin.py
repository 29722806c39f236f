"""Gowin's FPGAs with the open tools: yosys, nextpnr-himbaechel and Project Apicula's packer.

Amaranth's own platform still calls ``nextpnr-gowin``, which those tools no longer have.
"""

from __future__ import annotations

from amaranth.vendor import GowinPlatform

from .budget import GOWIN_SHAPES, Budget

GW1NR_9 = Budget(luts=8640, flip_flops=6480, block_rams=26, shapes=GOWIN_SHAPES, multipliers=20)
"""GW1NR series of FPGA Products Data Sheet (Gowin DS117), Table 1-1."""


class ApiculaPlatform(GowinPlatform):  # pyright: ignore[reportGeneralTypeIssues]
    """A Gowin platform whose build plan is that of the open tools of today.

    The design's netlist is ``NAME.json``, as with the other vendors' platforms.
    """

    @property
    def required_tools(self) -> list[str]:
        return ["yosys", "nextpnr-himbaechel", "gowin_pack"]

    @property
    def file_templates(self) -> dict[str, str]:
        templates = dict(super().file_templates)
        script = templates["{{name}}.ys"]
        templates["{{name}}.ys"] = script.replace("{{name}}.syn.json", "{{name}}.json")
        return templates

    @property
    def command_templates(self) -> list[str]:
        return [
            r"""
            {{invoke_tool("yosys")}}
                {{quiet("-q")}}
                {{get_override("yosys_opts")|options}}
                -l {{name}}.rpt
                {{name}}.ys
            """,
            r"""
            {{invoke_tool("nextpnr-himbaechel")}}
                {{quiet("--quiet")}}
                {{get_override("nextpnr_opts")|options}}
                --log {{name}}.tim
                --device {{platform.part}}
                --vopt family={{platform._chipdb_device}}
                --vopt cst={{name}}.cst
                --freq {{platform.default_clk_frequency / 1000000}}
                --json {{name}}.json
                --write {{name}}.pnr.json
            """,
            r"""
            {{invoke_tool("gowin_pack")}}
                -d {{platform._chipdb_device}}
                -o {{name}}.fs
                {{get_override("gowin_pack_opts")|options}}
                {{name}}.pnr.json
            """,
        ]
