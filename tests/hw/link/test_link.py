"""The whole link: host's client on the serial lines, a model of the controller behind."""

from __future__ import annotations

import random

import pytest

from ohmloom.hw.link.codec import Frame, FrameDecoder, encode_frame
from ohmloom.hw.link.coroutine import AsyncLinkClient
from ohmloom.hw.link.exchange import LinkRefused
from ohmloom.hw.link.protocol import (
    DONE,
    DONE_BODY,
    LOG_HEAD,
    READ_HEAD,
    REPLY,
    RUN_HEAD,
    STATUS_BODY,
    WRITE_HEAD,
    Info,
    Kind,
    Space,
    Status,
)

REAL_CLOCKS = [(48_000_000, 3_000_000), (12_000_000, 1_000_000)]


async def ask(ctx, bench, *requests: Frame) -> list[Frame]:
    """Send requests back to back, give back everything that comes until the link is idle."""
    await bench.send(ctx, b"\0" + b"".join(map(encode_frame, requests)))
    await bench.quiet(ctx)
    for _ in range(bench.bit):  # the listener is half a bit behind
        await ctx.tick()
    decoder = FrameDecoder()
    frames = decoder.feed(bytes(bench.received))
    bench.received.clear()
    assert decoder.bad == 0
    return frames


@pytest.mark.parametrize(("clk_hz", "baud"), REAL_CLOCKS)
def test_real_clocks(link_bench, clk_hz, baud):
    async def test(ctx, bench):
        client = AsyncLinkClient(bench.transport(ctx), timeout=0.005)
        assert await client.ping() == Info.of(bench.geometry, clk_hz)
        await client.write_words(Space.ACT, 0, [0x1234, 0])
        assert await client.read_words(Space.ACT, 0, 2) == [0x1234, 0]
        await bench.quiet(ctx)

    link_bench(test, clk_hz=clk_hz, baud=baud)


def test_every_request_through_the_client(link_bench):
    program = [0x8000_0000_0000_0001, 0, 0xFFFF_FFFF_FFFF_FFFF]

    async def test(ctx, bench):
        client = AsyncLinkClient(bench.transport(ctx), timeout=0.005)
        assert await client.ping() == Info.of(bench.geometry, bench.clk_hz)
        await client.write_words(Space.PROGRAM, 7, program)
        await client.write_words(Space.PARAM, 37, [-1, 2, 3])
        await client.write_words(Space.ACT, 598, [-2, 0x7FFF])
        await client.write_words(Space.LEVEL, 0, [0, 5, 255])
        assert bench.writes == [
            *((Space.PROGRAM, 7 + i, word) for i, word in enumerate(program)),
            (Space.PARAM, 37, 0xFFFF_FFFF_FFFF_FFFF),
            (Space.PARAM, 38, 2),
            (Space.PARAM, 39, 3),
            (Space.ACT, 598, 0xFFFE),
            (Space.ACT, 599, 0x7FFF),
            (Space.LEVEL, 0, 0),
            (Space.LEVEL, 1, 5),
            (Space.LEVEL, 2, 255),
        ]
        bench.memories[Space.CELL, 127] = 0x1_0200_0003  # more bits than a word has
        assert await client.read_words(Space.PROGRAM, 6, 5) == [0, *program, 0]
        assert await client.read_words(Space.ACT, 598, 2) == [0xFFFE, 0x7FFF]
        assert await client.read_words(Space.CELL, 127, 1) == [0x0200_0003]
        result = await client.run(0x0107, 0xFFEE_DDCC)
        assert bench.runs == [(0x0107, 0xFFEE_DDCC)]
        assert (result.cycles, result.saturations) == bench.result
        status = await client.status()
        assert (status.running, status.frames_ok, status.frames_bad) == (False, 10, 0)
        assert status.last == result
        await bench.quiet(ctx)

    link_bench(test)


@pytest.mark.slow
def test_longest_request_and_reply(link_bench):
    words = [0] * 200 + [random.Random(6).randrange(1 << 16) for _ in range(306)]

    async def test(ctx, bench):
        client = AsyncLinkClient(bench.transport(ctx), timeout=0.02)
        await client.write_words(Space.ACT, 0, words)
        assert [data for _, _, data in bench.writes] == words
        assert await client.read_words(Space.ACT, 0, 507) == [*words, 0]
        status = await client.status()
        assert (status.frames_ok, status.frames_bad) == (3, 0)

    link_bench(test)


W, R, RUN = WRITE_HEAD.pack, READ_HEAD.pack, RUN_HEAD.pack


@pytest.mark.parametrize(
    ("kind", "payload", "status"),
    [
        (0x00, b"", Status.BAD_KIND),
        (0x06, b"12345678", Status.BAD_KIND),
        (0xC0, b"", Status.BAD_KIND),
        (Kind.PING, b"x", Status.BAD_LENGTH),
        (Kind.STATUS, bytes(40), Status.BAD_LENGTH),
        (Kind.RUN, RUN(0, 0)[:-1], Status.BAD_LENGTH),
        (Kind.RUN, RUN(0, 0) + b"x", Status.BAD_LENGTH),
        (Kind.RUN, RUN(300, 0), Status.BAD_ADDRESS),
        (Kind.READ, R(Space.ACT, 0, 1)[:-1], Status.BAD_LENGTH),
        (Kind.READ, R(Space.ACT, 0, 1) + b"x", Status.BAD_LENGTH),
        (Kind.READ, R(Space.ACT, 0, 508), Status.BAD_LENGTH),
        (Kind.READ, R(Space.PROGRAM, 0, 127), Status.BAD_LENGTH),
        (Kind.READ, R(Space.LEVEL, 0, 1), Status.BAD_SPACE),
        (Kind.READ, R(max(Space) + 1, 0, 1), Status.BAD_SPACE),
        (Kind.READ, R(0x80, 0, 1), Status.BAD_SPACE),
        (Kind.READ, R(Space.PARAM, 40, 1), Status.BAD_ADDRESS),
        (Kind.READ, R(Space.ACT, 0xFFFF, 2), Status.BAD_ADDRESS),
        (Kind.READ, R(Space.CELL, 100, 29), Status.BAD_ADDRESS),
        (Kind.WRITE, b"", Status.BAD_LENGTH),
        (Kind.WRITE, W(Space.ACT, 0)[:-1], Status.BAD_LENGTH),
        (Kind.WRITE, W(Space.ACT, 0) + b"123", Status.BAD_LENGTH),
        (Kind.WRITE, W(Space.PARAM, 0) + bytes(12), Status.BAD_LENGTH),
        (Kind.WRITE, W(Space.CELL, 0) + bytes(4), Status.BAD_SPACE),
        (Kind.WRITE, W(Space.LOG, 0) + bytes(8), Status.BAD_SPACE),
        (Kind.WRITE, W(Space.LEVEL, 127) + bytes(2), Status.BAD_ADDRESS),
        (Kind.WRITE, W(Space.PROGRAM, 299) + bytes(16), Status.BAD_ADDRESS),
    ],
)
def test_a_wrong_request_is_refused_whole(link_bench, kind, payload, status):
    async def test(ctx, bench):
        replies = await ask(ctx, bench, Frame(3, kind, payload))
        assert replies == [Frame(3, kind | REPLY, bytes([status]))]
        assert bench.writes == bench.runs == []

    link_bench(test)


def test_the_last_word_of_every_space_is_reachable(link_bench):
    async def test(ctx, bench):
        # Only those that change something count.
        for seq, kind, payload in [
            (0, Kind.WRITE, W(Space.PROGRAM, 299) + bytes(8)),
            (1, Kind.WRITE, W(Space.LEVEL, 127) + bytes(1)),
            (7, Kind.READ, R(Space.CELL, 127, 1)),
            (9, Kind.READ, R(Space.ACT, 600, 0)),
            (2, Kind.WRITE, W(Space.ACT, 600)),
            (3, Kind.RUN, RUN(299, 0)),
        ]:
            reply = (await ask(ctx, bench, Frame(seq, kind, payload)))[0]
            assert (reply.kind, reply.payload[0]) == (kind | REPLY, Status.OK)
        assert [write[:2] for write in bench.writes] == [(Space.PROGRAM, 299), (Space.LEVEL, 127)]

    link_bench(test)


def test_memories_and_runs_are_refused_while_running(link_bench):
    async def test(ctx, bench):
        bench.run_cycles = 8000
        await ask(ctx, bench, Frame(1, Kind.RUN, RUN(0, 0)))
        for seq, kind, payload in [
            (2, Kind.WRITE, W(Space.ACT, 0) + bytes(2)),
            (10, Kind.READ, R(Space.ACT, 0, 1)),
            (3, Kind.RUN, RUN(0, 1)),
        ]:
            replies = await ask(ctx, bench, Frame(seq, kind, payload))
            assert replies == [Frame(seq, kind | REPLY, bytes([Status.BUSY]))]
        (reply,) = await ask(ctx, bench, Frame(9, Kind.STATUS, b""))
        assert STATUS_BODY.unpack(reply.payload[1:])[0] == 1
        assert bench.runs == [(0, 0)] and bench.writes == []
        while ctx.get(bench.dut.running):
            await ctx.tick()
        (event,) = await ask(ctx, bench)
        assert event == Frame(1, DONE, b"\0" + DONE_BODY.pack(*bench.result, 0, 0, 0))

    link_bench(test)


def status_of(replies):
    (reply,) = replies
    return reply.payload[0]


def test_a_repeated_request_is_answered_but_not_executed(link_bench):
    async def test(ctx, bench):
        write = Frame(5, Kind.WRITE, W(Space.ACT, 1) + b"ab")
        ack = Frame(5, Kind.WRITE | REPLY, b"\0")
        for _ in range(2):
            assert await ask(ctx, bench, write) == [ack]
        assert len(bench.writes) == 1
        assert len(await ask(ctx, bench, Frame(6, Kind.RUN, RUN(2, 9)))) == 2
        assert await ask(ctx, bench, Frame(6, Kind.RUN, RUN(2, 9))) == [
            Frame(6, Kind.RUN | REPLY, b"\0")
        ]
        assert len(bench.runs) == 1
        # A refusal is remembered as well: the request is judged once.
        wrong = Frame(7, Kind.WRITE, W(Space.ACT, 0) + b"abc")
        for _ in range(2):
            assert status_of(await ask(ctx, bench, wrong)) == Status.BAD_LENGTH
        # So are the last four, others in between change nothing; a PING forgets.
        await ask(ctx, bench, Frame(6, Kind.STATUS, b""))
        assert await ask(ctx, bench, write) == [ack]
        assert len(bench.writes) == 1
        await ask(ctx, bench, Frame(4, Kind.PING, b""))
        assert await ask(ctx, bench, write) == [ack]
        assert len(bench.writes) == 2

    link_bench(test)


def test_requests_are_executed_in_the_order_of_their_numbers(link_bench):
    def write(seq, value):
        return Frame(seq, Kind.WRITE, W(Space.ACT, value) + bytes(2))

    async def test(ctx, bench):
        # A PING says where numbers begin: the one after it cannot be left out.
        await ask(ctx, bench, Frame(255, Kind.PING, b""))
        for late in (1, 2, 200, 255):
            assert status_of(await ask(ctx, bench, write(late, 9))) == Status.GAP
        assert bench.writes == []
        for n in range(6):
            assert status_of(await ask(ctx, bench, write(n, n))) == Status.OK
        # The last four are remembered, the one before is out of order; so is another kind.
        for n in (2, 3, 4, 5):
            assert status_of(await ask(ctx, bench, write(n, 9))) == Status.OK
        for frame in (write(1, 9), write(7, 9), Frame(5, Kind.RUN, RUN(0, 0))):
            assert status_of(await ask(ctx, bench, frame)) == Status.GAP
        assert [address for _, address, _ in bench.writes] == list(range(6))
        # An ABORT is executed whatever its number, which the others then go on from.
        assert status_of(await ask(ctx, bench, Frame(77, Kind.ABORT, b""))) == Status.OK
        assert status_of(await ask(ctx, bench, write(6, 9))) == Status.GAP
        assert status_of(await ask(ctx, bench, write(78, 6))) == Status.OK
        assert len(bench.writes) == 7 and bench.runs == []

    link_bench(test)


def test_a_window_of_long_requests_at_the_rate_of_the_line(link_bench):
    """Back to back, four at once; and one after the other, each with its reply."""
    words = [random.Random(8).randrange(1 << 16) for _ in range(128)]
    size, taken = 2 * len(words), {}

    async def test(ctx, bench):
        transport = bench.transport(ctx)
        for window in (1, 4):
            client = AsyncLinkClient(transport, timeout=0.005)
            await client.ping()
            client.exchanges.window, client.exchanges.piece = window, 32
            bench.writes.clear()
            before = transport.elapsed
            await client.write_words(Space.ACT, 0, words)
            taken[window] = transport.elapsed - before
            assert [data for _, _, data in bench.writes] == words
        status = await client.status()
        assert status.frames_bad == 0

    link_bench(test)
    # In bits: 10 a byte, of which each request has 11 more than its words. Alone, each
    # request waits for its reply of 9 bytes too.
    requests = -(-size // 32)
    bits = 10 * (size + 12 * requests)
    assert taken[4] < 1.15 * bits < 1.2 * bits < taken[1]


def test_the_log_is_read_during_a_run(link_bench):
    entry = 0x0007_2300_0000_0001

    async def test(ctx, bench):
        bench.memories[Space.LOG, 1] = bench.memories[Space.LOG, 32] = entry
        bench.run_cycles = 100_000
        await ask(ctx, bench, Frame(1, Kind.RUN, RUN(0, 0)))
        bench.written, bench.lost = 300, 2
        await ctx.tick().repeat(300 * 60)
        for first, count, words in (
            (0, 2, LOG_HEAD.pack(300, 2, 32) + entry.to_bytes(8, "little")),
            (0, 1, LOG_HEAD.pack(300, 2, 32)),
            (0, 0, b""),
            (32, 1, entry.to_bytes(8, "little")),
        ):
            (reply,) = await ask(ctx, bench, Frame(2, Kind.READ, R(Space.LOG, first, count)))
            assert reply.payload == bytes([Status.OK]) + words
        (reply,) = await ask(ctx, bench, Frame(3, Kind.READ, R(Space.LOG, 32, 2)))
        assert reply.payload == bytes([Status.BAD_ADDRESS])

    link_bench(test)


@pytest.mark.slow
def test_the_number_of_lost_events_stays_at_its_maximum(link_bench):
    async def test(ctx, bench):
        bench.lost = 0x1_0003
        while bench.lost:
            await ctx.tick()
        (reply,) = await ask(ctx, bench, Frame(2, Kind.READ, R(Space.LOG, 0, 1)))
        assert LOG_HEAD.unpack(reply.payload[1:]) == (0, 0xFFFF, 32)

    link_bench(test, cycles=3_000_000)


def test_a_run_that_ends_during_a_reply_is_reported(link_bench):
    async def test(ctx, bench):
        ping, positions, verdicts = Frame(200, Kind.PING, b""), set(), set()
        for cycles in range(1, 7000, 700):
            bench.run_cycles = cycles
            # The PINGs in between say how the numbers go on.
            first, second = (Frame(n, Kind.RUN, RUN(1, n & 1)) for n in (202, 201))
            # The second RUN waits behind two long replies, and the end of the first one with it.
            frames = await ask(ctx, bench, first, ping, ping, second)
            while ctx.get(bench.dut.running):
                await ctx.tick()
            frames += await ask(ctx, bench)
            kinds = [frame.kind for frame in frames]
            done = [frame for frame in frames if frame.kind == DONE]
            accepted = [
                frame.seq
                for frame in frames
                if frame.kind == Kind.RUN | REPLY and frame.payload[0] == Status.OK
            ]
            body = b"\0" + DONE_BODY.pack(*bench.result, 0, 0, 0)
            assert done == [Frame(seq, DONE, body) for seq in accepted]
            positions.add(kinds.index(DONE))
            verdicts.add(len(accepted))
        assert {1, 2, 3} <= positions  # before, between and behind the long replies
        assert verdicts == {1, 2}  # the second RUN came too early or not

    link_bench(test)


def test_garbage_neither_hangs_nor_executes(link_bench):
    rng = random.Random(7)

    async def test(ctx, bench):
        client = AsyncLinkClient(bench.transport(ctx), timeout=0.001)
        ping = encode_frame(Frame(1, Kind.PING, b""))
        run = encode_frame(Frame(2, Kind.RUN, RUN(0, 0)))
        for _ in range(8):
            noise = bytearray(rng.randbytes(rng.randrange(40)))
            for frame in (ping, run):
                broken = bytearray(frame)
                broken[rng.randrange(1, len(frame) - 1)] ^= 1 << rng.randrange(8)
                noise += broken[: rng.randrange(1, len(frame) + 1)]
            await bench.send(ctx, bytes(noise))
            for _ in range(rng.randrange(200)):  # a line that flickers
                ctx.set(bench.dut.rx, rng.randrange(2))
                await ctx.tick()
            ctx.set(bench.dut.rx, 1)
            for _ in range(12 * bench.bit):
                await ctx.tick()
            assert await client.ping() == Info.of(bench.geometry, bench.clk_hz)
        assert bench.runs == bench.writes == []
        status = await client.status()
        assert status.frames_ok == 9 and status.frames_bad >= 8

    link_bench(test)


def test_the_client_repeats_what_was_lost(link_bench):
    async def test(ctx, bench):
        transport = bench.transport(ctx)
        client = AsyncLinkClient(transport, timeout=0.0005, tries=3)
        calls = []

        def break_every_other(data: bytes) -> bytes:
            calls.append(data)
            return data if len(calls) % 2 == 0 else data[:3] + b"\x99" + data[4:]

        transport.corrupt = break_every_other
        await client.ping()
        await client.write_words(Space.PARAM, 0, [1, 2, 3])
        await client.run(3, 4)
        with pytest.raises(LinkRefused, match="refused READ: BAD_ADDRESS"):
            await client.read_words(Space.PARAM, 0, 41)
        status = await client.status()
        # After two losses the words are read in two pieces, at once.
        assert (status.frames_ok, status.frames_bad) == (6, 5)
        assert len(bench.writes) == 3 and bench.runs == [(3, 4)]

    link_bench(test)


def test_active_covers_a_request_until_the_last_stop_bit(link_bench):
    async def test(ctx, bench):
        dut = bench.dut
        assert not ctx.get(dut.active)
        gaps = []

        async def send_and_watch():
            for byte in encode_frame(Frame(1, Kind.PING, b"")):
                for i in range(10):
                    ctx.set(dut.rx, (byte << 1 | 0x200) >> i & 1)
                    for _ in range(bench.bit):
                        gaps.append(not ctx.get(dut.active))
                        await ctx.tick()

        await send_and_watch()
        assert not any(gaps)
        cycle = last_low = 0
        while ctx.get(dut.active):
            last_low = last_low if ctx.get(dut.tx) else cycle
            await ctx.tick()
            cycle += 1
        # The delimiter's data bits are low; after its stop bit nothing is left.
        assert cycle == last_low + bench.bit + 1
        assert len(bench.received) > 30
        for _ in range(100):
            assert not ctx.get(dut.active) and ctx.get(dut.tx)
            await ctx.tick()

    link_bench(test)


def test_the_line_being_low_is_activity(link_bench):
    async def test(ctx, bench):
        ctx.set(bench.dut.rx, 0)
        assert ctx.get(bench.dut.active)
        ctx.set(bench.dut.rx, 1)
        await ctx.tick().repeat(20)
        assert not ctx.get(bench.dut.active)

    link_bench(test)
