// Sends frames of every kind to the compiled controller, good and broken, and checks in
// every clock cycle that no pin leaves its limits, and for every frame that each good
// one is answered as a model of the link says, and no other is.

#include "driver.inc"

namespace {

constexpr size_t MAX_PAYLOAD = 1016, MIN_FRAME = 6, MAX_FRAME = MAX_PAYLOAD + MIN_FRAME;
constexpr unsigned FULL_BLOCK = 254;
constexpr unsigned DACS = 4;

enum Kind : uint8_t {
	PING = 0x01, WRITE = 0x02, READ = 0x03, RUN = 0x04, STATUS = 0x05,
	ABORT = 0x10, CLEAR = 0x11, HEALTH = 0x12, LOWER = 0x13,
	REPLY = 0x80, DONE = 0xC0,
};
enum Status : uint8_t { OK = 0, SAFE = 6, GAP = 11 };
enum Space : uint8_t { PROGRAM = 0, PARAM = 1 };
constexpr uint8_t LIMITS = 15;  // numbers of limits, one more than there are

// What is sent; the order is that of Class in fuzz.py.
enum Class : uint32_t {
	KNOWN, REQUEST, RANDOM_REQUEST, DUPLICATE, WRONG_SEQ, FLIPPED, TRUNCATED, WRONG_CRC,
	INTERLEAVED, OVER_LONG, EMPTY, RANDOM_BYTES, CLASSES,
};

// What went wrong; the order is that of Failure in fuzz.py.
enum Failure : uint32_t {
	NONE, BOTH_GATES, DAC_CODE, BOTH_RAILS, CHIP, HANG, WRONG_REPLY, WRONG_COUNT, NO_END,
};

// Handed over from and to Python: plain numbers in this order.
struct Plan {
	uint64_t seed, frames, session, patience, window;
	uint64_t serial, plant, rows, program_depth, param_depth;
	uint64_t low[DACS], high[DACS];
	const uint8_t *info;
	uint64_t info_size;
	const uint64_t *words;  // instructions, then records of `record` words, that make sense
	uint64_t code_count, record_count, record;
	const uint8_t *prologue;  // requests after a reset, each behind its kind and length
	uint64_t prologue_size;
};

struct Found {
	uint64_t sent[CLASSES], good, answered, dropped, events, runs, cycles, pulses;
	uint64_t failure, frame, cycle, detail;
};

typedef std::vector<uint8_t> Bytes;

struct Message {
	uint8_t seq, kind;
	Bytes payload;
};

uint32_t crc32(const Bytes &data, size_t size) {
	static uint32_t table[256];
	if (!table[1])
		for (uint32_t i = 0; i < 256; i++) {
			uint32_t c = i;
			for (int k = 0; k < 8; k++)
				c = c >> 1 ^ (c & 1 ? 0xEDB88320u : 0);
			table[i] = c;
		}
	uint32_t crc = ~0u;
	for (size_t i = 0; i < size; i++)
		crc = crc >> 8 ^ table[(crc ^ data[i]) & 0xFF];
	return ~crc;
}

Bytes cobs(const Bytes &raw) {
	Bytes out(1);
	size_t code = 0;
	for (size_t i = 0; i < raw.size(); i++) {
		if (raw[i])
			out.push_back(raw[i]);
		bool full = out.size() - code == FULL_BLOCK + 1;
		if (!raw[i] || (full && i + 1 < raw.size())) {
			out[code] = out.size() - code;
			code = out.size();
			out.push_back(0);
		}
	}
	out[code] = out.size() - code;
	return out;
}

Bytes encode(const Message &message, uint32_t wrong = 0) {
	Bytes raw{message.seq, message.kind};
	raw.insert(raw.end(), message.payload.begin(), message.payload.end());
	uint32_t crc = crc32(raw, raw.size()) ^ wrong;
	for (int i = 0; i < 4; i++)
		raw.push_back(crc >> 8 * i);
	return cobs(raw);
}

bool decode(const Bytes &piece, Message &message) {
	Bytes raw;
	bool zero = false;
	for (size_t at = 0; at < piece.size();) {
		size_t code = piece[at];
		if (at + code > piece.size())
			return false;
		if (zero)
			raw.push_back(0);
		raw.insert(raw.end(), piece.begin() + at + 1, piece.begin() + at + code);
		zero = code <= FULL_BLOCK;
		at += code;
	}
	if (raw.size() < MIN_FRAME || raw.size() > MAX_FRAME)
		return false;
	size_t body = raw.size() - 4;
	uint32_t crc = 0;
	for (int i = 0; i < 4; i++)
		crc |= uint32_t(raw[body + i]) << 8 * i;
	if (crc32(raw, body) != crc)
		return false;
	message.seq = raw[0];
	message.kind = raw[1];
	message.payload.assign(raw.begin() + 2, raw.begin() + body);
	return true;
}

bool changes(uint8_t kind) {
	return kind == WRITE || kind == RUN || kind == ABORT || kind == CLEAR || kind == LOWER;
}

struct Fuzz {
	const Plan &plan;
	Found &found;
	std::unique_ptr<Engine> engine;
	uint64_t state;

	// The model: what the controller has seen and must remember.
	Bytes pending;                // after the last delimiter
	std::deque<Message> waiting;  // good frames without a reply
	std::vector<Message> known;   // the last changing requests, with their status in payload[0]
	std::vector<uint64_t> param;  // parameter memory, nothing else writes it
	uint64_t good = 0, bad = 0, run_ends = 0;
	bool safe = false;
	bool counting = false;
	uint8_t counted = 0;  // number of the last changing request, or of a PING since
	Message last{0, PING, {}};  // the last change that was sent
	Bytes incoming;
	uint64_t start = 0;  // where a program was last written

	Fuzz(const Plan &plan, Found &found) : plan(plan), found(found), state(plan.seed) {}

	uint64_t random() {  // splitmix64
		uint64_t z = state += 0x9E3779B97F4A7C15u;
		z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
		z = (z ^ z >> 27) * 0x94D049BB133111EBu;
		return z ^ z >> 31;
	}
	uint64_t below(uint64_t n) { return random() % n; }

	bool fail(Failure what, uint64_t detail) {
		if (!found.failure) {
			found.failure = what;
			found.cycle = found.cycles;
			found.detail = detail;
		}
		return false;
	}

	// One clock cycle; a byte may go in and come out.
	bool cycle(int byte = -1) {
		auto &d = engine->design;
		d.p_in__strobe.data[0] = byte >= 0;
		d.p_in__byte.data[0] = byte >= 0 ? byte : 0;
		if (plan.serial)
			engine->send();
		engine->evaluate();
		found.cycles++;
		if (d.p_gate__a.data[0] & d.p_gate__b.data[0])
			return fail(BOTH_GATES, 0);
		const uint32_t codes[DACS] = {d.p_dac0.data[0], d.p_dac1.data[0], d.p_dac2.data[0], d.p_dac3.data[0]};
		for (unsigned i = 0; i < DACS; i++)
			if (codes[i] < plan.low[i] || codes[i] > plan.high[i])
				return fail(DAC_CODE, uint64_t(i) << 32 | codes[i]);
		uint32_t lines = d.p_rows.data[0];  // rail A, rail B and 0 V of each row
		if (lines & lines >> plan.rows & ((1u << plan.rows) - 1))
			return fail(BOTH_RAILS, lines);
		if (d.p_fault.data[0])
			return fail(CHIP, d.p_fault.data[0]);
		found.pulses += d.p_gate__b.data[0] && !gate_before;
		gate_before = d.p_gate__b.data[0];
		if (plan.serial) {
			engine->receive();
			for (uint8_t each : engine->received)
				receive(each);
			engine->received.clear();
		} else if (d.p_out__strobe.data[0]) {
			receive(d.p_out__byte.data[0]);
		}
		d.commit();
		engine->edges++;
		return !found.failure;
	}
	bool gate_before = false;

	void receive(uint8_t byte) {
		silence = 0;
		if (byte) {
			incoming.push_back(byte);
			return;
		}
		Message reply;
		bool fine = decode(incoming, reply);
		incoming.clear();
		if (!fine || reply.payload.empty()) {
			fail(WRONG_REPLY, 1);
			return;
		}
		// A request of kind 0x40 is refused with the kind of an event, but with a status only.
		if (reply.kind == DONE && reply.payload.size() > 1) {
			found.events++;
			if (!run_ends--)
				fail(WRONG_REPLY, 2);
			return;
		}
		if (waiting.empty() || reply.seq != waiting.front().seq ||
		    reply.kind != uint8_t(waiting.front().kind | REPLY)) {
			fail(WRONG_REPLY, 3);
			return;
		}
		Message request = waiting.front();
		waiting.pop_front();
		if (answered(request, reply.payload))
			found.answered++;
	}
	uint64_t silence = 0;

	// The reply to a request, against the model.
	bool answered(const Message &request, const Bytes &reply) {
		uint8_t status = reply[0];
		if (status > GAP || (status && reply.size() != 1))
			return fail(WRONG_REPLY, 4);
		const Bytes &payload = request.payload;
		if (!changes(request.kind)) {
			if (status == GAP)
				return fail(WRONG_REPLY, 5);
			if (request.kind == PING && payload.empty()) {
				known.clear();
				counting = true;
				counted = request.seq;
				if (reply.size() != 1 + plan.info_size || std::memcmp(&reply[1], plan.info, plan.info_size))
					return fail(WRONG_REPLY, 6);
			}
			if (request.kind == READ && !status && payload[0] == PARAM)
				return same_words(payload, reply);
			if (request.kind == STATUS && !status) {
				uint32_t counts[2];
				std::memcpy(counts, &reply[2], sizeof counts);
				if (counts[0] != good || counts[1] != bad)
					return fail(WRONG_COUNT, uint64_t(counts[0]) << 32 | counts[1]);
			}
			return true;
		}
		for (auto &each : known)
			if (each.seq == request.seq && each.kind == request.kind)
				return each.payload[0] == status || fail(WRONG_REPLY, 7);
		bool follows = !counting || uint8_t(counted + 1) == request.seq;
		if (!follows && request.kind != ABORT)
			return status == GAP || fail(WRONG_REPLY, 8);
		if (status == GAP)
			return fail(WRONG_REPLY, 9);
		if (!follows)
			known.clear();
		counting = true;
		counted = request.seq;
		known.push_back({request.seq, request.kind, {status}});
		if (known.size() > plan.window)
			known.erase(known.begin());
		if (status == SAFE)
			safe = true;
		if (status)
			return true;
		if (request.kind == CLEAR)
			safe = false;
		if (request.kind == ABORT)
			safe = true;
		if (request.kind == RUN)
			run_ends++, found.runs++;
		if (request.kind == WRITE && payload[0] == PARAM) {
			size_t address = payload[1] | payload[2] << 8, count = (payload.size() - 3) / 8;
			if (address + count > param.size())
				return fail(WRONG_REPLY, 10);
			if (count)
				std::memcpy(&param[address], &payload[3], 8 * count);
		}
		return true;
	}

	bool same_words(const Bytes &payload, const Bytes &reply) {
		size_t address = payload[1] | payload[2] << 8, count = payload[3] | payload[4] << 8;
		if (address + count > param.size() || reply.size() != 1 + 8 * count)
			return fail(WRONG_REPLY, 11);
		if (count && std::memcmp(&param[address], &reply[1], 8 * count))
			return fail(WRONG_REPLY, 12);
		return true;
	}

	// Send bytes; each good frame among them is expected to be answered from then on.
	bool put(const Bytes &bytes) {
		uint64_t gap = plan.serial ? 0 : below(4);
		for (uint8_t byte : bytes) {
			if (byte) {
				pending.push_back(byte);
			} else if (!pending.empty()) {
				Message message;
				if (decode(pending, message)) {
					waiting.push_back(message);
					good++, found.good++;
					if (changes(message.kind))
						last = message;
				} else {
					bad++, found.dropped++;
				}
				pending.clear();
			}
			if (plan.serial) {
				engine->to_send.push_back(byte);
			} else {
				if (!cycle(byte))
					return false;
				for (uint64_t i = 0; i < gap; i++)
					if (!cycle())
						return false;
			}
			// Good frames one after the other are taken as they are answered.
			if (!byte && !wait())
				return false;
		}
		return wait();
	}

	// Until all is answered.
	bool wait() {
		silence = 0;
		while (!waiting.empty() || (plan.serial && (!engine->to_send.empty() || engine->sending))) {
			if (!cycle())
				return false;
			bool sending = plan.serial && !engine->to_send.empty();
			silence = sending ? 0 : silence + 1;
			if (silence > plan.patience)
				return fail(HANG, waiting.empty() ? 0 : waiting.front().kind);
		}
		return !found.failure;
	}

	void number(Bytes &into, uint64_t value, unsigned size) {
		for (unsigned i = 0; i < size; i++)
			into.push_back(value >> 8 * i);
	}

	uint64_t word() { return below(16) ? plan.words[below(plan.code_count)] : random(); }

	// A request that makes sense, with contents that may not.
	Message request() {
		Message message{uint8_t(random()), HEALTH, {}};
		Bytes &p = message.payload;
		uint64_t which = below(safe ? 16 : 12);
		if (which < 4) {
			uint8_t space = below(8) ? below(2) : below(12);
			uint64_t depth = space == PROGRAM ? plan.program_depth : plan.param_depth;
			uint64_t count = below(32) ? below(6) : below(depth + 2);
			message.kind = WRITE;
			p.push_back(space);
			bool record = space == PARAM && below(2);
			uint64_t address = record ? plan.record * below(2) : below(16) ? below(depth) : below(depth + 4);
			if (space == PROGRAM)
				start = address;
			number(p, address, 2);
			const uint64_t *words = plan.words + plan.code_count + plan.record * below(plan.record_count);
			for (uint64_t i = 0; i < (record ? plan.record : count); i++)
				number(p, record ? words[i] : word(), 8);
		} else if (which < 6) {
			uint8_t space = below(4) ? PARAM : below(12);
			message.kind = READ;
			p.push_back(space);
			number(p, below(plan.param_depth), 2);
			number(p, below(64) ? below(4) : below(plan.param_depth), 2);
		} else if (which < 8) {
			message.kind = RUN;
			number(p, below(2) ? start : below(plan.program_depth + 1), 2);
			number(p, random(), 4);
		} else if (which == 8) {
			message.kind = below(2) ? STATUS : HEALTH;
		} else if (which == 9) {
			message.kind = below(32) ? PING : LOWER;
			if (message.kind == LOWER) {
				p.push_back(below(LIMITS + 1));
				number(p, random() >> below(64), 5);
			}
		} else if (which == 10) {
			message.kind = below(8) ? HEALTH : ABORT;
		} else {
			message.kind = CLEAR;
		}
		if (changes(message.kind))
			message.seq = follow();
		return message;
	}

	// The number that the next changing request must have.
	uint8_t follow() { return counting ? counted + 1 : random(); }

	Bytes framed(Bytes inside) {
		inside.insert(inside.begin(), 0);
		inside.push_back(0);
		return inside;
	}

	bool known_frame() {
		Message message{uint8_t(random()), PING, {}};
		uint64_t before = found.answered;
		if (below(2)) {
			message.kind = below(2) ? STATUS : READ;
			if (message.kind == READ) {
				// Parameters can be read while nothing runs; the model says what they are.
				message.payload.push_back(PARAM);
				number(message.payload, 0, 2);
				number(message.payload, below(4) ? 4 : plan.param_depth, 2);
			}
		}
		return put(framed(encode(message))) && (found.answered == before + 1 || fail(HANG, message.kind));
	}

	bool send(Class which) {
		Message message = request();
		Bytes bytes = encode(message);
		switch (which) {
		case KNOWN:
			return known_frame();
		case REQUEST:
			return put(framed(bytes));
		case RANDOM_REQUEST:
			message.kind = below(4) ? below(0x16) : random();
			message.payload.clear();
			for (uint64_t n = below(below(16) ? 24 : 400); n; n--)
				message.payload.push_back(random());
			return put(framed(encode(message)));
		case DUPLICATE:
			return put(framed(encode(last)));
		case WRONG_SEQ:
			message.seq += 1 + below(250);
			return put(framed(encode(message)));
		case FLIPPED:
			for (uint64_t n = 1 + below(3); n; n--)
				bytes[below(bytes.size())] ^= 1 << below(8);
			return put(framed(bytes));
		case TRUNCATED:
			bytes.resize(below(bytes.size()));
			return put(framed(bytes));
		case WRONG_CRC:
			return put(framed(encode(message, 1 + below(0xFFFFFFFF))));
		case INTERLEAVED:
			for (uint64_t n = 1 + below(3); n; n--)
				bytes.insert(bytes.begin() + below(bytes.size() + 1), 0);
			return put(framed(bytes));
		case OVER_LONG: {
			// Whole blocks, so that the length is all that is wrong; or just more bytes.
			size_t size = MAX_FRAME - 4 + below(1200);
			if (below(64))
				size = bytes.size() + 1 + below(40);
			while (bytes.size() < size)
				bytes.push_back(1 + below(255));
			return put(framed(bytes));
		}
		case EMPTY:
			return put(Bytes(1 + below(5), 0));
		default:
			bytes.clear();
			for (uint64_t n = 1 + below(64); n; n--)
				bytes.push_back(below(8) ? random() : random() & 3);
			return put(bytes);
		}
	}

	bool begin() {
		engine.reset(new Engine);
		engine->bit_cycles = 4;
		pending.clear();
		waiting.clear();
		known.clear();
		counting = false;
		incoming.clear();
		param.assign(plan.param_depth, 0);
		good = bad = run_ends = 0;
		safe = false;
		auto &d = engine->design;
		d.p_rst.data[0] = 1;
		d.p_jump.data[0] = 1;
		d.p_horizon.data[0] = d.p_horizon.data[1] = UINT32_MAX;
		d.p_rx.data[0] = 1;
		d.p_serial.data[0] = plan.serial != 0;
		d.p_plant.data[0] = plan.plant != 0;
		for (int i = 0; i < 4; i++) {
			engine->evaluate();
			d.commit();
			engine->edges++;
		}
		d.p_rst.data[0] = 0;
		for (size_t at = 0; at < plan.prologue_size;) {
			const uint8_t *head = plan.prologue + at;
			size_t size = head[1] | head[2] << 8;
			if (!put(framed(encode({follow(), head[0], Bytes(head + 3, head + 3 + size)}))) || !ended())
				return false;
			at += 3 + size;
		}
		return true;
	}

	// Until no run is under way.
	bool ended() {
		for (silence = 0; run_ends; silence++)
			if (!cycle() || silence > plan.patience)
				return fail(NO_END, run_ends);
		return true;
	}

	// Whatever runs must end, and all counts be those of the model.
	bool end() {
		return put(framed(encode({follow(), ABORT, {}}))) && ended() && put(framed(encode({1, PING, {}}))) && put(framed(encode({2, STATUS, {}})));
	}

	void run() {
		static const unsigned share[CLASSES] = {10, 30, 8, 6, 6, 10, 6, 6, 6, 4, 2, 6};
		for (; found.frame < plan.frames; found.frame++) {
			if (found.frame % plan.session == 0) {
				if (found.frame && !end())
					return;
				if (!begin())
					return;
			}
			uint64_t draw = below(100);
			unsigned which = 0;
			while (draw >= share[which])
				draw -= share[which++];
			found.sent[which]++;
			if (!send(Class(which)))
				return;
		}
		end();
	}
};

}  // namespace

extern "C" EXPORT void ohmloom_fuzz(const Plan *plan, Found *found) {
	std::memset(found, 0, sizeof *found);
	Fuzz(*plan, *found).run();
}
