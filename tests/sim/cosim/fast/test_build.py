"""The cache of compiled benches, and what happens when a compiler fails."""

from __future__ import annotations

from pathlib import Path

import pytest

from ohmloom.sim.cosim.fast import build, source
from ohmloom.sim.cosim.fast.build import CompileError, library
from ohmloom.sim.cosim.fast.engine import Engine

TINY = """\
#include <cxxrtl/cxxrtl.h>
using namespace cxxrtl_yosys;
namespace cxxrtl_design {
struct p_bench : public module {
	/*input*/ value<1> p_clk;
	value<1> prev_p_clk;
	bool posedge_p_clk() const { return !prev_p_clk && p_clk; }
	value<1> p_rx;
	value<1> p_tx;
	value<64> p_now;
	wire<8> p_count;
	p_bench() { reset(); }
	void reset() override;
	bool eval(performer *performer = nullptr) override;
	template<class ObserverT>
	bool commit(ObserverT &observer) {
		bool changed = false;
		if (p_count.commit(observer)) changed = true;
		prev_p_clk = p_clk;
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
	p_now = p_count.curr.zext<64>();
	if (posedge_p_clk) {
		p_count.next = add_uu<8>(p_count.curr, value<1>{1u});
	}
	return converged;
}

} // namespace cxxrtl_design
"""
"""A bench that counts, in the back end's words."""


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Benches are this text; gives the ports."""
    monkeypatch.setattr(source, "generate", lambda design, netlist: TINY)
    names = ["clk", "rx", "tx", "now"]
    monkeypatch.setattr(build, "ports", lambda bench: names)
    return names


def compiler(folder: Path, script: str) -> str:
    """A compiler that does what a shell script says."""
    path = folder / "cc"
    path.write_text(f'#!/bin/sh\n[ "$1" = --version ] && echo fake 1.0 && exit 0\n{script}\n')
    path.chmod(0o755)
    return str(path)


def test_the_second_time_nothing_is_compiled(tiny, tmp_path):
    told = []
    first = library(None, lambda *step: told.append(step), tmp_path)
    assert told[0] == ("compile", 0, 5) and told[-1] == ("compile", 5, 5)
    told.clear()
    assert library(None, lambda *step: told.append(step), tmp_path) == first and not told
    assert [entry.name for entry in tmp_path.iterdir()] == [first.parent.name]
    with Engine(first, tiny, 4) as engine:
        while engine.edges < 300:
            engine.run(300)
        assert engine.get("now") == 300 % 256


def test_another_design_flag_or_compiler_is_another_library(tiny, tmp_path, monkeypatch):
    made = tmp_path / "made"
    script = 'while [ $# -gt 0 ]; do [ "$1" = -o ] && touch "$2"; shift; done'
    monkeypatch.setenv("CXX", compiler(tmp_path, script))
    paths = {library(None, cache=made)}
    monkeypatch.setattr(source, "generate", lambda design, netlist: TINY.replace("1u});", "2u});"))
    paths.add(library(None, cache=made))
    monkeypatch.setattr(build, "FLAGS", (*build.FLAGS, "-DX"))
    paths.add(library(None, cache=made))
    other = Path(compiler(tmp_path, script))
    other.write_text(other.read_text().replace("fake 1.0", "fake 1.1"))
    paths.add(library(None, cache=made))
    assert len(paths) == 4


def test_without_a_compiler_it_says_how_to_get_one(tiny, tmp_path, monkeypatch):
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(CompileError, match=r"C\+\+ compiler.*apt-get install g\+\+"):
        library(None, cache=tmp_path)


@pytest.mark.parametrize("failing", ["-c", "-shared"])
def test_a_failed_compilation_leaves_its_log_and_nothing_else(tiny, tmp_path, monkeypatch, failing):
    """Not even what the compiler has written before it failed."""
    script = f"""
out=
for word; do
    [ "$before" = -o ] && out="$word"
    [ "$word" = {failing} ] && failing=1
    before="$word"
done
echo half > "$out"
[ -z "$failing" ] || {{ echo "part0.cc:3: error: boom" >&2; exit 1; }}
"""
    monkeypatch.setenv("CXX", compiler(tmp_path, script))
    cache = tmp_path / "cache"
    with pytest.raises(CompileError, match="error: boom .see") as caught:
        library(None, cache=cache)
    (log,) = cache.iterdir()
    assert str(log) in str(caught.value) and "boom" in log.read_text()
    assert "\n" not in str(caught.value)
    assert not list(cache.rglob(build.LIBRARY))
