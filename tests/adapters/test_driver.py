"""`TrioDriver` and `open_driver`, with machines made for the purpose."""

import math
import socket

import pytest
import trio
from attrs import frozen

from adapters.conftest import RealSockets
from sansice import (
    Address,
    AddressRecord,
    CloseSocket,
    Event,
    LocalProtocolError,
    Machine,
    OpenSocket,
    QueryId,
    RecordKind,
    Resolve,
    ResolveError,
    SendDatagram,
    SendStream,
    SetDontFragment,
    SetReading,
    SocketErrorKind,
    SocketId,
    Transport,
)
from sansice_trio import EventQueue, TrioDriver, open_driver

LOOPBACK = Address("127.0.0.1", 0)
HANG = 20


@frozen
class Opened(Event):
    socket: int
    local: Address


@frozen
class Failed(Event):
    socket: int
    kind: SocketErrorKind


@frozen
class Received(Event):
    socket: int
    source: Address
    data: bytes


@frozen
class Accepted(Event):
    socket: int


@frozen
class Heard(Event):
    socket: int
    data: bytes


@frozen
class GaveUp(Event):
    at: float


@frozen
class Resolved(Event):
    query: int
    answer: object


class Toy(Machine):
    """Opens sockets, sends, retransmits at doubling intervals, and tells everything that it hears."""

    def __init__(self, *, echo=False):
        super().__init__()
        self.echo = echo
        self.times = []
        self.batches = []
        self.unix = None
        self.closed = 0
        self.goodbye = None
        self._request = None
        self._deadline = math.inf
        self._interval = 0.5
        self._left = 0

    # commands

    def open(self, socket, bind=LOOPBACK, *, transport=Transport.UDP, remote=None, now):
        self._outputs.append(OpenSocket(SocketId(socket), transport, bind, remote))

    def send(self, socket, destination, data, *, now):
        self._outputs.append(SendDatagram(SocketId(socket), destination, data))

    def request(self, socket, destination, data, *, transmissions, now):
        self._request = SendDatagram(SocketId(socket), destination, data)
        self._left = transmissions
        self.handle_timer(now=now)

    def set_deadline(self, deadline, *, now):
        self._deadline = deadline

    def ask(self, query, name, kind, *, now):
        self._outputs.append(Resolve(QueryId(query), name, kind))

    def perform(self, *actions, now):
        self._outputs.extend(actions)

    def fail(self, *, now):
        raise RuntimeError("a defect")

    def close(self, *, now):
        if self.closed:
            raise LocalProtocolError("closed already")
        self.closed += 1
        if self.goodbye is not None:
            self._outputs.append(self.goodbye)
            self._outputs.append(CloseSocket(self.goodbye.socket))

    # inputs

    def handle_wall_clock(self, unix, *, now):
        self.unix = unix

    def handle_socket_opened(self, socket, local, *, now):
        self._outputs.append(Opened(socket, local))

    def handle_socket_failed(self, socket, error, *, now):
        self._outputs.append(Failed(socket, error.kind))

    def handle_datagrams(self, socket, batch, *, now):
        self.batches.append(len(batch))
        for source, data in batch:
            if data == b"defect":
                raise RuntimeError("a defect")
            if data.startswith(b"close "):
                self._outputs.append(CloseSocket(SocketId(int(data[6:]))))
            self._outputs.append(Received(socket, source, data))
            if self.echo:
                self._outputs.append(SendDatagram(socket, source, data))

    def handle_accepted(self, listener, socket, remote, *, now):
        self._outputs.append(Accepted(socket))

    def handle_stream_data(self, socket, data, *, now):
        self._outputs.append(Heard(socket, data))
        if self.echo:
            self._outputs.append(SendStream(socket, data) if data else CloseSocket(socket))

    def handle_resolved(self, query, answer, *, now):
        self._outputs.append(Resolved(query, answer))

    def handle_timer(self, *, now):
        self.times.append(now)
        if now < self._deadline and self._left == 0:
            return
        self._deadline = math.inf
        if self._request is None:
            return
        if self._left == 0:
            self._outputs.append(GaveUp(now))
            return
        self._outputs.append(self._request)
        self._left -= 1
        self._deadline = now + self._interval
        self._interval *= 2

    def deadline(self):
        return self._deadline


async def opened(driver, events, machine, socket=1, bind=LOOPBACK):
    driver.call(machine.open, socket, bind)
    event = await anext(events)
    assert isinstance(event, Opened), event
    return event.local


# ---------------------------------------------------------------- datagrams


async def test_a_datagram_arrives_with_its_source_and_is_echoed(sockets, peer):
    machine = Toy(echo=True)
    with trio.fail_after(HANG):
        async with open_driver(machine) as (driver, events):
            local = await opened(driver, events, machine)
            await peer.sendto(b"hello", local)
            assert await anext(events) == Received(1, Address(*peer.getsockname()), b"hello")
            assert await peer.recvfrom(100) == (b"hello", local)
    assert driver.lost == {}


async def test_ipv6_addresses_are_canonical_both_ways(sockets):
    machine = Toy(echo=True)
    with trio.fail_after(HANG), trio.socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as peer:
        await peer.bind(("::1", 0))
        async with open_driver(machine) as (driver, events):
            local = await opened(driver, events, machine, bind=Address("::1", 0))
            assert local.host == "::1"
            await peer.sendto(b"hello", local)
            assert await anext(events) == Received(1, Address("::1", peer.getsockname()[1]), b"hello")
            assert (await peer.recvfrom(100))[0] == b"hello"


async def test_the_largest_and_the_empty_datagram_pass_unchanged(sockets, peer):
    machine = Toy(echo=True)
    largest = bytes(65507)  # 65535 less the headers of IPv4 and UDP
    with trio.fail_after(HANG):
        async with open_driver(machine) as (driver, events):
            local = await opened(driver, events, machine)
            for data in (largest, b""):
                await peer.sendto(data, local)
                assert (await anext(events)).data == data
                assert (await peer.recvfrom(70000))[0] == data


async def test_datagrams_that_wait_come_in_bounded_batches(peer):
    machine = Toy()
    with trio.fail_after(HANG):
        async with open_driver(machine) as (driver, events):
            local = await opened(driver, events, machine)
            for number in range(150):
                await peer.sendto(b"%d" % number, local)
            for number in range(150):
                assert (await anext(events)).data == b"%d" % number
    assert max(machine.batches) <= 64
    assert len(machine.batches) < 150


async def test_many_sockets_are_read(sockets, peer):
    machine = Toy()
    with trio.fail_after(HANG):
        async with open_driver(machine) as (driver, events):
            locals_ = [await opened(driver, events, machine, number) for number in range(1, 101)]
            for local in locals_:
                await peer.sendto(b"x", local)
            assert {(await anext(events)).socket for _ in locals_} == set(range(1, 101))


async def test_a_round_in_which_a_socket_is_closed_is_the_last_that_it_is_fed_in(peer):
    machine = Toy()
    with trio.fail_after(HANG):
        async with open_driver(machine) as (driver, events):
            first = await opened(driver, events, machine, 1)
            second = await opened(driver, events, machine, 2)
            await peer.sendto(b"close 2", first)
            assert await anext(events) == Received(1, Address(*peer.getsockname()), b"close 2")
            await peer.sendto(b"not heard", second)
            await peer.sendto(b"still here", first)
            assert await anext(events) == Received(1, Address(*peer.getsockname()), b"still here")


async def test_a_closed_socket_is_no_longer_read_and_its_port_is_free(sockets):
    machine = Toy()
    with trio.fail_after(HANG), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        async with open_driver(machine) as (driver, events):
            local = await opened(driver, events, machine, 1)
            peer.sendto(b"never read", local)
            driver.call(machine.perform, CloseSocket(SocketId(1)), CloseSocket(SocketId(9)))
            await trio.testing.wait_all_tasks_blocked()
            assert await opened(driver, events, machine, 2, bind=local) == local


async def test_unsendable_datagrams_are_lost_and_counted(sockets):
    machine = Toy()
    with trio.fail_after(HANG):
        async with open_driver(machine) as (driver, events):
            await opened(driver, events, machine)
            driver.call(machine.send, 1, Address("127.0.0.1", 9), bytes(70000))
            driver.call(machine.send, 1, Address("localhost", 9), b"a name would be resolved in place")
            driver.call(machine.send, 1, Address("::1", 9), b"of the other family")
            driver.call(machine.send, 1, Address("127.0.0.1", 70000), b"no such port")
            driver.call(machine.send, 1, Address("\0", 9), b"not text of an address")
            driver.call(machine.send, 7, Address("127.0.0.1", 9), b"no such socket")
            await trio.testing.wait_all_tasks_blocked()
            assert sum(driver.lost.values()) == 6
            assert driver.lost["EMSGSIZE"] == driver.lost["socket closed"] == 1
            assert driver.lost["not an address"] >= 3


# ---------------------------------------------------------------- streams


async def test_a_stream_connects_and_another_is_accepted():
    machine, events = Toy(echo=True), EventQueue()
    with trio.fail_after(HANG):
        async with TrioDriver(machine, events.put) as driver:
            driver.call(machine.open, 1, transport=Transport.TCP)
            local = (await anext(events)).local
            driver.call(machine.open, 2, transport=Transport.TCP, remote=local)
            assert {type(await anext(events)) for _ in range(2)} == {Opened, Accepted}
            machine.echo = False
            driver.call(machine.perform, SendStream(SocketId(2), b"hello"))
            assert await anext(events) == Heard(-1, b"hello")
            driver.call(machine.perform, SetReading(SocketId(2), False), SendStream(SocketId(-1), b"paused"))
            await trio.testing.wait_all_tasks_blocked(0.01)
            driver.call(machine.perform, SetReading(SocketId(2), True))
            assert await anext(events) == Heard(2, b"paused")
            driver.call(machine.perform, CloseSocket(SocketId(2)))
            assert await anext(events) == Heard(-1, b"")


async def test_a_connection_that_is_not_answered_fails_in_time(autojump_clock):
    machine = Toy()
    listener = socket.create_server(("127.0.0.1", 0), backlog=0)
    fillers = [socket.socket() for _ in range(4)]
    for filler in fillers:
        filler.setblocking(False)
        filler.connect_ex(listener.getsockname())
    async with open_driver(machine) as (driver, events):
        start = trio.current_time()
        driver.call(machine.open, 1, transport=Transport.TCP, remote=Address(*listener.getsockname()))
        assert await anext(events) == Failed(1, SocketErrorKind.TIMEOUT)
        assert trio.current_time() == start + 30
    for each in (listener, *fillers):
        each.close()


def fill(driver, machine):
    """Send on stream 1 until something has to wait; return how much was sent."""
    sent = 0
    while not driver._sockets.unsent:
        driver.call(machine.perform, SendStream(SocketId(1), bytes(2**16)))
        sent += 2**16
    return sent


async def test_leaving_sends_what_streams_have_queued():
    machine = Toy()
    received = bytearray()

    async def read(listener):
        stream = await listener.accept()
        async with stream:
            async for chunk in stream:
                received.extend(chunk)

    with trio.fail_after(HANG):
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        async with listener, trio.open_nursery() as nursery:
            async with open_driver(machine) as (driver, events):
                driver.call(machine.open, 1, transport=Transport.TCP, remote=Address(*listener.socket.getsockname()))
                await anext(events)
                sent = fill(driver, machine)
                machine.goodbye = SendStream(SocketId(1), b"goodbye")
                nursery.start_soon(read, listener)
    assert bytes(received) == bytes(sent) + b"goodbye"


async def test_leaving_waits_a_second_at_most_for_a_peer_that_does_not_read(autojump_clock, nothing_left):
    machine = Toy()
    with socket.create_server(("127.0.0.1", 0)) as listener, nothing_left():
        async with open_driver(machine) as (driver, events):
            driver.call(machine.open, 1, transport=Transport.TCP, remote=Address(*listener.getsockname()))
            await anext(events)
            peer, _ = listener.accept()
            fill(driver, machine)
            machine.goodbye = SendStream(SocketId(1), b"goodbye")
            start = trio.current_time()
        assert trio.current_time() == start + 1
        peer.close()


# ---------------------------------------------------------------- opening


async def test_a_socket_that_cannot_be_opened_is_told_with_the_reason(sockets):
    machine = Toy()
    with trio.fail_after(HANG):
        async with open_driver(machine) as (driver, events):
            local = await opened(driver, events, machine)
            for number, (bind, kind) in enumerate(
                [
                    (local, SocketErrorKind.ADDRESS_IN_USE),
                    (Address("192.0.2.254", 0), SocketErrorKind.ADDRESS_UNAVAILABLE),
                    (Address("localhost", 0), SocketErrorKind.OTHER),
                ],
                start=2,
            ):
                driver.call(machine.open, number, bind)
                assert await anext(events) == Failed(number, kind)


@pytest.mark.parametrize("transport", [Transport.TCP, Transport.TLS, Transport.DTLS])
async def test_over_trios_own_sockets_streams_fail_as_unsupported(transport):
    trio.socket.set_custom_socket_factory(RealSockets())
    machine = Toy()
    with trio.fail_after(HANG):
        async with open_driver(machine) as (driver, events):
            driver.call(machine.open, 1, transport=transport)
            driver.call(machine.perform, SendStream(SocketId(1), b"x"), SetReading(SocketId(1), False))
            assert await anext(events) == Failed(1, SocketErrorKind.UNSUPPORTED)


class Polite(Toy):
    """Closed, it lingers until it is told that it need not."""

    lingers = False

    def close(self, *, now):
        super().close(now=now)
        self.lingers = True

    def handle_timer(self, *, now):
        self.lingers = False


@pytest.mark.parametrize("is_cancelled", [False, True])
async def test_a_machine_lingers_also_in_a_block_that_was_cancelled_where_somebody_can_still_read(sockets, is_cancelled):
    machine = Polite()
    with trio.CancelScope() as scope:
        async with TrioDriver(machine, print) as driver:
            driver.call(machine.set_deadline, driver.now() + 0.01)
            if is_cancelled:
                scope.cancel()
                await trio.sleep_forever()
    assert scope.cancelled_caught is is_cancelled
    assert machine.lingers is (is_cancelled and sockets == "trio.socket")


async def test_fragmentation_is_forbidden_and_allowed_in_between_datagrams(sockets):
    machine = Toy()
    with trio.fail_after(HANG):
        async with open_driver(machine) as (driver, events):
            driver.call(machine.perform, SetDontFragment(SocketId(1), True))  # which is not open yet
            driver.call(machine.open, 1, Address("::1", 0))
            local = (await anext(events)).local
            big = SendDatagram(SocketId(1), local, bytes(65500))  # over the MTU of the loopback
            no, yes = SetDontFragment(SocketId(1), True), SetDontFragment(SocketId(1), False)
            driver.call(machine.perform, no, yes, no, big, no, yes, big)
            assert await anext(events) == Received(1, local, big.data)
            assert driver.lost == {"EMSGSIZE": 1}


async def test_ports_are_taken_from_the_range_until_it_is_used_up(sockets):
    with trio.fail_after(HANG):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
            taken.bind(("127.0.0.1", 0))
            port = taken.getsockname()[1]
            ports = range(port, port + 2)
            machine, events = Toy(), EventQueue()
            async with TrioDriver(machine, events.put, ports=ports) as driver:
                assert (await opened(driver, events, machine)).port == port + 1
                driver.call(machine.open, 2)
                assert await anext(events) == Failed(2, SocketErrorKind.ADDRESS_IN_USE)


# ---------------------------------------------------------------- time


async def test_retransmissions_happen_at_exact_times(sockets, autojump_clock, peer):
    machine = Toy()
    async with open_driver(machine) as (driver, events):
        await opened(driver, events, machine)
        start = trio.current_time()
        driver.call(machine.request, 1, Address(*peer.getsockname()), b"?", transmissions=3)
        assert await anext(events) == GaveUp(start + 0.5 + 1 + 2)
    assert machine.times == [start, start + 0.5, start + 1.5, start + 3.5]


async def test_a_datagram_moves_a_deadline_that_is_being_waited_for(sockets, autojump_clock, peer):
    machine = Toy(echo=True)
    async with open_driver(machine) as (driver, events):
        local = await opened(driver, events, machine)
        start = trio.current_time()
        driver.call(machine.set_deadline, start + 100)
        await trio.sleep(1)
        driver.call(machine.set_deadline, start + 2)
        await trio.sleep(5)
        assert machine.times == [start + 2]
        driver.call(machine.set_deadline, start + 50)
        await peer.sendto(b"x", local)
        await trio.sleep(100)
    assert machine.times == [start + 2, start + 50]


async def test_a_deadline_moved_as_it_fires_never_gives_the_machine_a_future_time(sockets, autojump_clock):
    machine = Toy()
    async with open_driver(machine) as (driver, _):
        for _ in range(50):  # trio runs the tasks that wake together in random order
            start = trio.current_time()
            machine.times.clear()
            driver.call(machine.set_deadline, start + 1)
            await trio.sleep(1)
            driver.call(machine.set_deadline, start + 3)
            await trio.sleep(1)
            assert set(machine.times) <= {start + 1}
            await trio.sleep(2)
            assert machine.times[-1] == start + 3


async def test_a_deadline_that_is_put_off_far_wakes_nobody_when_it_would_have_passed(autojump_clock, peer):
    machine, steps = Toy(), []

    class Steps(trio.abc.Instrument):
        def before_task_step(self, task):
            if task.name == "sansice reactor":
                steps.append(trio.current_time())

    async with open_driver(machine) as (driver, events):
        local = await opened(driver, events, machine)
        start = trio.current_time()
        driver.call(machine.set_deadline, start + 1)
        driver.call(machine.set_deadline, start + 50)
        await peer.sendto(b"x", local)
        assert isinstance(await anext(events), Received)
        trio.lowlevel.add_instrument(Steps())
        await trio.sleep(100)
    assert machine.times == [start + 50]
    assert {time for time in steps if time < start + 100} == {start + 50}


# ---------------------------------------------------------------- looking


async def test_who_looks_finds_what_has_arrived_without_waiting(peer):
    machine = Toy()
    async with open_driver(machine) as (driver, events):
        local = await opened(driver, events, machine)
        await peer.sendto(b"x", local)
        driver.look()
        driver.look()  # and there is nothing more
        assert (await anext(events)).data == b"x"


async def test_looking_outside_of_the_block_or_at_sockets_of_trios_own_does_nothing(sockets):
    machine, events = Toy(), EventQueue()
    driver = TrioDriver(machine, events.put)
    driver.look()
    async with driver:
        driver.look()
    driver.look()


async def test_a_machine_that_fails_while_somebody_looks_fails_the_block(peer, monkeypatch):
    def fail(*args, **kwargs):
        raise RuntimeError("a defect")

    async def run():
        machine, events = Toy(), EventQueue()
        async with TrioDriver(machine, events.put) as driver:
            local = await opened(driver, events, machine)
            monkeypatch.setattr(machine, "handle_datagrams", fail)
            await peer.sendto(b"x", local)
            driver.look()
            await trio.sleep_forever()

    with pytest.raises(ExceptionGroup) as caught:
        await run()
    assert caught.group_contains(RuntimeError, match="a defect")


async def test_time_is_the_boot_clock_unless_trio_has_a_clock_of_a_test():
    async with open_driver(Toy()) as (driver, _):
        assert driver.now() != pytest.approx(trio.current_time(), abs=60)
        assert driver.driver.machine.unix > 1.7e9


async def test_timers_fire_in_real_time():
    machine = Toy()
    with trio.fail_after(HANG):
        async with open_driver(machine) as (driver, events):
            await opened(driver, events, machine)
            start = driver.now()
            driver.call(machine.request, 1, LOOPBACK, b"?", transmissions=1)
            event = await anext(events)
            assert start + 0.5 <= event.at < start + HANG


# ---------------------------------------------------------------- names


class Names(trio.abc.HostnameResolver):
    """A resolver that knows two names, and fails in the ways that resolvers fail."""

    async def getaddrinfo(self, host, port, family=0, type=0, proto=0, flags=0):
        await trio.lowlevel.checkpoint()
        host = host.decode()
        if host == "stun.example" and family == socket.AF_INET:
            return [(family, type, 17, "", ("192.0.2.1", 0)), (family, type, 6, "", ("192.0.2.1", 0))]
        if host == "stun.example":
            return [(family, type, 17, "", ("2001:db8::1", 0, 0, 0))]
        raise {
            "nowhere.example": socket.gaierror(socket.EAI_NONAME, "unknown"),
            "later.example": socket.gaierror(socket.EAI_AGAIN, "try again"),
            "broken.example": socket.gaierror(socket.EAI_FAIL, "broken"),
            "odd.example": UnicodeError("label too long"),
        }[host]

    async def getnameinfo(self, sockaddr, flags):
        raise AssertionError("nobody asks for the name of an address")


@pytest.mark.parametrize(
    ("name", "kind", "answer"),
    [
        ("stun.example", RecordKind.A, (AddressRecord("192.0.2.1"),)),
        ("stun.example", RecordKind.AAAA, (AddressRecord("2001:db8::1"),)),
        ("no..name", RecordKind.SRV, ResolveError.FAILURE),
        ("nowhere.example", RecordKind.A, ResolveError.NOT_FOUND),
        ("later.example", RecordKind.A, ResolveError.TIMEOUT),
        ("broken.example", RecordKind.A, ResolveError.FAILURE),
        ("odd.example", RecordKind.A, ResolveError.FAILURE),
    ],
)
async def test_names_are_resolved_by_the_system(name, kind, answer):
    trio.socket.set_custom_hostname_resolver(Names())
    machine = Toy()
    with trio.fail_after(HANG):
        async with open_driver(machine) as (driver, events):
            driver.call(machine.ask, 5, name, kind)
            assert await anext(events) == Resolved(5, answer)


# ---------------------------------------------------------------- leaving


async def test_leaving_closes_the_machine_and_sends_its_last_words(sockets, peer, nothing_left):
    machine = Toy()
    with trio.fail_after(HANG), nothing_left():
        async with open_driver(machine) as (driver, events):
            await opened(driver, events, machine)
            machine.goodbye = SendDatagram(SocketId(1), Address(*peer.getsockname()), b"goodbye")
        assert machine.closed == 1
        assert (await peer.recvfrom(100))[0] == b"goodbye"


async def test_last_words_leave_even_when_the_block_is_cancelled(sockets, peer, nothing_left):
    machine = Toy()
    with trio.fail_after(HANG), nothing_left():
        with trio.CancelScope() as scope:
            async with open_driver(machine) as (driver, events):
                await opened(driver, events, machine)
                machine.goodbye = SendDatagram(SocketId(1), Address(*peer.getsockname()), b"goodbye")
                scope.cancel()
                await trio.sleep_forever()
        assert (await peer.recvfrom(100))[0] == b"goodbye"


async def test_a_machine_that_the_application_closed_is_not_closed_again():
    machine = Toy()
    async with open_driver(machine) as (driver, _):
        driver.call(machine.close)
    assert machine.closed == 1


async def test_a_machine_without_close_needs_none():
    async with open_driver(Machine()):
        pass


async def test_events_end_with_the_block_for_a_reader_outside_of_it():
    machine = Toy()
    seen = []

    async def read(events):
        seen.extend([event async for event in events])

    with trio.fail_after(HANG):
        async with trio.open_nursery() as nursery:
            async with open_driver(machine) as (driver, events):
                nursery.start_soon(read, events)
                await trio.testing.wait_all_tasks_blocked()
                driver.call(machine.perform, GaveUp(1))
                await trio.testing.wait_all_tasks_blocked()
                driver.call(machine.perform, GaveUp(2))
    assert seen == [GaveUp(1), GaveUp(2)]


async def test_the_bodys_own_exception_comes_out_unwrapped(sockets, nothing_left):
    for error in (ValueError("mine"), ExceptionGroup("mine", [ValueError(), KeyError()])):
        with nothing_left():
            with pytest.raises(type(error)) as caught:
                async with open_driver(Toy()):
                    raise error
            assert caught.value is error


async def test_a_failure_of_the_machine_comes_out_of_the_block(sockets, peer, nothing_left):
    machine = Toy()

    async def run():
        async with open_driver(machine) as (driver, events):
            local = await opened(driver, events, machine)
            await peer.sendto(b"defect", local)
            await trio.sleep_forever()

    with trio.fail_after(HANG), nothing_left():
        with pytest.raises(ExceptionGroup) as caught:
            await run()
        assert caught.group_contains(RuntimeError, match="a defect", depth=1)
    assert machine.closed == 1


async def test_the_bodys_exception_and_a_failure_of_the_machine_both_come_out(peer):
    machine = Toy()

    async def run():
        async with open_driver(machine) as (driver, events):
            local = await opened(driver, events, machine)
            await peer.sendto(b"defect", local)
            try:
                await trio.sleep_forever()
            finally:
                raise ValueError("mine")

    with trio.fail_after(HANG):
        with pytest.raises(ExceptionGroup) as caught:
            await run()
        assert caught.group_contains(RuntimeError, match="a defect")
        assert caught.group_contains(ValueError, match="mine")


async def test_a_machine_that_fails_at_the_start_leaves_nothing_behind(sockets, nothing_left):
    class Broken(Toy):
        def handle_wall_clock(self, unix, *, now):
            raise RuntimeError("a defect")

    with nothing_left():
        with pytest.raises(RuntimeError, match="a defect"):
            async with open_driver(Broken()):
                raise AssertionError("never entered")


async def test_a_machine_that_fails_to_close_leaves_nothing_behind(sockets, nothing_left):
    class Broken(Toy):
        def close(self, *, now):
            raise RuntimeError("a defect")

    with nothing_left():
        with pytest.raises(RuntimeError, match="a defect"):
            async with open_driver(Broken()):
                pass


async def test_cancelling_at_any_await_leaves_nothing_behind(sockets, cancel_everywhere):
    async def scenario():
        machine = Toy(echo=True)
        async with open_driver(machine) as (driver, events):
            local = await opened(driver, events, machine)
            driver.call(machine.ask, 1, "127.0.0.1", RecordKind.A)
            assert isinstance(await anext(events), Resolved)
            driver.call(machine.send, 1, local, b"to itself")
            await anext(events)

    assert await cancel_everywhere(scenario) >= 4


def test_a_block_that_is_never_left_does_not_run_the_machines_time_forward():
    machine = Toy()

    async def misuse():
        block = await TrioDriver(machine, print).__aenter__()
        await trio.testing.wait_all_tasks_blocked()
        block.call(machine.set_deadline, block.now() + 1000)

    for _ in range(20):  # trio ends its tasks in random order
        with pytest.raises(RuntimeError, match="stack corrupted"):
            trio.run(misuse)
    assert machine.times == []


# ---------------------------------------------------------------- the queue of events


async def test_a_full_queue_drops_the_oldest_data_and_keeps_all_other_events():
    queue = EventQueue((Received,), 2)
    for number in range(4):
        queue.put(Received(number, LOOPBACK, b""))
        queue.put(GaveUp(number))
    queue.close()
    left = [event async for event in queue]
    assert left == [GaveUp(0), GaveUp(1), Received(2, LOOPBACK, b""), GaveUp(2), Received(3, LOOPBACK, b""), GaveUp(3)]
    assert queue.dropped == 2


async def test_reading_makes_room_for_data():
    queue = EventQueue((Received,), 1)
    for number in range(3):
        queue.put(Received(number, LOOPBACK, b""))
        assert (await anext(queue)).socket == number
    assert queue.dropped == 0
