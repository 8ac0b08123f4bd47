"""Drivers run any machine, the user's own included, in the same way on every runtime."""

import math
import socket
import threading

import pytest
from attrs import frozen

from adapters.conformance._runtimes import HANG
from sansice import (
    Address,
    AddressRecord,
    CloseSocket,
    Event,
    LocalProtocolError,
    Machine,
    OpenSocket,
    PublishName,
    QueryId,
    RecordKind,
    Resolve,
    ResolveError,
    SendDatagram,
    SendDatagrams,
    SendStream,
    SetDontFragment,
    SocketErrorKind,
    SocketId,
    Transport,
    WithdrawName,
)
from sansice.driver import clock
from sansice.sockets import from_sockaddr

LOOPBACK = Address("127.0.0.1", 0)


@frozen
class Told(Event):
    what: tuple


class Toy(Machine):
    """Echoes what it hears, tells everything, and has as many deadlines as it is given."""

    def __init__(self):
        super().__init__()
        self.deadlines = []
        self.closed = 0
        self.last_words = None
        self.streams = {}

    # commands

    def open(self, socket, transport=Transport.UDP, bind=LOOPBACK, remote=None, *, now):
        self._outputs.append(OpenSocket(SocketId(socket), transport, bind, remote))

    def perform(self, *actions, now):
        self._outputs.extend(actions)

    def wait(self, *seconds, now):
        self.deadlines = sorted(self.deadlines + [now + one for one in seconds])
        return now

    def wait_less(self, seconds, *, now):
        self.deadlines = [now + seconds]

    def fail(self, *, now):
        raise RuntimeError("a defect")

    def close(self, *, now):
        if self.closed:
            raise LocalProtocolError("closed already")
        self.closed += 1
        if self.last_words is not None:
            self._outputs.extend(self.last_words)

    # inputs

    def tell(self, *what):
        self._outputs.append(Told(what))

    def handle_wall_clock(self, unix, *, now):
        self.tell("wall clock", unix > 1.6e9)

    def handle_socket_opened(self, socket, local, *, now):
        self.tell("opened", socket, local)

    def handle_socket_failed(self, socket, error, *, now):
        self.tell("failed", socket, error.kind)

    def handle_accepted(self, listener, socket, remote, *, now):
        self.tell("accepted", listener, socket)

    def handle_datagrams(self, socket, batch, *, now):
        for source, data in batch:
            if data == b"defect":
                raise RuntimeError("a defect")
            self._outputs.append(SendDatagram(socket, source, data))

    def handle_stream_data(self, socket, data, *, now):
        self.tell("data", socket, data)
        if data and socket < 0:
            self._outputs.append(SendStream(socket, data))

    def handle_resolved(self, query, answer, *, now):
        self.tell("resolved", query, answer)

    def handle_timer(self, *, now):
        while self.deadlines and self.deadlines[0] <= now:
            self.tell("timer", self.deadlines.pop(0), now)

    def deadline(self):
        return self.deadlines[0] if self.deadlines else math.inf


@pytest.fixture
def peer():
    """A plain UDP socket to talk to."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(HANG)
        yield sock


async def told(rt, events, word):
    """The next event that begins with a word."""
    while True:
        event = await rt.call(events.get())
        if event.what[0] == word:
            return event.what[1:]


# ---------------------------------------------------------------- sockets


def test_a_machine_is_started_opens_sockets_and_answers(rt, peer):
    async def body(rt):
        machine = Toy()
        async with rt.opened(rt.adapter.open_driver(machine)) as (driver, events):
            assert await told(rt, events, "wall clock") == (True,)
            driver.call(machine.open, 1)
            socket, local = await told(rt, events, "opened")
            assert socket == 1
            assert local.host == "127.0.0.1"
            replies = []
            reader = threading.Thread(target=lambda: replies.append(peer.recv(100)))
            reader.start()
            peer.sendto(b"echo", local)
            while reader.is_alive():
                await rt.sleep(0.001)
            assert replies == [b"echo"]
            assert driver.lost == {}
            driver.call(machine.perform, SendDatagram(SocketId(9), local, b"into the void"))
            assert driver.lost == {"socket closed": 1}

    rt.run(lambda rt: rt.leaves_nothing(lambda: body(rt)))


def test_a_batch_leaves_in_order_and_loses_only_what_the_system_refuses(rt, peer):
    async def body(rt):
        machine = Toy()
        async with rt.opened(rt.adapter.open_driver(machine)) as (driver, events):
            driver.call(machine.open, 1)
            await told(rt, events, "opened")
            there = Address(*peer.getsockname())
            items = [(there, b"one"), (Address("name.example", 9), b"lost"), (there, b""), (there, b"three")]
            driver.call(machine.perform, SendDatagrams(SocketId(1), tuple(items)), SendDatagrams(SocketId(9), tuple(items)))
            received = []
            reader = threading.Thread(target=lambda: received.extend(peer.recv(100) for _ in range(3)))
            reader.start()
            while reader.is_alive():
                await rt.sleep(0.001)
            assert received == [b"one", b"", b"three"]
            assert sum(driver.lost.values()) == 5
            assert driver.lost["socket closed"] == 4

    rt.run(lambda rt: rt.leaves_nothing(lambda: body(rt)))


def test_one_datagram_alone_may_be_kept_from_being_fragmented(rt):
    async def body(rt):
        machine = Toy()
        async with rt.opened(rt.adapter.open_driver(machine)) as (driver, events):
            driver.call(machine.open, 1, bind=Address("::1", 0))
            await told(rt, events, "opened")
            with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as peer:
                peer.bind(("::1", 0))
                peer.settimeout(HANG)
                big = SendDatagram(SocketId(1), from_sockaddr(peer.getsockname()), bytes(65500))  # over the MTU of the loopback
                no, yes = SetDontFragment(SocketId(1), True), SetDontFragment(SocketId(1), False)
                driver.call(machine.perform, no, big, yes, big)
                assert peer.recv(65535) == big.data
                assert driver.lost == {"EMSGSIZE": 1}

    rt.run(lambda rt: rt.leaves_nothing(lambda: body(rt)))


def test_names_are_answered_for_until_they_are_withdrawn_or_the_block_ends(rt, monkeypatch):
    told = []
    monkeypatch.setattr("sansice.sockets._link_names.publish_on_link", lambda *name: told.append(name))
    monkeypatch.setattr("sansice.sockets._link_names.withdraw_from_link", lambda name: told.append(name))

    async def body(rt):
        machine = Toy()
        async with rt.opened(rt.adapter.open_driver(machine)) as (driver, _):
            publish = [PublishName(name, "192.0.2.1") for name in ("a.local", "b.local")]
            driver.call(machine.perform, *publish, WithdrawName("a.local"), WithdrawName("elsewhere.local"))
            assert told == [("a.local", "192.0.2.1"), ("b.local", "192.0.2.1"), "a.local"]

    rt.run(lambda rt: rt.leaves_nothing(lambda: body(rt)))
    assert told[3:] == ["b.local"]


def test_streams_are_echoed_in_order_and_end(rt):
    async def body(rt):
        machine = Toy()
        async with rt.opened(rt.adapter.open_driver(machine)) as (driver, events):
            driver.call(machine.open, 1, Transport.TCP)
            _, listening = await told(rt, events, "opened")
            driver.call(machine.open, 2, Transport.TCP, LOOPBACK, listening)
            await told(rt, events, "opened")
            data = bytes(range(256)) * 1000
            for start in range(0, len(data), 1000):
                driver.call(machine.perform, SendStream(SocketId(2), data[start : start + 1000]))
            arrived = b""
            while len(arrived) < len(data):
                stream, piece = await told(rt, events, "data")
                if stream == 2:
                    arrived += piece
            assert arrived == data
            driver.call(machine.perform, CloseSocket(SocketId(2)))
            assert (await told(rt, events, "data"))[1] == b""

    rt.run(lambda rt: rt.leaves_nothing(lambda: body(rt)))


def test_a_connection_that_is_refused_is_told(rt):
    with socket.socket() as gone:
        gone.bind(("127.0.0.1", 0))
        nobody = Address(*gone.getsockname())

    async def body(rt):
        machine = Toy()
        async with rt.opened(rt.adapter.open_driver(machine)) as (driver, events):
            driver.call(machine.open, 1, Transport.TCP, LOOPBACK, nobody)
            assert await told(rt, events, "failed") == (1, SocketErrorKind.REFUSED)

    rt.run(body)


def test_ports_are_taken_from_those_that_are_allowed(rt):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    async def body(rt):
        machine = Toy()
        async with rt.opened(rt.adapter.open_driver(machine, ports=[port])) as (driver, events):
            driver.call(machine.open, 1)
            assert await told(rt, events, "opened") == (1, Address("127.0.0.1", port))
            driver.call(machine.open, 2)
            assert await told(rt, events, "failed") == (2, SocketErrorKind.ADDRESS_IN_USE)

    rt.run(body)


def test_inherited_sockets_are_used(rt):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as given:
        given.bind(("127.0.0.1", 0))
        address = Address(*given.getsockname())

        async def body(rt):
            machine = Toy()
            async with rt.opened(rt.adapter.open_driver(machine, inherited=[given])) as (driver, events):
                driver.call(machine.open, 1, Transport.UDP, address)
                assert await told(rt, events, "opened") == (1, address)

        rt.run(body)


# ---------------------------------------------------------------- time


def test_timers_fire_in_order_and_never_early(rt):
    async def body(rt):
        machine = Toy()
        waits = [0.03, 0.01, 0.02, 0.01, 0.0]
        async with rt.opened(rt.adapter.open_driver(machine)) as (driver, events):
            start = driver.call(machine.wait, *waits)
            fired = [await told(rt, events, "timer") for _ in waits]
            assert [deadline for deadline, _ in fired] == sorted(start + wait for wait in waits)
            assert all(deadline <= now for deadline, now in fired)
            assert [now for _, now in fired] == sorted(now for _, now in fired)
            assert abs(start - clock()) < HANG  # the clock of `sansice.driver`, which goes on while a laptop sleeps

    rt.run(body)


def test_an_earlier_deadline_replaces_a_later_one_and_the_reverse(rt):
    async def body(rt):
        machine = Toy()
        async with rt.opened(rt.adapter.open_driver(machine)) as (driver, events):
            driver.call(machine.wait, 1000)
            driver.call(machine.wait_less, 0.01)
            await told(rt, events, "timer")
            driver.call(machine.wait_less, 0.01)
            driver.call(machine.wait_less, 0.05)  # put off: what was armed before must not fire instead
            deadline, now = await told(rt, events, "timer")
            assert now >= deadline

    rt.run(body)


# ---------------------------------------------------------------- names


@pytest.mark.parametrize(
    ("name", "kind", "answer"),
    [
        ("localhost", RecordKind.A, (AddressRecord("127.0.0.1"),)),
        ("no..name", RecordKind.SRV, ResolveError.FAILURE),
        ("x" * 64 + ".example", RecordKind.A, ResolveError.FAILURE),
    ],
)
def test_names_are_looked_up(rt, name, kind, answer):
    async def body(rt):
        machine = Toy()
        async with rt.opened(rt.adapter.open_driver(machine)) as (driver, events):
            driver.call(machine.perform, Resolve(QueryId(5), name, kind))
            assert await told(rt, events, "resolved") == (5, answer)

    rt.run(body)


def test_a_look_up_that_nobody_waits_for_any_more_holds_nobody_up(rt, monkeypatch):
    asked, go_on = threading.Event(), threading.Event()

    def slow(*args, **kwargs):
        asked.set()
        go_on.wait(HANG)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", slow)

    async def body(rt):
        machine = Toy()
        async with rt.opened(rt.adapter.open_driver(machine)) as (driver, events):
            driver.call(machine.perform, Resolve(QueryId(5), "slow.example", RecordKind.A))
            while not asked.is_set():
                await rt.sleep(0.001)
        left = [event.what[0] async for event in rt.each(events)]
        assert "resolved" not in left
        go_on.set()
        await rt.sleep(0.01)  # its answer would come now
        assert [event async for event in rt.each(events)] == []

    rt.run(body)


# ---------------------------------------------------------------- leaving


def test_leaving_closes_the_machine_sends_its_last_words_and_ends_the_events(rt, peer):
    async def body(rt):
        machine = Toy()
        async with rt.opened(rt.adapter.open_driver(machine)) as (driver, events):
            driver.call(machine.open, 1)
            await told(rt, events, "opened")
            machine.last_words = [SendDatagram(SocketId(1), Address(*peer.getsockname()), b"goodbye"), CloseSocket(SocketId(1))]
        assert machine.closed == 1
        assert [event async for event in rt.each(events)] == []
        assert await rt.call(events.get()) is None
        with pytest.raises(LocalProtocolError, match="with"):
            driver.call(machine.open, 2)

    rt.run(lambda rt: rt.leaves_nothing(lambda: body(rt)))
    assert peer.recv(100) == b"goodbye"


class Polite(Toy):
    """Closed, it asks until it is answered."""

    def __init__(self, there):
        super().__init__()
        self.there = there
        self.lingers = False
        self.asked = 0

    def close(self, *, now):
        super().close(now=now)
        self.lingers = True
        self.ask(now)

    def ask(self, now):
        self.asked += 1
        self._outputs.append(SendDatagram(SocketId(1), self.there, b"forget me"))
        self.deadlines = [now + 0.01]

    def handle_timer(self, *, now):
        if self.deadlines and self.deadlines[0] <= now:
            self.ask(now)

    def handle_datagrams(self, socket, batch, *, now):
        self.lingers = False
        self.deadlines = []


def test_a_machine_that_lingers_goes_on_until_it_is_answered(rt, peer):
    async def body(rt):
        machine = Polite(Address(*peer.getsockname()))

        def answer():
            for _ in range(3):
                _, source = peer.recvfrom(100)
            peer.sendto(b"done", source)

        answering = threading.Thread(target=answer)
        answering.start()
        async with rt.opened(rt.adapter.open_driver(machine)) as (driver, events):
            driver.call(machine.open, 1)
            await told(rt, events, "opened")
        answering.join(HANG)
        assert machine.asked >= 3
        assert not machine.lingers

    rt.run(lambda rt: rt.leaves_nothing(lambda: body(rt)))


def test_a_machine_that_lingers_in_vain_is_given_up(rt, peer):
    async def body(rt):
        machine = Polite(Address(*peer.getsockname()))
        async with rt.opened(rt.adapter.open_driver(machine)) as (driver, events):
            driver.call(machine.open, 1)
            await told(rt, events, "opened")
        assert machine.asked > 1
        assert machine.lingers

    rt.run(lambda rt: rt.leaves_nothing(lambda: body(rt)))


def test_what_streams_still_hold_is_written_while_leaving(rt):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        arrived = []
        size = 3_000_000

        def read():
            stream, _ = listener.accept()
            with stream:
                stream.settimeout(HANG)
                while data := stream.recv(65536):
                    arrived.append(len(data))

        reader = threading.Thread(target=read)
        reader.start()

        async def body(rt):
            machine = Toy()
            async with rt.opened(rt.adapter.open_driver(machine)) as (driver, events):
                driver.call(machine.open, 1, Transport.TCP, LOOPBACK, Address(*listener.getsockname()))
                await told(rt, events, "opened")
                chunks = [SendStream(SocketId(1), bytes(size // 4))] * 4
                machine.last_words = [chunks[0], CloseSocket(SocketId(1))]
                driver.call(machine.perform)
            reader.join(HANG)  # its end of the stream is none of those that the block left

        rt.run(lambda rt: rt.leaves_nothing(lambda: body(rt)))
    assert sum(arrived) == size // 4


def test_a_closed_machine_is_not_closed_again(rt):
    async def body(rt):
        machine = Toy()
        async with rt.opened(rt.adapter.open_driver(machine)) as (driver, _):
            driver.call(machine.close)

    rt.run(body)


def test_an_exception_of_the_body_comes_out_as_it_is(rt):
    async def body(rt):
        with pytest.raises(KeyError, match="mine"):
            async with rt.opened(rt.adapter.open_driver(Toy())):
                raise KeyError("mine")

    rt.run(lambda rt: rt.leaves_nothing(lambda: body(rt)))


def test_an_exception_of_a_command_comes_out_of_the_call(rt):
    async def body(rt):
        machine = Toy()
        async with rt.opened(rt.adapter.open_driver(machine)) as (driver, _):
            with pytest.raises(RuntimeError, match="a defect"):
                driver.call(machine.fail)

    rt.run(body)


def test_a_failure_of_the_machine_ends_the_body_and_comes_out_in_a_group(rt, peer):
    async def block(rt):
        machine = Toy()
        async with rt.opened(rt.adapter.open_driver(machine)) as (driver, events):
            driver.call(machine.open, 1)
            _, local = await told(rt, events, "opened")
            peer.sendto(b"defect", local)
            async for _ in rt.each(events):
                pass
            with pytest.raises(LocalProtocolError, match="has failed"):  # the others have cancelled the body
                driver.call(machine.open, 2)

    async def body(rt):
        with pytest.raises(ExceptionGroup) as caught:
            await block(rt)
        assert caught.group_contains(RuntimeError, match="a defect")

    rt.run(lambda rt: rt.leaves_nothing(lambda: body(rt)))


def test_both_failures_come_out_where_the_body_fails_as_well(rt, peer, monkeypatch):
    async def body(rt):
        machine = Toy()
        monkeypatch.setattr(Toy, "close", Toy.fail)
        with pytest.raises(BaseExceptionGroup) as caught:
            async with rt.opened(rt.adapter.open_driver(machine)):
                raise KeyError("mine")
        assert caught.group_contains(KeyError, match="mine")
        assert caught.group_contains(RuntimeError, match="a defect")

    rt.run(lambda rt: rt.leaves_nothing(lambda: body(rt)))


def test_a_driver_is_entered_once_and_used_inside(rt):
    async def body(rt):
        machine = Toy()
        driver = rt.driver(machine, lambda event: None)
        with pytest.raises(LocalProtocolError, match="with"):
            driver.call(machine.open, 1)
        async with rt.opened(driver):
            pass
        with pytest.raises(LocalProtocolError, match="second time"):
            async with rt.opened(driver):
                pass

    rt.run(lambda rt: rt.leaves_nothing(lambda: body(rt)))


def test_a_machine_that_cannot_start_leaves_nothing(rt, monkeypatch):
    def refuse(self, unix, *, now):
        raise RuntimeError("not today")

    async def body(rt):
        monkeypatch.setattr(Toy, "handle_wall_clock", refuse)
        with pytest.raises(RuntimeError, match="not today"):
            async with rt.opened(rt.adapter.open_driver(Toy())):
                pass

    rt.run(lambda rt: rt.leaves_nothing(lambda: body(rt)))


# ---------------------------------------------------------------- events


def test_events_wait_for_their_reader_and_data_is_bounded(rt):
    class Other(Event):
        pass

    async def body(rt):
        events = rt.adapter.EventQueue((Told,), 2)
        kept = Other()
        for event in (Told((1,)), kept, Told((2,)), Told((3,))):
            events.put(event)
        events.close()
        assert [event async for event in rt.each(events)] == [kept, Told((2,)), Told((3,))]
        assert events.dropped == 1

    rt.run(body)


def test_a_reader_that_gives_up_loses_no_event(rt):
    async def body(rt):
        events = rt.adapter.EventQueue()
        with pytest.raises(TimeoutError):
            await rt.within(0.01, events.get)
        events.put(Told((1,)))
        assert await rt.call(events.get()) == Told((1,))

    rt.run(body)


def test_every_event_goes_to_one_of_several_readers(rt):
    async def body(rt):
        events = rt.adapter.EventQueue()

        async def read():
            return [event.what async for event in rt.each(events)]

        async def write():
            for n in range(6):
                events.put(Told((n,)))
                await rt.sleep(0.001)
            events.close()

        read_by = await rt.together(read, read, write)
        assert sorted(what for one in read_by[:2] for what in one) == [(n,) for n in range(6)]

    rt.run(body)
