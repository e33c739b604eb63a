"""The link's two ends against each other, over lines that lose, damage and invent bytes."""

from __future__ import annotations

import struct
import zlib

import pytest
from cobs import cobs
from hypothesis import given, settings
from hypothesis import strategies as st

from lab import link as links
from lab.link import (
    Accepted,
    Closed,
    ConsoleText,
    Data,
    Deframer,
    DeviceLink,
    HostLink,
    Opened,
    Reason,
    frame,
)


def received(events: list[links.Event]) -> bytes:
    return b"".join(event.payload for event in events if isinstance(event, Data))


def connected(window: int = 4096, host_window: int = 32768) -> tuple[HostLink, DeviceLink]:
    host, device = HostLink(host_window), DeviceLink(window)
    device.open(7, 0)
    assert host.receive(device.take_output(), 0) == [Opened(7)]
    host.accept(0)
    assert device.receive(host.take_output(), 0) == [Accepted(7)]
    return host, device


# -- frames


@given(st.binary(min_size=1, max_size=1029), st.integers(1, 300))
def test_a_frame_survives_any_division_of_the_stream(body: bytes, step: int) -> None:
    deframer = Deframer()
    stream = frame(body) * 2
    found = [b for start in range(0, len(stream), step) for b in deframer.feed(stream[start : start + step])]
    assert found == [body, body]
    assert deframer.dropped == 0


def test_a_frame_is_what_the_protocol_says() -> None:
    body = b"\x03\x07\x00\x00\x00hi"
    assert frame(body) == cobs.encode(body + struct.pack("<I", zlib.crc32(body))) + b"\0"
    assert b"\0" not in frame(body)[:-1]


@given(st.binary(max_size=200), st.integers(0, 60), st.integers(1, 255))
def test_a_damaged_byte_is_dropped_and_the_next_frame_is_found(noise: bytes, at: int, flip: int) -> None:
    deframer = Deframer()
    good = frame(b"good")
    bad = bytearray(frame(b"a body of some length, to be damaged somewhere in the middle"))
    bad[at] ^= flip
    found = deframer.feed(noise.replace(b"\0", b"") + b"\0" + bytes(bad) + b"\0" + good)
    assert found[-1] == b"good"
    assert b"damaged somewhere" not in b"".join(found)
    assert deframer.dropped >= 1


def test_noise_without_an_end_takes_no_memory_and_counts_once() -> None:
    deframer = Deframer()
    for _ in range(100):
        assert deframer.feed(b"\x55" * 1000) == []
    assert len(deframer._part) <= 1100
    assert deframer.feed(b"\0" + frame(b"good")) == [b"good"]
    assert deframer.dropped == 1


# -- connections


def test_a_connection_opens_carries_both_ways_and_closes() -> None:
    host, device = connected()
    device.send(b"to the gateway", 0)
    assert host.receive(device.take_output(), 0) == [Data(b"to the gateway")]
    host.send(b"to the device", 0)
    assert device.receive(host.take_output(), 0) == [Data(b"to the device")]
    device.close(Reason.DONE, "bye")
    assert host.receive(device.take_output(), 0) == [Closed(Reason.DONE, "bye")]
    assert host.connection is device.connection is None


def test_open_is_repeated_every_second_until_it_is_answered() -> None:
    device, host = DeviceLink(), HostLink()
    device.open(7, 0)
    device.take_output()  # lost
    assert device.deadline == 1.0
    device.tick(0.9)
    assert device.take_output() == b""
    device.tick(1.0)
    assert host.receive(device.take_output(), 1) == [Opened(7)]
    device.tick(2.0)
    assert host.receive(device.take_output(), 2) == []  # it is still connecting to the gateway
    host.accept(2)
    host.take_output()  # lost
    device.tick(3.0)
    assert host.receive(device.take_output(), 3) == []
    assert device.receive(host.take_output(), 3) == [Accepted(7)]
    assert device.deadline is None


def test_a_device_that_was_reset_replaces_its_connection() -> None:
    host, device = connected()
    device.send(b"x", 0)
    host.receive(device.take_output(), 0)
    again = DeviceLink()
    again.open(8, 1)
    events = host.receive(again.take_output(), 1)
    assert [type(event) for event in events] == [Closed, Opened]
    assert host.connection == 8
    assert not host.established


def test_the_gateway_that_is_away_is_named() -> None:
    host, device = HostLink(), DeviceLink()
    device.open(7, 0)
    host.receive(device.take_output(), 0)
    host.refuse("Connection refused")
    assert device.receive(host.take_output(), 0) == [Closed(2, "Connection refused")]
    assert device.deadline is None


def test_a_version_not_spoken_is_refused() -> None:
    host = HostLink()
    assert host.receive(frame(struct.pack("<BHHBI", 1, 7, 0, 2, 4096)), 0) == []
    assert host.connection is None
    assert b"\x05\x07\x00\x00\x00\x06this bridge speaks 1" in b"".join(Deframer().feed(host.take_output()))


def test_a_bridge_that_attaches_ends_what_it_does_not_know() -> None:
    _, device = connected()
    host = HostLink()
    host.attach(10)
    assert host.deadline == 10.25
    host.tick(10.25)
    assert device.receive(host.take_output(), 10) == [Closed(4, "")]


def test_a_bridge_that_hears_an_open_ends_nothing() -> None:
    host, device = HostLink(), DeviceLink()
    host.attach(0)
    device.open(7, 0.1)
    host.receive(device.take_output(), 0.1)
    assert host.tick(5) == []
    assert device.receive(host.take_output(), 5) == []


@pytest.mark.parametrize("kind", [3, 6])
def test_frames_of_an_unknown_connection_are_answered(kind: int) -> None:
    host = HostLink()
    host.take_output()
    assert host.receive(frame(struct.pack("<BHH", kind, 9, 0)), 0) == []
    [close] = Deframer().feed(host.take_output())
    assert close == struct.pack("<BHHB", 5, 9, 0, 3)


def test_a_flood_of_unknown_frames_takes_no_memory() -> None:
    host = HostLink()
    for _ in range(10_000):
        host.receive(frame(struct.pack("<BHH", 3, 9, 0)), 0)
    assert len(host.take_output()) < 8192


def test_what_makes_no_sense_is_counted_or_ignored() -> None:
    host, device = connected()
    for body in (
        b"\x03",
        struct.pack("<BHHB", 4, 7, 0, 1),
        struct.pack("<BHH", 5, 7, 0),
        struct.pack("<BHH", 1, 7, 0),
    ):
        assert host.receive(frame(body), 0) == []
    assert host.dropped == 4
    assert host.receive(frame(struct.pack("<BHH", 99, 7, 0)), 0) == []
    assert host.dropped == 4
    device.send(b"still here", 0)
    assert host.receive(device.take_output(), 0) == [Data(b"still here")]


# -- flow


def test_nobody_sends_more_than_the_other_takes() -> None:
    host, device = connected(window=1000)
    assert host.credit == 1000
    with pytest.raises(ValueError, match="credit is 1000"):
        host.send(bytes(1001), 0)
    host.send(bytes(1000), 0)
    assert host.credit == 0
    assert received(device.receive(host.take_output(), 0)) == bytes(1000)
    device.consumed(499)
    host.receive(device.take_output(), 0)
    assert host.credit == 0  # credit comes at half the window
    device.consumed(1)
    host.receive(device.take_output(), 0)
    assert host.credit == 500


@given(st.integers(64, 8192), st.integers(1, 20_000), st.integers(1, 4096))
def test_who_waits_for_whole_frames_is_given_room_for_them(window: int, size: int, step: int) -> None:
    host, device = connected(window)
    frames, left, unread = host.frames_sent, size, 0
    while left or unread:
        if sent := min(host.sendable, left):
            host.send(bytes(sent), 0)
            left -= sent
        unread += len(received(device.receive(host.take_output(), 0)))
        assert unread, "both wait for the other"
        taken = min(step, unread)
        device.consumed(taken)
        unread -= taken
        host.receive(device.take_output(), 0)
    if window >= 2 * links.MAX_PAYLOAD:
        assert host.frames_sent - frames == -(-size // links.MAX_PAYLOAD), "a frame was not full"


def test_a_device_that_sends_too_much_is_cut_off() -> None:
    host, device = connected(host_window=100)
    device._connection.send_limit = 1000  # type: ignore[union-attr]
    device.send(bytes(101), 0)
    assert [event for event in host.receive(device.take_output(), 0)] == [
        Closed(Reason.WINDOW_OVERRUN, "at byte 100")
    ]
    assert [event.reason for event in device.receive(host.take_output(), 0) if isinstance(event, Closed)] == [
        5
    ]


def test_limits_and_sequences_wrap() -> None:
    host, device = connected(window=1 << 20)
    for side, other in ((host, device), (device, host)):
        mine, theirs = side._connection, other._connection
        assert mine and theirs
        mine.sent = theirs.received = theirs.consumed = 0xFFFF_FF00
        mine.send_limit = mine.sent + side.window
        theirs.receive_limit = mine.send_limit
        mine.send_sequence = theirs.receive_sequence = 0xFFFE
    for _ in range(8):
        host.send(bytes(4000), 0)
        assert received(device.receive(host.take_output(), 0)) == bytes(4000)
        device.consumed(4000)
    device.consumed(1 << 19)
    before = host.credit
    host.receive(device.take_output(), 0)
    assert host.credit > before
    assert host.established


def test_a_lost_frame_in_the_middle_ends_the_connection() -> None:
    host, device = connected()
    device.send(b"one", 0)
    device.take_output()
    device.send(b"two", 0)
    assert host.receive(device.take_output(), 0) == [Closed(Reason.FRAME_LOST, "at frame 0")]
    assert device.receive(host.take_output(), 0) == [Closed(Reason.FRAME_LOST, "at frame 0")]


def test_a_lost_frame_at_the_end_is_found_by_sync() -> None:
    host, device = connected()
    host.send(b"the last word", 1.0)
    host.take_output()
    assert host.deadline == 1.25
    assert host.tick(1.25) == []
    assert device.receive(host.take_output(), 1.25) == [Closed(Reason.FRAME_LOST, "at frame 0")]


def test_sync_is_sent_once_when_it_is_answered() -> None:
    host, device = connected()
    host.send(b"x", 0)
    device.receive(host.take_output(), 0)
    host.tick(0.25)
    device.receive(host.take_output(), 0.25)
    host.receive(device.take_output(), 0.25)
    assert host.deadline is None


def test_credit_that_was_lost_is_asked_for_again() -> None:
    host, device = connected(window=100)
    host.send(bytes(100), 0)
    device.receive(host.take_output(), 0)
    device.consumed(100)
    device.take_output()  # lost
    host.tick(0.25)
    device.receive(host.take_output(), 0.25)
    host.receive(device.take_output(), 0.25)
    assert host.credit == 100


def test_a_device_without_credit_keeps_asking_while_the_other_is_slow() -> None:
    host, device = connected(window=100)
    host.send(bytes(100), 0)
    device.receive(host.take_output(), 0)
    for step in range(1, 100):
        assert host.deadline == pytest.approx(step * 0.25)
        assert host.tick(step * 0.25) == []
        device.receive(host.take_output(), step * 0.25)
        host.receive(device.take_output(), step * 0.25)
    assert host.established


def test_a_side_that_never_answers_is_given_up() -> None:
    host, _ = connected()
    host.send(b"x", 0)
    ends: list[links.Event] = []
    for step in range(1, 22):
        assert not ends
        ends = host.tick(step * 0.25)
    assert ends == [Closed(Reason.NO_ANSWER, "no answer to SYNC")]
    assert host.connection is None


def test_the_console_of_a_board_with_one_uart_is_outside_any_connection() -> None:
    host, device = HostLink(), DeviceLink()
    device.write_console(b"hello " * 500)
    events = host.receive(device.take_output(), 0)
    assert b"".join(e.payload for e in events if isinstance(e, ConsoleText)) == b"hello " * 500
    host.write_console(b"help\r")
    assert device.receive(host.take_output(), 0) == [ConsoleText(b"help\r")]


# -- the whole


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_over_a_bad_line_nothing_arrives_wrong_and_all_arrives_in_the_end(data: st.DataObject) -> None:
    """What arrives is a prefix of what was sent, a loss becomes a close, and a new connection works."""
    host, device = HostLink(2000), DeviceLink(1000)
    now, number, hostile = 0.0, 1, 40
    device.open(number, now)
    sent: list[bytearray] = [
        bytearray(),
        bytearray(),
    ]  # of the present connection, by the device and the host
    got: list[bytearray] = [bytearray(), bytearray()]
    closed_after = 0

    def line(output: bytes) -> bytes:
        nonlocal hostile
        if not output or hostile == 0 or not data.draw(st.booleans()):
            return output
        hostile -= 1
        at = data.draw(st.integers(0, len(output) - 1))
        return data.draw(
            st.sampled_from([output[:at], output[at:], output[:at] + b"\x11" + output[at + 1 :], b"", output])
        )

    for step in range(400):
        now += 0.05
        for event in host.receive(line(device.take_output()), now) + host.tick(now):
            match event:
                case Opened():
                    host.accept(now)
                case Data(payload):
                    got[0] += payload
                    host.consumed(len(payload))
        for event in device.receive(line(host.take_output()), now) + device.tick(now):
            match event:
                case Accepted():
                    sent, got = [bytearray(), bytearray()], [bytearray(), bytearray()]
                case Data(payload):
                    got[1] += payload
                    device.consumed(len(payload))
                case Closed():
                    closed_after = step
        assert sent[0].startswith(got[0]) or host.connection != device.connection
        assert sent[1].startswith(got[1]) or host.connection != device.connection
        if device.connection is None:
            number += 1
            device.open(number, now)
        if step < 150:
            for side, ours in ((device, sent[0]), (host, sent[1])):
                if side.established and host.connection == device.connection and side.credit:
                    part = bytes([step & 0xFF]) * data.draw(st.integers(1, min(side.credit, 300)))
                    side.send(part, now)
                    ours += part
        if step == 150:
            hostile = 0
    assert host.established and device.established
    assert host.connection == device.connection
    if closed_after < 150:
        assert got == sent
