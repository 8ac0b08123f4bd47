"""mDNS on real links between network namespaces, beside a program that knows nothing of us, and as tshark reads it."""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import subprocess

import pytest

from adapters.conformance._runtimes import RUNTIMES
from interop._netns import required_namespaces
from sansice.driver import Driver, clock
from sansice.ice import HostAddress, IceConfig, MdnsAgent, MdnsConfig, NameResolved, is_concealing_name
from sansice.machine import Address
from sansice.simulation import Capture, Network
from sansice.sockets import Sockets, _interfaces, _link_names, local_hosts
from sansice.sockets._link_names import LinkNames

SECONDS = 20  # after which what crosses a veth pair is lost
SLICE = 0.05  # seconds after which what another thread has found is looked at
LEFT4, RIGHT4, LEFT6, RIGHT6 = "10.9.0.1", "10.9.0.2", "fd00:9::1", "fd00:9::2"
ELSEWHERE, FAR = "10.8.0.1", "10.8.0.2"
GROUP = ("224.0.0.251", 5353)
A, CLASS_IN = 1, 1


class Running:
    """An `MdnsAgent` on real sockets, in one thread with others."""

    def __init__(self):
        self.sockets = Sockets()
        self.machine = MdnsAgent()
        self.events = []
        self.deadline = float("inf")
        self.driver = Driver(self.machine, self)

    def now(self):
        return clock()

    def arm(self, deadline):
        self.deadline = deadline

    def open_socket(self, action):
        self.sockets.open(action, self.driver)

    def close_socket(self, socket, mode):
        self.sockets.close(socket, mode)

    def send_datagram(self, socket, destination, data):
        self.sockets.send(socket, destination, data)

    def deliver(self, event):
        self.events.append(event)

    def step(self):
        self.sockets.feed(self.driver)
        if clock() >= self.deadline:
            self.driver.timer(self.deadline)


def run(*machines, until, other=None):
    """Let machines run until something is so."""
    end = clock() + SECONDS
    while not until():
        assert clock() < end, "nothing came"
        wait = max(0.0, min(end, *(one.deadline for one in machines)) - clock())
        select.select([*(one.sockets for one in machines), *([other] if other else [])], [], [], min(wait, SLICE))
        for one in machines:
            one.step()


@pytest.fixture
def link():
    """Two hosts on one link, the left with another that leads elsewhere; and how to run on each."""
    with required_namespaces() as spaces, contextlib.ExitStack() as opened:
        for name in ("left", "right", "elsewhere"):
            spaces.add(name)
        spaces.join("left", "eth0", "right", "eth0")
        spaces.join("left", "eth1", "elsewhere", "eth0")
        spaces.ip("left", [f"addr add {LEFT4}/24 dev eth0", f"addr add {LEFT6}/64 dev eth0 nodad"])
        spaces.ip("right", [f"addr add {RIGHT4}/24 dev eth0", f"addr add {RIGHT6}/64 dev eth0 nodad"])
        spaces.ip("left", [f"addr add {ELSEWHERE}/24 dev eth1"])
        spaces.ip("elsewhere", [f"addr add {FAR}/24 dev eth0"])

        def start(name, *addresses):
            one = Running()
            opened.callback(one.sockets.close_all)
            with spaces.inside(name):
                one.driver.call(one.machine.update_addresses, addresses)
            assert one.machine.addresses == tuple(address.host for address in addresses), one.sockets.lost
            return one

        def plain(name, port, host=RIGHT4):
            with spaces.inside(name):
                sock = opened.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(("0.0.0.0", port))
            membership = socket.inet_aton(GROUP[0]) + socket.inet_aton(host)
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(host))
            sock.setblocking(False)
            return sock

        def shared(name):
            with spaces.inside(name):
                names = LinkNames(lambda: local_hosts(refresh=True))
            opened.callback(names.close)
            return names

        yield start, plain, shared


@pytest.mark.parametrize(("left", "right"), [(LEFT4, RIGHT4), (LEFT6, RIGHT6)], ids=["ipv4", "ipv6"])
def test_two_hosts_find_each_others_names(link, left, right):
    start, *_ = link
    one, two = start("left", HostAddress(left, "eth0")), start("right", HostAddress(right, "eth0"))
    names = [run_.driver.call(run_.machine.register, host) for run_, host in ((one, left), (two, right))]
    one.driver.call(one.machine.resolve, names[1])
    two.driver.call(two.machine.resolve, names[0])
    run(one, two, until=lambda: one.events and two.events)
    assert one.events == [NameResolved(one.events[0].query, names[1], right)]
    assert two.events == [NameResolved(two.events[0].query, names[0], left)]


def test_two_programs_on_one_host_find_each_others_names(link):
    start, *_ = link
    one, two = (start("left", HostAddress(LEFT4, "eth0")) for _ in range(2))
    name = one.driver.call(one.machine.register, LEFT4)
    two.driver.call(two.machine.resolve, name)
    run(one, two, until=lambda: two.events)
    assert two.events[0].host == LEFT4


def test_a_name_is_told_on_its_own_link_alone(link):
    start, *_ = link
    one = start("left", HostAddress(LEFT4, "eth0"), HostAddress(ELSEWHERE, "eth1"))
    other = start("right", HostAddress(RIGHT4, "eth0"))
    ours, elsewhere = (one.driver.call(one.machine.register, host) for host in (LEFT4, ELSEWHERE))
    other.driver.call(other.machine.resolve, elsewhere, timeout=1.5)
    other.driver.call(other.machine.resolve, ours)
    run(one, other, until=lambda: len(other.events) == 2)
    assert [(type(event) is NameResolved, event.name) for event in other.events] == [(True, ours), (False, elsewhere)]


def test_what_all_agents_of_a_process_share_finds_names_on_the_interfaces_that_there_are(link):
    start, _, shared = link
    one = start("left", HostAddress(LEFT4, "eth0"), HostAddress(LEFT6, "eth0"))
    names = [one.driver.call(one.machine.register, host) for host in (LEFT4, LEFT6)]
    found = []
    other = shared("right")
    for name in names:
        other.find(name, found.append)
    run(one, until=lambda: len(found) == 2)
    assert sorted(found) == [LEFT4, LEFT6]


def wire(name):
    return b"".join(bytes((len(label),)) + label.encode() for label in name.split(".")) + b"\0"


@pytest.mark.parametrize(("port", "id"), [(5353, 0), (0, 0x1234)], ids=["mDNS", "unicast DNS"])
def test_a_program_that_knows_nothing_of_us_is_answered(link, port, id):
    start, plain, _ = link
    one, stranger = start("left", HostAddress(LEFT4, "eth0")), plain("right", port)
    name = one.driver.call(one.machine.register, LEFT4)
    question = wire(name) + struct.pack("!2H", A, CLASS_IN)
    stranger.sendto(struct.pack("!6H", id, 0, 1, 0, 0, 0) + question, GROUP)
    answers = []

    def answered():
        with contextlib.suppress(BlockingIOError):
            while True:
                data, source = stranger.recvfrom(9000)
                answers.extend([(data, source)] if data[2] & 0x80 else [])
        return answers

    run(one, until=answered, other=stranger)
    data, source = answers[0]
    address = struct.pack("!2HIH", A, CLASS_IN if id else 0x8001, 10 if id else 120, 4) + socket.inet_aton(LEFT4)
    assert source == (LEFT4, 5353)
    if id:
        assert data == struct.pack("!6H", id, 0x8400, 1, 1, 0, 0) + question + b"\xc0\x0c" + address
    else:
        nothing_else = b"\xc0\x0c" + struct.pack("!2HIH", 47, 0x8001, 120, 5) + b"\xc0\x0c\0\x01\x40"
        assert data == struct.pack("!6H", 0, 0x8400, 0, 1, 0, 1) + wire(name) + address + nothing_else


def test_of_two_links_each_is_asked_on_its_own_whoever_asks(link):
    """Linux, from 6.6 on, gives what comes to a group to any of the sockets that share its port, if they say SO_REUSEPORT."""
    start, plain, _ = link
    one = start("left", HostAddress(LEFT4, "eth0"), HostAddress(ELSEWHERE, "eth1"))
    answers = set()

    def ask(where, asker, host):
        name = one.driver.call(one.machine.register, host)
        for id in range(1, 9):  # which socket it is would depend on the asker's port
            stranger = plain(where, 0, asker)
            stranger.sendto(struct.pack("!6H", id, 0, 1, 0, 0, 0) + wire(name) + struct.pack("!2H", A, CLASS_IN), GROUP)
            askers.append((stranger, id, host))

    def all_answered():
        for stranger, id, host in askers:
            with contextlib.suppress(BlockingIOError):
                data, source = stranger.recvfrom(9000)
                assert (data[:2], source) == (struct.pack("!H", id), (host, 5353))
                answers.add((id, host))
        return len(answers) == len(askers)

    askers = []
    ask("right", RIGHT4, LEFT4)
    ask("elsewhere", FAR, ELSEWHERE)
    run(one, until=all_answered)


def test_a_stranger_that_answers_is_understood(link):
    start, plain, _ = link
    one, stranger = start("left", HostAddress(LEFT4, "eth0")), plain("right", 5353)
    name = "0b5a4d2e-7c1f-4a3b-9e8d-5f6a7b8c9d0e.local"
    one.driver.call(one.machine.resolve, name)

    def answered():
        with contextlib.suppress(BlockingIOError):
            data, _ = stranger.recvfrom(9000)
            if not data[2] & 0x80 and wire(name) in data:
                address = struct.pack("!2HIH", A, 0x8001, 120, 4) + socket.inet_aton(RIGHT4)
                stranger.sendto(struct.pack("!6H", 0, 0x8400, 0, 1, 0, 0) + wire(name) + address, GROUP)
        return one.events

    run(one, until=answered, other=stranger)
    assert [(event.name, event.host) for event in one.events] == [(name, RIGHT4)]


@pytest.mark.parametrize("runtime", RUNTIMES, ids=lambda runtime: runtime.name)
def test_two_programs_that_conceal_their_addresses_connect_by_their_names(monkeypatch, runtime):
    monkeypatch.setattr(_link_names, "_shared", {})
    monkeypatch.setattr(_interfaces, "_listing", _interfaces._Listing())
    shown = []

    async def body(rt):
        options = {"policy": "conceal-host", "config": IceConfig(ta=0.005)}
        async with (
            rt.opened(rt.adapter.open_ice(controlling=True, **options)) as alice,
            rt.opened(rt.adapter.open_ice(controlling=False, **options)) as bob,
        ):
            ours, theirs = await rt.call(alice.gather()), await rt.call(bob.gather())

            async def from_alice():
                return await rt.call(alice.connect(theirs))

            async def from_bob():
                return await rt.call(bob.connect(ours))

            shown.extend(await rt.together(from_alice, from_bob))
            shown.extend([len(_link_names._names()._machine.names), ours.to_json(), theirs.to_json()])

    with required_namespaces() as spaces:
        for name in ("left", "right"):
            spaces.add(name)
        spaces.join("left", "eth0", "right", "eth0")
        spaces.ip("left", [f"addr add {LEFT4}/24 dev eth0"])
        with spaces.inside("left"):
            runtime.run(body)
            [process] = _link_names._shared.values()
            assert process._machine.names == ()
            process.close()
    one, other, names, *texts = shown
    assert all(is_concealing_name(end.address[0]) for pair in (one, other) for end in (pair.local, pair.remote))
    assert names >= 2 and LEFT4 not in "".join(texts)


FIELDS = ("_ws.malformed", "_ws.expert.severity", "dns.flags.response", "dns.qry.name", "dns.resp.name", "dns.a", "dns.aaaa")
PROTOCOL = "frame.protocols"
ERROR = 0x800000  # of Wireshark's expert information; it warns of queries that have the same id, as all of mDNS have


def test_tshark_reads_all_that_is_sent_as_mdns_without_fault(tmp_path):
    net = Network(seed=1)
    path = tmp_path / "mdns.pcapng"
    with path.open("wb") as file, Capture(file) as capture:
        net.watch(capture)
        segment = net.segment("LAN")
        hosts = [net.host(f"host {n}", f"192.168.1.{n}", behind=segment) for n in (1, 2)]
        for number, host in enumerate(hosts, 1):
            host.attach(f"fe80::{number}", segment)
        nodes = [host.run(MdnsAgent(entropy=host.entropy, config=MdnsConfig(ask_unicast=True))) for host in hosts]
        for node, host in zip(nodes, hosts, strict=True):
            node.call(node.machine.update_addresses, host.addresses)
        names = [nodes[0].call(nodes[0].machine.register, address) for address in hosts[0].addresses]
        for name in [*names, "0b5a4d2e-7c1f-4a3b-9e8d-5f6a7b8c9d0e.local"]:
            nodes[1].call(nodes[1].machine.resolve, name)
        net.run(until=20)
        nodes[0].call(nodes[0].machine.close)
        net.run(until=30)
    command = ["tshark", "-r", path, "-T", "fields", "-E", "separator=/t", "-e", PROTOCOL]
    command += [part for field in FIELDS for part in ("-e", field)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=True)
    packets = [dict(zip((PROTOCOL, *FIELDS), line.split("\t"), strict=True)) for line in done.stdout.splitlines()]
    assert len(packets) > 10
    for packet in packets:
        assert packet[PROTOCOL].endswith(":udp:mdns") and packet["_ws.malformed"] == "", packet
        assert all(int(severity) < ERROR for severity in packet["_ws.expert.severity"].split(",") if severity), packet
    assert {packet["dns.resp.name"].partition(",")[0] for packet in packets if packet["dns.a"]} == {names[0]}
    assert {packet["dns.resp.name"].partition(",")[0] for packet in packets if packet["dns.aaaa"]} == {names[1]}
    assert sorted(Address.of(event.host, 0).host for _, event in nodes[1].events[:2]) == ["192.168.1.1", "fe80::1"]
