"""tshark opens the captures of simulated networks: headers are right, STUN messages whole, fingerprints confirmed."""

from __future__ import annotations

import io
import subprocess
from collections import Counter

import pytest

from sansice import Address, Transport
from sansice.simulation import Capture, Fate, Fragment, Network, Packet, Passage, TcpFlags, TcpSegment, scenes, simulate
from sansice.stun import BindingLookup, Listener, StunServer, decode_untrusted, is_stun

SECONDS = 60

FIELDS = (
    "frame.interface_name",
    "frame.comment",
    "frame.time_epoch",
    "_ws.malformed",
    "ip.checksum.status",
    "udp.checksum.status",
    "tcp.checksum.status",
    "icmp.checksum.status",
    "icmpv6.checksum.status",
    "stun.att.crc32.status",
    "stun.type",
    "ip.src",
    "ipv6.src",
)
BINDING = "0x0001"
GOOD, UNVERIFIED = "1", "2"  # Wireshark's proto_checksum_enum_e; what ICMP quotes has no checksum that could be verified
CHECKS = [f"{protocol}.check_checksum:TRUE" for protocol in ("ip", "udp", "tcp")]


def dissect(file):
    """A dictionary of fields for each packet, as tshark reads the file."""
    command = [
        "tshark",
        "-r",
        file,
        "-d",
        "udp.port==1-65535,stun",
        "-d",
        "tcp.port==3478,stun",
        "-T",
        "fields",
        "-E",
        "separator=/t",
    ]
    command += [part for field in FIELDS for part in ("-e", field)]
    command += [part for preference in CHECKS for part in ("-o", preference)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 0, done.stderr
    assert "cut short" not in done.stderr and "damaged" not in done.stderr
    return [dict(zip(FIELDS, line.split("\t"), strict=True)) for line in done.stdout.splitlines()]


class Watched:
    """What our own reader finds in the same packets."""

    SEEN = (Fate.SENT, Fate.ARRIVED, Fate.TRANSLATED, Fate.FORWARDED, Fate.DELIVERED)

    def __init__(self):
        self.packets = 0
        self.fingerprints = 0
        self.losses = Counter()
        self._last = None

    def __call__(self, passage):
        # A datagram that a host has just put together of fragments was never on the wire.
        last, self._last = self._last, passage
        if passage.fate is Fate.DELIVERED and last.fate is Fate.ARRIVED and last.interface == passage.interface:
            return
        if passage.fate in self.SEEN:
            self.packets += 1
            data = passage.packet.data
            self.fingerprints += is_stun(data) and decode_untrusted(data).has_fingerprint
        else:
            self.losses[passage.fate] += 1


def verify(packets):
    """No packet may be damaged in any way."""
    for packet in packets:
        assert packet["_ws.malformed"] == "", packet
        for field in FIELDS:
            if field.endswith("checksum.status"):
                assert set(packet[field].split(",")) <= {"", GOOD, UNVERIFIED}, packet
        assert packet["stun.att.crc32.status"] in ("", GOOD), packet


@pytest.mark.parametrize("scene", scenes().values(), ids=lambda scene: scene.name)
def test_capture_of_every_scene_is_without_fault(scene, tmp_path):
    watched = Watched()
    path = tmp_path / "capture.pcapng"
    with path.open("wb") as file, Capture(file) as capture:
        simulate(scene, observers=[capture, watched])
    packets = dissect(path)
    verify(packets)
    assert len(packets) >= watched.packets > 0
    fingerprints = sum(packet["stun.att.crc32.status"] == GOOD for packet in packets)
    assert fingerprints >= watched.fingerprints
    # TURN has none, and two lite agents check nothing: they send indications alone.
    assert (fingerprints > 0) is any(not agent.lite for agent in scene.agents)
    assert all(agent.lite for agent in scene.agents) or any(packet["stun.type"] == BINDING for packet in packets)
    assert sum("dropped: " in packet["frame.comment"] for packet in packets) == sum(
        number for fate, number in watched.losses.items() if fate not in (Fate.DUPLICATED, Fate.FRAGMENTED)
    )


def capture_of(tmp_path, packets):
    """A file with these packets, one a second."""
    path = tmp_path / "capture.pcapng"
    file = io.BytesIO()
    with Capture(file, unix=1_000_000_000.0) as capture:
        for number, packet in enumerate(packets):
            capture(Passage(float(number), "host", Fate.SENT, packet, "host eth0"))
    path.write_bytes(file.getvalue())
    return path


A4, B4 = Address("192.0.2.1", 40000), Address("198.51.100.9", 3478)
A6, B6 = Address("2001:db8::1", 40000), Address("2001:db8::9", 3478)


@pytest.mark.parametrize(("a", "b"), [(A4, B4), (A6, B6)], ids=["ipv4", "ipv6"])
def test_tcp_is_whole_with_times_and_interface_names(a, b, tmp_path):
    flags = TcpFlags
    sent = [
        Packet(a, b, b"", tcp=TcpSegment(flags.SYN, 100, 0, 65535)),
        Packet(b, a, b"", tcp=TcpSegment(flags.SYN | flags.ACK, 900, 101, 65535)),
        Packet(a, b, b"odd", tcp=TcpSegment(flags.PSH | flags.ACK, 101, 901, 100_000)),
        Packet(b, a, b"", tcp=TcpSegment(flags.RST | flags.ACK, 901, 104, 0)),
    ]
    packets = dissect(capture_of(tmp_path, sent))
    verify(packets)
    assert [packet["tcp.checksum.status"] for packet in packets] == [GOOD] * 4
    assert {packet["frame.interface_name"] for packet in packets} == {"host eth0"}
    assert [packet["frame.time_epoch"] for packet in packets] == [f"{1_000_000_000 + second}.000000000" for second in range(4)]


@pytest.mark.parametrize(("a", "b"), [(A4, B4), (A6, B6)], ids=["ipv4", "ipv6"])
def test_fragments_are_put_together_to_a_datagram_with_a_right_checksum(a, b, tmp_path):
    data = bytes(range(256)) * 8
    total, words = 8 + len(data), sum(int.from_bytes(data[i : i + 2], "big") for i in range(0, len(data), 2)) % 0xFFFF
    nowhere = (Address(a.host, 0), Address(b.host, 0))
    first = Packet(a, b, data[:1272], fragment=Fragment(7, 0, True, total, words))
    last = Packet(*nowhere, data[1272:], fragment=Fragment(7, 1280, False, total, words))
    packets = dissect(capture_of(tmp_path, [first, last]))
    verify(packets)
    assert packets[1]["udp.checksum.status"] == GOOD


def test_stun_over_tcp_through_a_nat_is_dissected(tmp_path):
    net = Network(seed=3, latency=0.02)
    path = tmp_path / "capture.pcapng"
    with path.open("wb") as file, Capture(file) as capture:
        net.watch(capture)
        outside = net.host("server", "198.51.100.9")
        server = StunServer(entropy=outside.entropy)
        outside.run(server).call(server.start, [Listener(Transport.TCP, Address("198.51.100.9", 3478))])
        inside = net.host("A", "10.0.0.2", behind=net.nat("203.0.113.1"))
        lookup = BindingLookup("stun:198.51.100.9", transports=(Transport.TCP,), entropy=inside.entropy)
        node = inside.run(lookup)
        node.call(lookup.start)
        net.run(until=60.0)
    packets = dissect(path)
    verify(packets)
    assert [packet["stun.type"] for packet in packets if packet["stun.type"]] == ["0x0001"] * 2 + ["0x0101"] * 2


def test_capture_of_silence_is_a_file_without_packets(tmp_path):
    assert dissect(capture_of(tmp_path, [])) == []
