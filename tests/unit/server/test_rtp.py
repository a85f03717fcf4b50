"""RTP and RTCP: parsing, feedback, and the rewriting a forwarder does."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiolivekit.server.rtp import codecs, packet, rtcp
from aiolivekit.server.rtp.levels import AudioLevel, quantize
from aiolivekit.server.rtp.receiver import RtpReceiver
from aiolivekit.server.rtp.sender import Mapping, RtpSender
from aiolivekit.server.rtp.twcc import TwccRecorder


def rtp(
    sequence: int, timestamp: int = 0, payload: bytes = b"x", ssrc: int = 1, pt: int = 96, ext: bytes = b""
) -> bytes:
    return packet.make_packet(0, pt, sequence & 0xFFFF, timestamp & 0xFFFFFFFF, ssrc, ext, payload)


def vp8(picture: int, tl0: int, *, key: bool) -> bytes:
    return bytes((0x90, 0xC0, 0x80 | picture >> 8 & 0x7F, picture & 0xFF, tl0 & 0xFF, 0 if key else 1, 7, 7))


class TestPacket:
    def test_a_packet_is_read_as_it_was_made(self) -> None:
        extensions = packet.make_extensions([(1, b"abc"), (3, b"d")])
        data = packet.make_packet(128, 96, 7, 8, 9, extensions, b"payload")
        header = packet.parse(data)
        assert header is not None
        assert (header.marker, header.payload_type, header.sequence, header.timestamp, header.ssrc) == (
            128,
            96,
            7,
            8,
            9,
        )
        assert data[header.payload_start : header.payload_end] == b"payload"
        assert packet.read_extensions(data, header) == {1: b"abc", 3: b"d"}

    def test_long_extensions_take_the_other_form(self) -> None:
        extensions = packet.make_extensions([(1, b"x" * 40), (200, b"")])
        data = packet.make_packet(0, 96, 1, 1, 1, extensions, b"p")
        header = packet.parse(data)
        assert header is not None
        assert packet.read_extensions(data, header) == {1: b"x" * 40, 200: b""}

    def test_padding_alone_is_a_packet_without_payload(self) -> None:
        header = packet.parse(packet.make_padding(96, 1, 2, 3))
        assert header is not None
        assert header.payload_start == header.payload_end

    @given(st.binary(max_size=300))
    def test_noise_never_raises(self, data: bytes) -> None:
        for candidate in (data, b"\x90\x60" + data, b"\xb0\x60" + data):
            header = packet.parse(candidate)
            if header is not None:
                packet.read_extensions(candidate, header)
                assert 12 <= header.payload_start <= header.payload_end <= len(candidate)


class TestRtcp:
    def test_what_is_written_is_read(self) -> None:
        report = rtcp.Report(5, 10, -3, 70000, 12, 99, 1000)
        compound = (
            rtcp.make_receiver_report(1, [report])
            + rtcp.make_sender_report(2, 1 << 40, 3, 4, 5)
            + rtcp.make_pli(1, 6)
            + rtcp.make_nack(1, 7, [10, 11, 26, 27, 65535])
        )
        assert list(rtcp.parse(compound)) == [
            rtcp.ReceiverReport(1, (report,)),
            rtcp.SenderReport(2, 1 << 40, 3, ()),
            rtcp.Pli(6),
            rtcp.Nack(7, (10, 11, 26, 27, 65535)),
        ]

    @given(st.lists(st.integers(0, 65535), max_size=60, unique=True).map(sorted))
    def test_nacks_name_exactly_what_is_missing(self, missing: list[int]) -> None:
        (message,) = rtcp.parse(rtcp.make_nack(1, 2, missing))
        assert isinstance(message, rtcp.Nack)
        assert list(message.sequences) == missing

    @given(st.binary(max_size=200))
    def test_noise_never_raises(self, data: bytes) -> None:
        list(rtcp.parse(data))
        for kind in (200, 201, 205, 206):
            for count in (0x81, 0x84, 0x9F):
                body = data[: len(data) // 4 * 4]
                list(rtcp.parse(struct.pack("!BBH", count, kind, len(body) // 4) + body))


class TestReceiver:
    def test_missing_packets_are_asked_for_until_they_come(self) -> None:
        receiver = RtpReceiver(1, 90000, "", nack=True)
        for sequence in (1, 2, 5):
            receiver.receive(sequence, 0, 100, 0.0)
        assert receiver.due_nacks(0.0, 0.0) == [3, 4]
        assert receiver.due_nacks(0.01, 0.0) == []
        receiver.receive(4, 0, 100, 0.01)
        assert receiver.due_nacks(0.2, 0.0) == [3]
        assert receiver.due_nacks(0.21, 0.0) == []
        receiver.receive(3, 0, 100, 0.3)
        assert not receiver.has_missing
        assert (receiver.lost, receiver.recovered) == (0, 2)

    def test_what_never_comes_ends_in_a_key_frame_request(self) -> None:
        receiver = RtpReceiver(1, 90000, "", nack=True)
        receiver.receive(1, 0, 100, 10.0)
        receiver.receive(3, 0, 100, 10.0)
        now = 10.0
        while receiver.has_missing:
            now += 0.1
            receiver.due_nacks(now, 0.0)
            assert now < 13
        assert receiver.due_pli(now)
        assert not receiver.due_pli(now)

    def test_sequence_numbers_go_on_over_the_wrap(self) -> None:
        receiver = RtpReceiver(1, 90000, "", nack=True)
        extended = [receiver.receive(s & 0xFFFF, 0, 1, 0.0) for s in range(65530, 65545)]
        assert [e - extended[0] for e in extended] == list(range(15))
        assert not receiver.has_missing

    def test_key_frame_requests_are_throttled(self) -> None:
        receiver = RtpReceiver(1, 90000, "", nack=True)
        asked = 0
        for step in range(100):
            receiver.request_key_frame()
            asked += receiver.due_pli(100 + step * 0.02)
        assert asked == 4

    def test_the_report_counts_loss_and_echoes_the_sender_report(self) -> None:
        receiver = RtpReceiver(1, 90000, "", nack=False)
        for sequence in (0, 1, 2, 3, 6, 7, 8, 9):
            receiver.receive(sequence, 0, 1, 0.0)
        receiver.sender_report(rtcp.SenderReport(1, 0x0123456789ABCDEF, 0, ()), 5.0)
        report = receiver.report(6.0)
        assert (report.lost, report.fraction_lost, report.highest & 0xFFFF) == (2, 2 * 256 // 10, 9)
        assert (report.last_sr, report.delay) == (0x456789AB, 65536)
        assert receiver.report(7.0).fraction_lost == 0

    @given(st.lists(st.integers(0, 65535), min_size=1, max_size=300))
    def test_any_order_keeps_it_sane(self, sequences: list[int]) -> None:
        receiver = RtpReceiver(1, 90000, "", nack=True)
        for index, sequence in enumerate(sequences):
            receiver.receive(sequence, index, 10, index / 100)
            receiver.due_nacks(index / 100, 0.0)
        report = receiver.report(10.0)
        assert 0 <= report.fraction_lost <= 255
        rtcp.make_receiver_report(1, [report])


class TestTwcc:
    def decode(self, data: bytes) -> tuple[int, list[float | None]]:
        base, count, word = struct.unpack_from("!HHI", data, 12)
        reference = (word >> 8) * 0.064
        position, symbols = 20, []
        while len(symbols) < count:
            (chunk,) = struct.unpack_from("!H", data, position)
            position += 2
            if chunk >> 15:
                symbols += [chunk >> shift & 3 for shift in range(12, -1, -2)]
            else:
                symbols += [chunk >> 13] * (chunk & 0x1FFF)
        times, at = [], reference
        for symbol in symbols[:count]:
            if symbol == 0:
                times.append(None)
                continue
            if symbol == 1:
                delta = data[position]
                position += 1
            else:
                (delta,) = struct.unpack_from("!h", data, position)
                position += 2
            at += delta * 250e-6
            times.append(at)
        return base, times

    def test_arrivals_and_losses_are_told(self) -> None:
        recorder = TwccRecorder()
        arrivals = {65534: 1.0, 65535: 1.001, 0: 1.05, 3: 1.2, 4: 1.19}
        for sequence, at in arrivals.items():
            recorder.record(sequence, at)
        feedback = recorder.feedback(1, 2)
        assert feedback is not None
        assert len(feedback) % 4 == 0
        base, times = self.decode(feedback)
        assert base == 65534
        expected = [1.0, 1.001, 1.05, None, None, 1.2, 1.19]
        assert [None if t is None else pytest.approx(t, abs=3e-4) for t in expected] == times
        assert recorder.feedback(1, 2) is None

    @given(st.lists(st.tuples(st.integers(0, 65535), st.floats(0, 100)), min_size=1, max_size=200))
    def test_any_arrivals_make_a_packet(self, arrivals: list[tuple[int, float]]) -> None:
        recorder = TwccRecorder()
        for sequence, at in arrivals:
            recorder.record(sequence, at)
        feedback = recorder.feedback(1, 2)
        assert feedback is not None
        assert struct.unpack_from("!H", feedback, 2)[0] == len(feedback) // 4 - 1


class TestCodecs:
    @pytest.mark.parametrize(
        ("mime", "payload", "expected"),
        [
            ("vp8", vp8(1, 1, key=True), True),
            ("vp8", vp8(1, 1, key=False), False),
            ("vp9", b"\x08", True),
            ("vp9", b"\x48", False),
            ("vp9", b"\x00", False),
            ("h264", b"\x65", True),
            ("h264", b"\x41", False),
            ("h264", b"\x78\x00\x02\x67\x00\x00\x01\x68", True),
            ("h264", b"\x7c\x85", True),
            ("h264", b"\x7c\x05", False),
            ("av1", b"\x08", True),
            ("av1", b"\x00", False),
            ("opus", b"", True),
        ],
    )
    def test_key_frames_are_known(self, mime: str, payload: bytes, expected: bool) -> None:
        assert codecs.is_key_frame(mime, payload) is expected

    @given(st.sampled_from(["vp8", "vp9", "h264", "h265", "av1"]), st.binary(max_size=40))
    def test_noise_never_raises(self, mime: str, payload: bytes) -> None:
        codecs.is_key_frame(mime, payload)
        codecs.read_vp8(payload)
        codecs.primary_of_red(payload)
        codecs.renumber_red(payload, 111)

    def test_red_gives_its_newest_frame_and_takes_other_numbers(self) -> None:
        payload = bytes((0x80 | 111, 0, 0, 3)) + bytes((111,)) + b"old" + b"new frame"
        assert codecs.primary_of_red(payload) == b"new frame"
        changed = codecs.renumber_red(payload, 96)
        assert changed is not None
        assert (changed[0], changed[4], changed[5:]) == (0x80 | 96, 96, payload[5:])
        assert codecs.primary_of_red(b"\xef") is None


class TestSender:
    def make(self) -> tuple[RtpSender, RtpReceiver, RtpReceiver]:
        sender = RtpSender(77, 90000, video=True, mappings={96: Mapping(100, "vp8")}, extension_ids={12: 1})
        return sender, RtpReceiver(1, 90000, "q", nack=True), RtpReceiver(2, 90000, "f", nack=True)

    def write(self, sender: RtpSender, receiver: RtpReceiver, data: bytes, at: float) -> packet.Header | None:
        header = packet.parse(data)
        assert header is not None
        extended = receiver.receive(header.sequence, header.timestamp, len(data), at)
        assert extended is not None
        out = sender.write(receiver, extended, header, data, at)
        self.out = out
        return None if out is None else packet.parse(out)

    def test_it_begins_with_a_key_frame_and_renames_everything(self) -> None:
        sender, low, _ = self.make()
        assert sender.choose(low)
        assert self.write(sender, low, rtp(10, 1000, vp8(5, 1, key=False)), 0.0) is None
        header = self.write(
            sender, low, rtp(11, 2000, vp8(6, 2, key=True), ext=packet.make_extensions([(12, b"dd"), (4, b"mid")])), 0.1
        )
        assert header is not None
        assert (header.ssrc, header.payload_type) == (77, 100)
        assert self.out is not None
        assert packet.read_extensions(self.out, header) == {1: b"dd"}
        assert self.out[header.payload_start : header.payload_end] == vp8(6, 2, key=True)

    def test_a_change_of_layer_is_seamless(self) -> None:
        sender, low, high = self.make()
        sender.choose(low)
        first = self.write(sender, low, rtp(100, 90000, vp8(500, 9, key=True)), 1.0)
        second = self.write(sender, low, rtp(101, 93000, vp8(501, 10, key=False)), 1.033)
        sender.choose(high)
        third = self.write(sender, low, rtp(102, 96000, vp8(502, 11, key=False)), 1.066)
        assert self.write(sender, high, rtp(9000, 777, vp8(3, 200, key=False)), 1.07) is None
        fourth = self.write(sender, high, rtp(9001, 3777, vp8(4, 201, key=True)), 1.1)
        descriptor = codecs.read_vp8(self.out[fourth.payload_start :])
        fifth = self.write(sender, high, rtp(9002, 6777, vp8(5, 202, key=False)), 1.133)
        following = codecs.read_vp8(self.out[fifth.payload_start :])
        assert self.write(sender, low, rtp(103, 99000, vp8(503, 12, key=True)), 1.14) is None
        headers = [first, second, third, fourth, fifth]
        assert [h.sequence - headers[0].sequence for h in headers] == [0, 1, 2, 3, 4]
        timestamps = [h.timestamp for h in headers]
        assert timestamps == sorted(timestamps)
        assert (timestamps[3] - timestamps[2], timestamps[4] - timestamps[3]) == (pytest.approx(3000, abs=200), 3000)
        assert (descriptor.picture_id, descriptor.tl0) == (503, 12)
        assert (following.picture_id, following.tl0) == (504, 13)

    def test_sender_reports_make_the_change_exact(self) -> None:
        sender, low, high = self.make()
        ntp = 1 << 50
        low.sender_report(rtcp.SenderReport(1, ntp, 90000, ()), 1.0)
        high.sender_report(rtcp.SenderReport(2, ntp + (1 << 31), 500_000, ()), 1.5)
        sender.choose(low)
        first = self.write(sender, low, rtp(1, 90000 + 45000, vp8(1, 1, key=True)), 1.5)
        sender.choose(high)
        second = self.write(sender, high, rtp(1, 503_000, vp8(1, 1, key=True)), 1.55)
        assert second.timestamp - first.timestamp == 3000

    def test_padding_keeps_the_sequence_whole(self) -> None:
        sender, low, _ = self.make()
        sender.choose(low)
        self.write(sender, low, rtp(1, 0, vp8(1, 1, key=True)), 0.0)
        padding = bytearray(rtp(2, 0, b"\0" * 9 + b"\x0a"))
        padding[0] |= 0x20
        header = self.write(sender, low, bytes(padding), 0.1)
        assert header is not None
        assert header.payload_start == header.payload_end
        after = self.write(sender, low, rtp(3, 1, vp8(2, 2, key=False)), 0.2)
        assert after.sequence - header.sequence == 1

    def test_what_is_missing_comes_again_from_the_cache(self) -> None:
        sender, low, _ = self.make()
        sender.choose(low)
        for sequence in range(2000):
            self.write(sender, low, rtp(sequence, 0, vp8(sequence, 1, key=True)), 0.0)
            sender.remember(self.out, b"wire %d" % sequence)
        assert sender.lookup((1999, 1500, 3), 10.0) == [b"wire 1999", b"wire 1500"]
        assert sender.lookup((1999,), 10.01) == []
        assert sender.lookup((1999,), 10.1) == [b"wire 1999"]

    def test_red_for_those_who_take_none(self) -> None:
        sender = RtpSender(7, 48000, video=False, mappings={63: Mapping(111, "opus", 0)}, extension_ids={})
        receiver = RtpReceiver(1, 48000, "", nack=False)
        sender.choose(receiver)
        payload = bytes((0x80 | 111, 0, 0, 3, 111)) + b"oldnew"
        header = self.write(sender, receiver, rtp(1, 0, payload, pt=63), 0.0)
        assert (header.payload_type, self.out[header.payload_start :]) == (111, b"new")


def test_a_loud_voice_is_speech_and_silence_is_not() -> None:
    level = AudioLevel(48000)
    for number in range(100):
        level.observe(10, number * 960, number * 0.02)
    loudness, active = level.read(2.0)
    assert active
    assert loudness == pytest.approx(10 ** (-10 / 20), rel=0.1)
    for number in range(100, 160):
        level.observe(127, number * 960, number * 0.02)
    assert level.read(3.2) == (0.0, False)
    assert quantize(0.3) == 0.375
