"""C++ of a design, in pieces that a compiler gets through quickly.

Yosys' CXXRTL back end writes the whole evaluation of a flattened design as one
function of thousands of statements, and concatenations as chains of nested
templates. The time a compiler takes grows faster than linearly with both. So the
function is cut into many, and long chains become trees.
"""

from __future__ import annotations

import re
import textwrap

from amaranth._toolchain.yosys import YosysError, find_yosys
from amaranth.back import rtlil
from amaranth.lib import wiring

from .gating import gated
from .pieces import SourceError

HEADER = "design.h"
MODULE = "bench"
"""Name of the top module; its structure is ``p_bench``."""
STRUCTURE = f"p_{MODULE}"
TREE_WIDTH = 6
"""Parts of a concatenation that are joined at once."""
OLDEST_YOSYS = (0, 10)

_NAME = re.compile(r"[A-Za-z_]\w*")
_NUMBERS = re.compile(r"<[\d,]+>")
_CLOSING = {"(": ")", "{": "}", "<": ">"}
_CONCAT, _VALUE = ".concat(", ".val()"


def mangle(port: str) -> str:
    """The member that CXXRTL makes of a port of the top module."""
    return "p_" + port.replace("_", "__")


def generate(design: wiring.Component, netlist: str = "") -> str:
    """The design's C++, as CXXRTL writes it.

    Parameters
    ----------
    design :
        Not elaborated before.
    netlist :
        RTLIL of modules that it takes as they are.

    Raises
    ------
    SourceError
        If there is no Yosys or it fails.
    """
    text = f"{rtlil.convert(design, name=MODULE, emit_src=False)}\n{netlist}"
    try:
        yosys = find_yosys(lambda version: version >= OLDEST_YOSYS)
        return yosys.run(
            ["-q", "-"],
            # Without optimisation passes of its own: they split words in ways that
            # make loops of the evaluation order, which then takes several rounds.
            f"read_rtlil <<rtlil\n{text}\nrtlil\nwrite_cxxrtl -g0 -print-output std::cerr\n",
            ignore_warnings=True,
        )
    except YosysError as error:
        raise SourceError(f"Yosys made no C++ of the design: {error}") from None


def headers() -> str:
    """Folder of the CXXRTL run-time headers, which come with Yosys."""
    data = find_yosys(lambda version: version >= OLDEST_YOSYS).data_dir()
    return str(data / "include" / "backends" / "cxxrtl" / "runtime")


def split(text: str, parts: int) -> dict[str, str]:
    """CXXRTL's output as a header and ``parts`` source files of about equal length.

    The structure's ``eval`` and ``commit`` run, for a rising edge of the clock, only the pieces
    that read what has changed; after ``revert`` all of them.

    Raises
    ------
    SourceError
        If the text is not what the back end is known to write, or the design has
        combinational loops, so that one evaluation per clock edge would not do.
    """
    begin = f"bool {STRUCTURE}::eval(performer *performer) {{\n"
    end_of_structure = f"}}; // struct {STRUCTURE}\n"
    for needed in (begin, end_of_structure, f"void {STRUCTURE}::reset() {{\n"):
        if text.count(needed) != 1:
            raise SourceError(f"the C++ of the design has no single {needed.strip()!r}")
    head, _, rest = text.partition(begin)
    body, _, _ = rest.partition("\n}\n")
    if "\tbool converged = true;\n" not in body:
        raise SourceError("the design has combinational loops, or cannot be put in order")
    structure, _, reset = head.partition(end_of_structure)
    declared, statements = _statements(body)
    design = gated(STRUCTURE, structure, declared, statements)
    files = {HEADER: "#pragma once\n" + design.structure + f"{end_of_structure}\n}}\n"}
    bins: list[list[str]] = [[] for _ in range(parts)]
    for piece in sorted([reset, *design.functions], key=len, reverse=True):
        min(bins, key=lambda held: sum(map(len, held))).append(piece)
    opening = f'#include "{HEADER}"\nusing namespace cxxrtl_yosys;\nnamespace cxxrtl_design {{\n'
    for i, held in enumerate(bins):
        files[f"part{i}.cc"] = opening + "".join(held) + "}\n"
    return files


def port_table(names: list[str]) -> str:
    """The body of the driver's table of ports, in the order of ``names``."""
    return textwrap.dedent(
        """\
        // Name and storage of each port, in the order that Python counts them.
        #define OHMLOOM_PORTS(PORT) \\
        """
    ) + " \\\n".join(f"\tPORT({mangle(name)})" for name in names)


def _statements(body: str) -> tuple[dict[str, int], list[list[str]]]:
    """Bits of local values, and the statements, each with all its lines."""
    declared: dict[str, int] = {}
    statements: list[list[str]] = []
    current: list[str] = []
    for line in body.split("\n"):
        stripped = line.strip()
        if not stripped or stripped.startswith("//"):
            continue
        if local := re.fullmatch(r"\tvalue<(\d+)> (\w+);", line):
            declared[local[2]] = int(local[1])
        elif re.match(r"\t(bool (converged|posedge_p_clk) =|return converged;)", line):
            continue
        else:
            current.append(_with_trees(line))
            # A statement ends at the first line of its own depth that opens no block.
            if not line.startswith("\t\t") and not line.endswith("{"):
                statements.append(current)
                current = []
    if current:
        raise SourceError("the C++ of the design ends inside a statement")
    return declared, statements


def _with_trees(line: str) -> str:
    """The line with its chains of ``concat`` as trees; what is assigned to stays as it is."""
    if _CONCAT not in line:
        return line
    target, equals, value = line.partition(" = ")
    if equals and line.endswith(";"):
        return target + equals + _rewrite(value)
    return _rewrite(line)


def _rewrite(text: str) -> str:
    out: list[str] = []
    i = 0
    while i < len(text):
        name = _NAME.match(text, i)
        if name is None:
            out.append(text[i])
            i += 1
        else:
            expression, i = _postfix(text, name.group(), name.end())
            out.append(expression)
    return "".join(out)


def _postfix(text: str, expression: str, i: int) -> tuple[str, int]:
    """The expression that begins with a name, its calls and members; and where it ends."""
    chain: list[str] = []
    while i < len(text):
        if text.startswith(_CONCAT, i):
            end = _closing(text, i + len(_CONCAT) - 1)
            chain = chain or [expression]
            chain.append(_rewrite(text[i + len(_CONCAT) : end]))
            i = end + 1
            continue
        if chain:
            expression, chain = _tree(chain), []
            if text.startswith(_VALUE, i):
                i += len(_VALUE)
                continue
        if text[i] == "." and (member := _NAME.match(text, i + 1)):
            expression += f".{member.group()}"
            i = member.end()
        elif text[i] == "<" and (numbers := _NUMBERS.match(text, i)):
            expression += numbers.group()
            i = numbers.end()
        elif text[i] in "({":
            end = _closing(text, i)
            expression += text[i] + _rewrite(text[i + 1 : end]) + text[end]
            i = end + 1
        else:
            break
    return (_tree(chain) if chain else expression), i


def _tree(parts: list[str]) -> str:
    while len(parts) > 1:
        groups = [parts[i : i + TREE_WIDTH] for i in range(0, len(parts), TREE_WIDTH)]
        parts = [
            group[0] + "".join(f"{_CONCAT}{part})" for part in group[1:]) + _VALUE
            for group in groups
        ]
    return parts[0]


def _closing(text: str, i: int) -> int:
    """Where the bracket that opens at ``i`` closes."""
    opening, closing, depth = text[i], _CLOSING[text[i]], 0
    for k in range(i, len(text)):
        depth += (text[k] == opening) - (text[k] == closing)
        if depth == 0:
            return k
    raise SourceError("the C++ of the design has a bracket that does not close")
