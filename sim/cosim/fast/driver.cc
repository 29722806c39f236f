// Runs the compiled bench: clock, serial line and watched outputs, so that Python
// is woken by what it has to answer and by nothing else.
//
// A cycle is evaluated before its clock edge: the outputs then show the state
// after the edge before, and what Python sets still reaches the coming edge.

#include <cstdint>
#include <cstring>
#include <deque>
#include <memory>
#include <vector>

#include "design.h"
#include "ports.h"

namespace {

enum Reason : uint32_t { LIMIT = 1, AT_ONCE = 2, BYTE = 4 };

constexpr unsigned FRAME_BITS = 10;  // start, eight data bits, stop
constexpr unsigned DATA_BITS = 8;

struct Port {
	uint32_t *data;
	uint32_t bits;
	uint32_t words() const { return (bits + 31) / 32; }
	uint32_t bytes() const { return (bits + 7) / 8; }
};

// Ports of the top module are plain values; a buffered one would not compile.
template <size_t Bits>
Port port(cxxrtl::value<Bits> &storage) {
	return {storage.data, Bits};
}

struct Watched {
	uint32_t index;
	bool at_once;
	std::vector<uint32_t> before;
};

struct Engine {
	cxxrtl_design::p_bench design;
	std::vector<Port> ports;
	std::vector<Watched> watched;
	std::vector<uint8_t> events;
	uint64_t edges = 0;
	bool evaluated = false;  // for the coming edge
	bool dirty = false;      // an input has changed since

	// Serial line: what is being sent, and what arrives.
	uint64_t bit_cycles = 1;
	std::deque<uint8_t> to_send;
	bool sending = false;
	uint64_t sending_since = 0;
	bool receiving = false;
	bool tx_before = true;
	uint64_t receiving_since = 0;
	uint8_t partial = 0;
	std::vector<uint8_t> received;

	Engine() {
#define PORT(name) ports.push_back(port(design.name));
		OHMLOOM_PORTS(PORT)
#undef PORT
	}

	// Level of the controller's rx for the coming edge.
	void send() {
		if (sending && edges - sending_since == FRAME_BITS * bit_cycles) {
			sending = false;
			to_send.pop_front();
		}
		if (!sending && !to_send.empty()) {
			sending = true;
			sending_since = edges;
		}
		uint32_t level = 1;
		if (sending) {
			uint32_t frame = uint32_t(to_send.front()) << 1 | 1u << (FRAME_BITS - 1);
			level = frame >> ((edges - sending_since) / bit_cycles) & 1;
		}
		if (design.p_rx.data[0] != level) {
			design.p_rx.data[0] = level;
			dirty = true;
		}
	}

	// Each bit of a frame is read in its middle.
	uint32_t receive() {
		bool tx = design.p_tx.data[0];
		bool fell = tx_before && !tx;
		tx_before = tx;
		if (!receiving) {
			if (fell) {
				receiving = true;
				receiving_since = edges;
				partial = 0;
			}
			return 0;
		}
		uint64_t passed = edges - receiving_since;
		uint64_t first = bit_cycles + bit_cycles / 2;
		if (passed < first || (passed - first) % bit_cycles)
			return 0;
		uint64_t bit = (passed - first) / bit_cycles;
		if (bit < DATA_BITS) {
			partial |= uint8_t(tx) << bit;
			return 0;
		}
		receiving = false;
		received.push_back(partial);
		return BYTE;
	}

	void record(const Watched &output, const Port &storage) {
		auto put = [this](const void *data, size_t size) {
			auto bytes = static_cast<const uint8_t *>(data);
			events.insert(events.end(), bytes, bytes + size);
		};
		uint64_t now = design.p_now.get<uint64_t>();
		uint32_t size = storage.bytes();
		put(&now, sizeof now);
		put(&output.index, sizeof output.index);
		put(&size, sizeof size);
		put(storage.data, size);
	}

	uint32_t look() {
		uint32_t reason = 0;
		for (auto &output : watched) {
			const Port &storage = ports[output.index];
			size_t size = output.before.size() * sizeof(uint32_t);
			if (!std::memcmp(output.before.data(), storage.data, size))
				continue;
			std::memcpy(output.before.data(), storage.data, size);
			record(output, storage);
			if (output.at_once)
				reason |= AT_ONCE;
		}
		return reason;
	}

	void evaluate() {
		design.prev_p_clk.data[0] = 0;
		design.p_clk.data[0] = 1;
		design.eval(nullptr);
		dirty = false;
	}

	uint32_t run(uint64_t until) {
		for (;;) {
			send();
			if (!evaluated) {
				evaluate();
				evaluated = true;
				uint32_t reason = look() | receive();
				if (edges >= until)
					reason |= LIMIT;
				if (reason)
					return reason;
			} else if (edges >= until) {
				return LIMIT;
			}
			if (dirty) {
				// The edge is worked out again from the same state.
				design.revert();
				evaluate();
			}
			design.commit();
			edges++;
			evaluated = false;
		}
	}
};

Engine *engine(void *handle) { return static_cast<Engine *>(handle); }

uint64_t take(std::vector<uint8_t> &from, uint8_t *into, uint64_t room) {
	uint64_t size = from.size();
	if (into && room >= size) {
		if (size)
			std::memcpy(into, from.data(), size);
		from.clear();
	}
	return size;
}

}  // namespace

#define EXPORT __attribute__((visibility("default")))

extern "C" {

EXPORT void *ohmloom_create(uint64_t bit_cycles) {
	auto made = std::make_unique<Engine>();
	made->bit_cycles = bit_cycles;
	return made.release();
}

EXPORT void ohmloom_destroy(void *handle) { delete engine(handle); }

EXPORT uint32_t ohmloom_ports(void *handle) { return engine(handle)->ports.size(); }

EXPORT uint32_t ohmloom_bits(void *handle, uint32_t index) { return engine(handle)->ports[index].bits; }

// Changes of this output are recorded from now on; with at_once they end a run.
EXPORT void ohmloom_watch(void *handle, uint32_t index, uint32_t at_once) {
	auto &self = *engine(handle);
	const Port &storage = self.ports[index];
	self.watched.push_back(
		{index, at_once != 0, std::vector<uint32_t>(storage.data, storage.data + storage.words())});
}

EXPORT void ohmloom_get(void *handle, uint32_t index, uint8_t *into) {
	const Port &storage = engine(handle)->ports[index];
	std::memcpy(into, storage.data, storage.bytes());
}

EXPORT void ohmloom_set(void *handle, uint32_t index, const uint8_t *from) {
	auto &self = *engine(handle);
	const Port &storage = self.ports[index];
	std::vector<uint32_t> value(storage.words());
	std::memcpy(value.data(), from, storage.bytes());
	if (storage.bits % 32)
		value.back() &= (1u << storage.bits % 32) - 1;
	std::memcpy(storage.data, value.data(), value.size() * sizeof(uint32_t));
	self.dirty = true;
}

EXPORT void ohmloom_send(void *handle, const uint8_t *data, uint64_t size) {
	auto &self = *engine(handle);
	self.to_send.insert(self.to_send.end(), data, data + size);
}

// Both give the size of what is there, and take it if there is room for all of it.
EXPORT uint64_t ohmloom_take_received(void *handle, uint8_t *into, uint64_t room) {
	return take(engine(handle)->received, into, room);
}

EXPORT uint64_t ohmloom_take_events(void *handle, uint8_t *into, uint64_t room) {
	return take(engine(handle)->events, into, room);
}

EXPORT uint64_t ohmloom_edges(void *handle) { return engine(handle)->edges; }

// Runs until clock edge `until` at the latest; why it ended, as bits of Reason.
EXPORT uint32_t ohmloom_run(void *handle, uint64_t until) { return engine(handle)->run(until); }

}  // extern "C"
