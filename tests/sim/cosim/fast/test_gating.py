"""Pieces that rest: the design does what it did, and only what has changed is worked out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ohmloom.sim.cosim.fast import build, gating, pieces, source
from ohmloom.sim.cosim.fast.engine import Engine

PORTS = {"clk": 1, "rx": 1, "data": 8, "at": 2, "write": 1, "tx": 1, "now": 64, "seen": 8}
OUTPUTS = ("tx", "now", "seen")
DECLARED = " ".join(
    f"/*{'output' if name in OUTPUTS else 'input'}*/ value<{width}> p_{name};"
    for name, width in PORTS.items()
)
TEXT = f"""\
#include <cxxrtl/cxxrtl.h>
using namespace cxxrtl_yosys;
namespace cxxrtl_design {{
struct p_bench : public module {{
	wire<8> p_a_2e_sum;
	wire<8> p_b_2e_read;
	memory<8> memory_p_b_2e_store {{ 4u }};
	{DECLARED}
	value<1> prev_p_clk;
	value<8> p_a_2e_more;
	bool posedge_p_clk() const {{ return !prev_p_clk && p_clk; }}
	p_bench() {{ reset(); }}
	void reset() override;
	bool eval(performer *performer = nullptr) override;
	template<class ObserverT>
	bool commit(ObserverT &observer) {{
		bool changed = false;
		if (p_a_2e_sum.commit(observer)) changed = true;
		if (p_b_2e_read.commit(observer)) changed = true;
		prev_p_clk = p_clk;
		if (memory_p_b_2e_store.commit(observer)) changed = true;
		return changed;
	}}

	bool commit() override {{
		observer observer;
		return commit<>(observer);
	}}
}}; // struct p_bench

void p_bench::reset() {{
}}

bool p_bench::eval(performer *performer) {{
	bool converged = true;
	bool posedge_p_clk = this->posedge_p_clk();
	value<8> i_flatten_5c_b_2e__24_1;
	p_a_2e_more = add_uu<8>(p_a_2e_sum.curr, p_data);
	i_flatten_5c_b_2e__24_1 = xor_uu<8>(p_b_2e_read.curr, p_a_2e_more);
	p_now = p_a_2e_more.zext<64>();
	p_seen = i_flatten_5c_b_2e__24_1;
	p_tx = value<1>{{0x1u}};
	if (posedge_p_clk) {{
		p_a_2e_sum.next = (p_write ? p_a_2e_more : p_a_2e_sum.curr);
	}}
	if (posedge_p_clk) {{
		auto tmp_0 = memory_index(p_at, 0, 4);
		if (tmp_0.valid) {{
			memory_p_b_2e_store.update(tmp_0.index, p_a_2e_more, p_write.repeat<8>().val(), 0);
		}}
	}}
	if (posedge_p_clk) {{
		auto tmp_1 = memory_index(p_at, 0, 4);
		if (tmp_1.valid) {{
			p_b_2e_read.next = memory_p_b_2e_store[tmp_1.index];
		}}
	}}
	return converged;
}}

}} // namespace cxxrtl_design
"""
"""A sum and a memory of its values, in the back end's words."""


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Compiles it, a statement a piece."""
    monkeypatch.setattr(source, "generate", lambda design, netlist: TEXT)
    monkeypatch.setattr(build, "ports", lambda bench: list(PORTS))
    monkeypatch.setattr(pieces, "PIECE_CHARACTERS", 1)
    return lambda: build.library(None, cache=tmp_path)


def steps() -> list[dict[str, int]]:
    """Inputs, most of which stay for a while: the last of a step are those of its edge."""
    rng = np.random.default_rng(3)
    now, found = dict.fromkeys(("data", "at", "write"), 0), []
    for _ in range(400):
        if rng.random() < 0.4:
            name = ("data", "at", "write")[rng.integers(3)]
            now = now | {name: int(rng.integers(1 << PORTS[name]))}
        found.append(now)
    return found


def wanted() -> list[tuple[int, int]]:
    """``now`` and ``seen`` before each edge, as the inputs before it have left them."""
    total, read, store = 0, 0, [0] * 4
    found, last = [], dict.fromkeys(("data", "at", "write"), 0)
    for inputs in steps():
        found.append(((total + last["data"]) % 256, read ^ (total + last["data"]) % 256))
        more, read = (total + inputs["data"]) % 256, store[inputs["at"]]
        if inputs["write"]:
            total, store[inputs["at"]] = more, more
        last = inputs
    return found


def simulated(path: Path) -> list[tuple[int, int]]:
    found = []
    with Engine(path, list(PORTS), 4) as engine:
        engine.run(0)
        last: dict[str, int] = {}
        for inputs in steps():
            found.append((engine.get("now"), engine.get("seen")))
            for name, value in inputs.items():
                if last.get(name, 0) != value:
                    engine.set(name, value)
            last = inputs
            engine.run(engine.edges + 1)
    return found


def test_a_design_does_what_it_says(make):
    assert simulated(make()) == wanted()


@pytest.mark.parametrize("forgotten", ["p_a_2e_sum", "p_b_2e_read", "memory_p_b_2e_store"])
def test_a_piece_that_is_not_told_would_be_seen(make, monkeypatch, forgotten):
    """Inputs that are set make an edge be worked out again, whole: most edges have none."""
    committed = gating._committed
    monkeypatch.setattr(
        gating, "_committed",
        lambda name, readers: committed(name, set() if name == forgotten else readers),
    )  # fmt: skip
    assert simulated(make()) != wanted()


def test_what_changes_nothing_is_not_marked():
    text = "".join(source.split(TEXT, 1).values())
    assert "if (p_a_2e_sum.curr != p_a_2e_sum.next) {" in text
    assert "write(memory_p_b_2e_store, tmp_0.index" in text  # not where the mask is 0
