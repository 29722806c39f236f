"""C++ of a design that runs, at a clock edge, only the pieces that read what has changed.

A piece compares what it has written with what was there and marks the pieces that read it:
later ones at once where it has changed values, those of the next edge when wires and
memories are committed.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from .pieces import UPDATE, SourceError, pieces

WORD_BITS = 64
"""Of the words with a mark for each piece."""
CLOCK = "p_clk"

_PORT = re.compile(r"/\*(input|output)\*/ value<(\d+)> (\w+);")
_COMMIT = re.compile(
    r"\ttemplate<class ObserverT>\n\tbool commit\(ObserverT &observer\) \{\n"
    r"\t\tbool changed = false;\n(?P<each>.*?)\t\treturn changed;\n\t\}\n\n?"
    r"\tbool commit\(\) override \{\n.*?\n\t\}\n",
    re.DOTALL,
)
_EACH = re.compile(r"\t\tif \((\w+)\.commit\(observer\)\) changed = true;")
_WRITE = """\
	template<size_t N>
	static void write(memory<N> &into, size_t at, value<N> word, value<N> mask, int priority) {
		if (mask)
			into.update(at, word, mask, priority);
	}"""
"""CXXRTL queues a write that is not enabled too, with a mask of zeros."""
_EDGE = f"\t\tprev_{CLOCK} = {CLOCK};"


@dataclass(frozen=True)
class Gated:
    """A design whose pieces rest while nothing changes for them.

    Attributes
    ----------
    structure : str
        Its C++ structure, without the end.
    functions : list of str
        Definitions of its ``eval``, ``commit``, ``revert`` and what they call.
    """

    structure: str
    functions: list[str]


def gated(
    name: str, structure: str, declared: dict[str, int], statements: list[list[str]]
) -> Gated:
    """A design whose evaluation is cut into pieces.

    Its ``eval`` is for rising edges of the clock; after ``revert`` an edge can be worked out
    again from the same state.

    Parameters
    ----------
    name : str
        Of the structure.
    structure : str
        Its text up to its end, as CXXRTL writes it.
    declared : dict of str to int
        Bits of the values that are local to the evaluation.
    statements : list of list of str
        Lines of each statement of the evaluation, in order.

    Raises
    ------
    SourceError
        If the text is not what the back end is known to write.
    """
    commit = _COMMIT.search(structure)
    lines = commit["each"].splitlines() if commit else []
    kept = {each[1] for line in lines if (each := _EACH.fullmatch(line))}
    if [line for line in lines if not _EACH.fullmatch(line)] != [_EDGE]:
        raise SourceError("the C++ of the design commits more than wires, memories and one clock")
    found = pieces(statements, kept)
    everything = range(len(found))
    readers: dict[str, set[int]] = defaultdict(set)
    for i, piece in enumerate(found):
        for each in set[str]().union(*(unit.reads for unit in piece)):
            readers[each].add(i)
    inputs = {n: width for way, width, n in _PORT.findall(structure) if way == "input"}
    inputs.pop(CLOCK, None)

    functions: list[str] = []
    members = dict(declared)
    for i, piece in enumerate(found):
        writes = sorted(set[str]().union(*(unit.writes for unit in piece)))
        told = {n: readers[n] - {i} for n in writes if n not in kept and readers[n] - {i}}
        inner = [n for n in writes if n in declared and n not in told]
        evaluation = [
            "\tconst bool posedge_p_clk = true;",
            *(f"\tvalue<{members.pop(n)}> {n};" for n in inner),
            *(f"\tconst auto before_{n} = {n};" for n in told),
            *(UPDATE.sub(r"write(\1, ", line) for unit in piece for line in unit.lines),
            *(f"\tif ({n} != before_{n}) {{ {_mark(others)} }}" for n, others in told.items()),
        ]
        commits = [_committed(n, readers[n]) for n in writes if n in kept]
        functions.append(_function(f"void {name}::eval_{i}()", evaluation))
        functions.append(_function(f"void {name}::commit_{i}()", commits))
    seen = [f"\tif ({n} != before_{n}) {{ before_{n} = {n}; {_mark(readers[n])} }}" for n in inputs]
    calls = _calls(name, "eval", len(found), "todo", "ran[word] |= uint64_t(1) << bit;")
    commits = _calls(name, "commit", len(found), "ran", "")
    reverts = [*map(_reverted, sorted(kept)), f"\t{_mark(everything)}"]
    functions += [
        _function(f"bool {name}::eval(performer *)", [*seen, *calls, "\treturn true;"]),
        _function(f"bool {name}::commit()", [*commits, _EDGE, "\treturn true;"]),
        _function(f"void {name}::revert()", reverts),
    ]
    marks = _words(everything)
    added = [
        *(f"\tvalue<{width}> {n};" for n, width in members.items()),
        *(f"\tvalue<{width}> before_{n};" for n, width in inputs.items()),
        f"\tuint64_t todo[{len(marks)}] = {{{', '.join(map(hex, marks))}}};",
        f"\tuint64_t ran[{len(marks)}] = {{}};",
        *(f"\tvoid {what}_{i}();" for i in everything for what in ("eval", "commit")),
        "\tvoid revert();",
        "\tbool commit() override;",
        _WRITE,
    ]
    return Gated(_COMMIT.sub("", structure) + "\n".join(added) + "\n", functions)


def _function(head: str, body: Iterable[str]) -> str:
    return "\n".join([f"{head} {{", *body, "}", ""])


def _words(numbers: Iterable[int]) -> list[int]:
    """Marks of pieces, word by word."""
    marks = sum(1 << number for number in set(numbers))
    return [marks >> at & (1 << WORD_BITS) - 1 for at in range(0, marks.bit_length(), WORD_BITS)]


def _mark(numbers: Iterable[int]) -> str:
    """A statement that marks pieces."""
    return " ".join(f"todo[{i}] |= {word:#x}u;" for i, word in enumerate(_words(numbers)) if word)


def _committed(name: str, readers: set[int]) -> str:
    if _is_memory(name):
        # The same word is written again at the next edge if nothing has changed until then.
        action = f"observer unseen; {name}.commit(unseen);"
        return f"\tif (!{name}.write_queue.empty()) {{ {action} {_mark(readers)} }}"
    return f"\tif ({name}.curr != {name}.next) {{ {name}.curr = {name}.next; {_mark(readers)} }}"


def _reverted(name: str) -> str:
    return f"\t{name}.write_queue.clear();" if _is_memory(name) else f"\t{name}.next = {name}.curr;"


def _is_memory(name: str) -> bool:
    return name.startswith("memory_")


def _calls(name: str, what: str, count: int, marks: str, after: str) -> list[str]:
    """Calls the functions of the pieces that are marked, in order, and unmarks them."""
    functions = ", ".join(f"&{name}::{what}_{i}" for i in range(count))
    return [
        f"\tstatic void ({name}::*const functions[])() = {{{functions}}};",
        f"\tfor (size_t word = 0; word < {-(-count // WORD_BITS)}; word++)",
        f"\t\twhile ({marks}[word]) {{",
        f"\t\t\tunsigned bit = __builtin_ctzll({marks}[word]);",
        f"\t\t\t{marks}[word] &= {marks}[word] - 1;",
        *([f"\t\t\t{after}"] if after else []),
        f"\t\t\t(this->*functions[word * {WORD_BITS} + bit])();",
        "\t\t}",
    ]
