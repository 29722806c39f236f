"""The C++ of a design, cut into pieces: what changes is the shape, never the meaning."""

from __future__ import annotations

import re

import pytest
from amaranth import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import Out

from ohmloom.sim.cosim.fast import pieces, source

TEXT = """\
#include <cxxrtl/cxxrtl.h>
namespace cxxrtl_design {
struct p_bench : public module {
	wire<8> p_count;
	memory<8> memory_p_store;
	/*input*/ value<1> p_clk;
	value<1> prev_p_clk;
	template<class ObserverT>
	bool commit(ObserverT &observer) {
		bool changed = false;
		if (p_count.commit(observer)) changed = true;
		prev_p_clk = p_clk;
		if (memory_p_store.commit(observer)) changed = true;
		return changed;
	}

	bool commit() override {
		observer observer;
		return commit<>(observer);
	}
}; // struct p_bench

void p_bench::reset() {
	p_count = wire<8>{0u};
}

bool p_bench::eval(performer *performer) {
	bool converged = true;
	bool posedge_p_clk = this->posedge_p_clk();
	value<8> i_sum;
	// a comment
	i_sum = add_uu<8>(p_count.curr, value<8>{0x1u});
	auto tmp_0 = memory_index(i_sum.slice<1,0>().val(), 0, 4);
	CXXRTL_ASSERT(tmp_0.valid);
	if(tmp_0.valid) {
		i_sum = memory_p_store[tmp_0.index];
	}
	if (posedge_p_clk) {
		p_count.next = i_sum;
	}
	return converged;
}

} // namespace cxxrtl_design
"""


class Word:
    """Bits as a string; ``joined`` counts the parts since the last value."""

    widest = 0

    def __init__(self, bits: str, joined: int = 1) -> None:
        self.bits = bits
        self.joined = joined
        Word.widest = max(Word.widest, joined)

    def concat(self, other: Word) -> Word:
        return Word(self.bits + other.bits, self.joined + 1)

    def val(self) -> Word:
        return Word(self.bits)


def chain(parts: list[str]) -> str:
    return parts[0] + "".join(f".concat({part})" for part in parts[1:]) + ".val()"


@pytest.mark.parametrize("count", [1, 2, 6, 7, 36, 37, 512])
def test_a_tree_has_the_bits_of_the_chain(count):
    names = {f"p_{i}": Word(f"{i}.") for i in range(count)}
    outer = chain([*names, f"f({chain(list(names))})"])
    Word.widest = 0
    tree = source._with_trees(f"\tp_out = {outer};").removeprefix("\tp_out = ").rstrip(";")
    scope = {**names, "f": lambda word: Word(f"({word.bits})")}
    found = eval(tree, scope)
    assert Word.widest <= source.TREE_WIDTH
    assert found.bits == eval(outer, scope).bits


@pytest.mark.parametrize(
    "line",
    [
        "\tp_a.next.slice<7,4>().concat(p_a.next.slice<2>()) = p_b.curr;",
        "\tp_a = (p_b ? value<3>{0x2u} : p_c.slice<4,2>().val());",
    ],
)
def test_targets_and_lines_without_chains_stay_as_they_are(line):
    assert source._with_trees(line) == line


def test_a_mux_keeps_its_branches():
    found = source._with_trees(
        "\tp_a = (p_s ? p_b.curr.slice<3>().concat(value<1>{0u}).val() : p_c);"
    )
    assert found == "\tp_a = (p_s ? p_b.curr.slice<3>().concat(value<1>{0u}).val() : p_c);"


def test_every_statement_is_in_one_function(monkeypatch):
    monkeypatch.setattr(pieces, "PIECE_CHARACTERS", 1)
    files = source.split(TEXT, 2)
    assert sorted(files) == ["design.h", "part0.cc", "part1.cc"]
    text = files["part0.cc"] + files["part1.cc"]
    functions = re.findall(r"::eval_\d+\(\) \{\n(.*?)\n\}\n", text, re.DOTALL)
    # A temporary is of no use in another function; i_sum is written twice.
    assert sorted(body.count("tmp_0") for body in functions) == [0, 4]
    body = TEXT.partition("value<8> i_sum;\n")[2].partition("\treturn converged")[0]
    wanted = [line for line in body.splitlines() if "//" not in line]
    found = [line for function in functions for line in function.splitlines()]
    assert sorted(line for line in found if line in wanted) == sorted(wanted)
    for i in range(len(functions)):
        assert f"void eval_{i}();" in files["design.h"]
    assert "prev_p_clk = p_clk;" in text and "commit<>" not in files["design.h"]


def test_an_edge_can_be_worked_out_again():
    text = "".join(source.split(TEXT, 1).values())
    assert "\tp_count.next = p_count.curr;\n" in text
    assert "\tmemory_p_store.write_queue.clear();\n" in text


@pytest.mark.parametrize(
    ("found", "wanted", "words"),
    [
        ("bool converged = true;", "bool converged = false;", "combinational loops"),
        ("bool p_bench::eval", "bool p_other::eval", "no single"),
        ("value<8>{0x1u});", "value<8>{0x1u};", "does not close"),
        ("\t}\n\treturn converged", "\treturn converged", "inside a statement"),
        ("\t\tprev_p_clk = p_clk;\n", "\t\tp_cell.commit();\n", "commits more"),
    ],
)
def test_what_it_does_not_know_is_refused(found, wanted, words):
    text = TEXT.replace(found, wanted).replace(
        "add_uu<8>(p_count.curr", "add_uu<8>(p_a.concat(p_b).val(), f(p_count.curr)"
    )
    with pytest.raises(source.SourceError, match=words):
        source.split(text, 1)


def test_without_yosys_it_says_so(monkeypatch):
    monkeypatch.setenv("AMARANTH_USE_YOSYS", "system")
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("YOSYS", raising=False)

    class Register(wiring.Component):
        def __init__(self) -> None:
            super().__init__({"output": Out(1)})

        def elaborate(self, platform: object) -> Module:
            m = Module()
            m.d.sync += self.output.eq(1)
            return m

    with pytest.raises(source.SourceError, match="no C\\+\\+ of the design"):
        source.generate(Register())
