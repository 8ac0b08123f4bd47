"""Captures, read with a reader that was written against the same draft."""

import io
import os
import struct
import subprocess
import sys

from sansice import Address, IcmpError
from sansice.simulation import Capture, Fate, Filtering, Fragment, Link, Network, Packet, Passage
from simulation._machines import Peer, Received

A, B = Address("192.0.2.1", 5000), Address("192.0.2.2", 7)


def read(data):
    """The interfaces' names, and (time, interface, direction, bytes, comments) of each packet."""
    names, packets = [], []
    while data:
        kind, length = struct.unpack_from("<II", data)
        body, data = data[8 : length - 4], data[length:]
        if kind == 1:
            names.append(dict(options(body[8:]))[2].decode())
        elif kind == 6:
            number, high, low, captured, _ = struct.unpack_from("<IIIII", body)
            rest = list(options(body[20 + captured + -captured % 4 :]))
            comments = [value.decode() for code, value in rest if code == 1]
            direction = {1: "in", 2: "out"}[dict(rest)[2][0]]
            packets.append(((high << 32) + low, names[number], direction, body[20 : 20 + captured], comments))
    return names, packets


def options(data):
    while data[:2] != b"\0\0":
        code, length = struct.unpack_from("<HH", data)
        yield code, data[4 : 4 + length]
        data = data[4 + length + -length % 4 :]


def seen(capture_of):
    """What a capture has of a list of passages: (interface, direction, comments)."""
    file = io.BytesIO()
    with Capture(file) as capture:
        for passage in capture_of:
            capture(passage)
    return [(name, direction, comments) for _, name, direction, _, comments in read(file.getvalue())[1]]


def call_through_a_nat(*, filtering=Filtering.ADDRESS_AND_PORT_DEPENDENT, icmp=True, link=None, **capture):
    """A host behind a NAT speaks to another, from outside somebody else answers."""
    net = Network(seed=1, latency=0.02, icmp=icmp)
    if link is not None:
        net.internet.link = link
    file = io.BytesIO()
    with Capture(file, **capture) as watcher:
        net.watch(watcher)
        inside = net.host("inside", "10.0.0.2", behind=net.nat("203.0.113.1", filtering=filtering, name="home"))
        outside = net.host("outside", "198.51.100.2")
        listener, talker = outside.run(Peer("198.51.100.2", 7)), inside.run(Peer("10.0.0.2", 5000))
        talker.call(talker.machine.send, Address("198.51.100.2", 7), b"hello")
        net.run(until=1.0)
        sources = [event.source for _, event in listener.events if isinstance(event, Received)]
        if sources:
            stranger = net.host("stranger", "198.51.100.3").run(Peer("198.51.100.3", 9))
            stranger.call(stranger.machine.send, sources[0], b"who is there")
        net.run(until=2.0)
    return file.getvalue()


def test_packet_is_there_at_each_interface_with_the_addresses_that_it_has_there():
    names, packets = read(call_through_a_nat())
    assert names[0] == "inside 10.0.0.2"
    assert [name.startswith("home ") for name in names[1:3]] == [True, True] and names[1] != names[2]
    assert names[3] == "outside 198.51.100.2"
    crossing = packets[:4]
    assert [(name, direction) for _, name, direction, *_ in crossing] == list(
        zip(names[:4], ["out", "in", "out", "in"], strict=True)
    )
    sources = [raw[12:16] for *_, raw, _ in crossing]
    assert sources == [bytes([10, 0, 0, 2])] * 2 + [bytes([203, 0, 113, 1])] * 2
    assert all(raw.endswith(b"hello") for *_, raw, _ in crossing)


def test_times_are_virtual_seconds_after_the_wall_clock_s_start():
    _, packets = read(call_through_a_nat(unix=1_000_000_000.25))
    assert [time for time, *_ in packets[:4]] == [1_000_000_000_250_000_000] * 3 + [1_000_000_000_270_000_000]


def test_times_that_floats_cannot_hold_are_those_of_the_nearest_nanosecond():
    file = io.BytesIO()
    with Capture(file, unix=0.0) as capture:
        for time in (0.29, 1.001, 4.35):  # times 10**9, all of these are a little less than whole
            capture(Passage(time, "a", Fate.SENT, Packet(A, B, b"x"), "a 1"))
    assert [time for time, *_ in read(file.getvalue())[1]] == [290_000_000, 1_001_000_000, 4_350_000_000]


def test_packet_that_goes_no_further_says_why_and_where():
    _, packets = read(call_through_a_nat())
    (lost,) = [packet for packet in packets if packet[4]]
    assert lost[2] == "in" and lost[1].startswith("home ")
    assert lost[4] == ["dropped: filtering at home"]


def test_loss_on_a_link_is_told_at_the_packet_that_left_for_it():
    _, packets = read(call_through_a_nat(link=Link(loss=1.0)))
    assert [comments for *_, comments in packets] == [[], [], ["dropped: loss at Internet"]]


def test_copies_that_a_link_makes_are_told_and_captured_where_they_arrive():
    _, packets = read(call_through_a_nat(link=Link(duplication=1.0)))
    assert packets[2][4] == ["arrives twice (Internet)"]
    assert [name for _, name, *_ in packets].count("outside 198.51.100.2") == 2


def test_loss_of_what_was_not_seen_before_is_a_packet_of_its_own():
    passages = [
        Passage(1.0, "home", Fate.SENT, Packet(A, B, b"one"), "home out"),
        Passage(2.0, "host", Fate.CLOSED_PORT, Packet(A, B, b"one"), "host 192.0.2.2"),
        Passage(2.0, "host", Fate.CLOSED_PORT, Packet(A, B, b"two"), "host 192.0.2.2"),
        Passage(2.0, "cable", Fate.LOST, Packet(A, B, b"three")),
    ]
    assert seen(passages) == [
        ("home out", "out", []),
        ("host 192.0.2.2", "in", ["dropped: no socket at this port at host"]),
        ("host 192.0.2.2", "in", ["dropped: no socket at this port at host"]),
        ("cable", "in", ["dropped: loss at cable"]),
    ]


def test_datagram_that_a_host_makes_of_fragments_is_no_packet_of_its_own():
    first = Packet(A, B, b"12345678", fragment=Fragment(1, 0, True, 20))
    last = Packet(A._replace(port=0), B._replace(port=0), b"90ab", fragment=Fragment(1, 16, False, 20))
    whole = Packet(A, B, b"1234567890ab")
    for fate, comments in ((Fate.DELIVERED, []), (Fate.CLOSED_PORT, ["dropped: no socket at this port at host"])):
        passages = [Passage(1.0, "host", Fate.ARRIVED, one, "host eth0") for one in (first, last)]
        passages.append(Passage(1.0, "host", fate, whole, "host eth0"))
        passages.append(Passage(1.0, "host", Fate.SENT, Packet(B, A, b"answer"), "host eth0"))
        assert seen(passages) == [("host eth0", "in", []), ("host eth0", "in", comments), ("host eth0", "out", [])]
    unfinished = [passages[0], Passage(61.0, "host", Fate.INCOMPLETE, first, "host eth0")]
    assert seen(unfinished) == [("host eth0", "in", []), ("host eth0", "in", ["dropped: fragments missing at host"])]


def test_icmp_error_is_captured_too():
    error = Packet(Address("192.0.2.2", 0), A, b"", IcmpError(3, 3), B)
    assert seen([Passage(0.0, "host", Fate.SENT, error, "host 192.0.2.2")]) == [("host 192.0.2.2", "out", [])]


def test_nothing_is_captured_of_a_network_where_nothing_happens():
    file = io.BytesIO()
    with Capture(file, comment="silence"):
        pass
    assert read(file.getvalue()) == ([], [])
    assert b"silence" in file.getvalue()


def test_closing_twice_writes_nothing_twice():
    file = io.BytesIO()
    capture = Capture(file)
    capture(Passage(0.0, "a", Fate.SENT, Packet(A, B, b"x"), "a 1"))
    capture.close()
    size = len(file.getvalue())
    capture.close()
    assert len(file.getvalue()) == size


SAME_EVERYWHERE = """
import hashlib, io
from sansice.simulation import Capture, Story, scene, simulate
digest = hashlib.sha256()
for name in ("two-homes", "hotel", "overlapping-homes"):
    file, story = io.BytesIO(), Story()
    with Capture(file) as capture:
        run = simulate(scene(name), seed=5, observers=[capture, story])
    nodes = run.world.nodes
    for data in (file.getvalue(), story.timeline(nodes).encode(), story.diagram(nodes).encode(), story.svg(nodes).encode()):
        digest.update(data)
print(digest.hexdigest())
"""


def test_capture_and_stories_of_a_scene_are_the_same_bytes_under_every_hash_seed():
    found = set()
    for seed in ("0", "1", "4711"):
        env = {**os.environ, "PYTHONHASHSEED": seed}
        done = subprocess.run([sys.executable, "-c", SAME_EVERYWHERE], env=env, capture_output=True, text=True, check=True)
        found.add(done.stdout)
    assert len(found) == 1
