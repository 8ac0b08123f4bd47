"""What only threads have: time limits, commands from many threads at once, interrupts, and locks."""

import contextlib
import itertools
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

from adapters.conformance._runtimes import HANG, RUNTIMES
from sansice import (
    Address,
    Event,
    Machine,
    OpenSocket,
    QueryId,
    RecordKind,
    Resolve,
    SendDatagram,
    SocketId,
    Transport,
)
from sansice.ice import IceClosed, IceConfig, WouldBlock
from sansice_blocking import BlockingDriver, EventQueue, open_driver, open_ice, serve_stun

RT = next(runtime for runtime in RUNTIMES if runtime.name == "blocking")
LOOPBACK = Address("127.0.0.1", 0)


def on_loopback(controlling):
    return open_ice(
        controlling=controlling,
        include_loopback=True,
        interface_filter=lambda name, address: address == "127.0.0.1",
        config=IceConfig(ta=0.005),
    )


def run(body):
    """Run a plain function that leaves nothing behind."""

    async def wrapped():
        body()

    RT.run(lambda rt: rt.leaves_nothing(wrapped))


def connect(alice, bob):
    of_alice, of_bob = alice.gather(timeout=HANG), bob.gather(timeout=HANG)
    other = threading.Thread(target=bob.connect, args=(of_alice,))
    other.start()
    alice.connect(of_bob, timeout=HANG)
    other.join(HANG)


class Counted(Event):
    """A number."""

    def __init__(self, number):
        self.number = number


class Counter(Machine):
    """Counts commands; its steps must never interleave."""

    def __init__(self):
        super().__init__()
        self.count = 0
        self.inside = False

    def add(self, *, now):
        assert not self.inside
        self.inside = True
        count = self.count
        time.sleep(0)  # have another thread try
        self.count = count + 1
        self._outputs.append(Counted(self.count))
        self.inside = False

    def open(self, *, now):
        self._outputs.append(OpenSocket(SocketId(1), Transport.UDP, LOOPBACK))

    def handle_socket_opened(self, socket, local, *, now):
        self._outputs.append(Counted(local))

    def handle_datagrams(self, socket, batch, *, now):
        for _ in batch:
            self.add(now=now)


# ---------------------------------------------------------------- threads


def test_commands_of_many_threads_and_packets_never_interleave():
    def body():
        machine = Counter()
        with open_driver(machine) as (driver, events):
            driver.call(machine.open)
            local = events.get(timeout=HANG).number
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:

                def work():
                    for _ in range(50):
                        driver.call(machine.add)
                        sock.sendto(b"add", local)

                threads = [threading.Thread(target=work) for _ in range(8)]
                for thread in threads:
                    thread.start()
                numbers = [events.get(timeout=HANG).number for _ in range(800)]
                for thread in threads:
                    thread.join(HANG)
            assert numbers == list(range(1, 801))
            with driver.lock:
                assert machine.count == 800
                assert not machine.inside

    run(body)


def test_many_threads_send_and_receive_over_one_connection():
    def body():
        with on_loopback(True) as alice, on_loopback(False) as bob:
            connect(alice, bob)
            got = []

            def send(name):
                for number in range(20):
                    alice.send(b"%d-%d" % (name, number))

            def receive():
                got.extend(bob.receive(timeout=HANG) for _ in range(20))

            threads = [threading.Thread(target=send, args=(name,)) for name in range(4)]
            threads += [threading.Thread(target=receive) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(HANG)
            assert sorted(got) == sorted(b"%d-%d" % pair for pair in itertools.product(range(4), range(20)))
            with pytest.raises(WouldBlock):
                bob.receive_nowait()

    run(body)


def until_quiet(ice):
    """Have this thread told of everything that is new, and of nothing more for a moment."""
    with contextlib.suppress(TimeoutError):
        while True:
            ice.changed(timeout=0.05)


def test_a_change_between_two_waits_is_not_missed():
    def body():
        with on_loopback(True) as alice, on_loopback(False) as bob:
            connect(alice, bob)
            until_quiet(bob)
            alice.send(b"x")
            while bob.stats().datagrams_received == 0:
                time.sleep(0)
            bob.changed(timeout=HANG)  # it is over, but this thread has not been told
            others = []
            other = threading.Thread(target=lambda: others.append(bob.changed(timeout=HANG)))
            other.start()
            other.join(HANG)
            assert others == [None]  # each thread is told

    run(body)


def test_commands_that_put_a_deadline_off_do_not_wake_the_thread():
    class Patient(Counter):
        at = 0.0

        def wait(self, seconds, *, now):
            self.at = now + seconds

        def deadline(self):
            return self.at or 1e12

    class Watched(BlockingDriver):
        def _serve(self, *args):
            served.append(args)
            super()._serve(*args)

    served = []
    machine = Patient()
    with Watched(machine, lambda event: None) as driver:
        for seconds in range(1000, 2000):
            driver.call(machine.wait, seconds)
    # Once for the first of them, which is earlier than never, and once to leave; it may have been awake for neither.
    assert len(served) <= 2


# ---------------------------------------------------------------- failures


class Defect(BaseException):
    """Not even an `Exception`."""


def test_whatever_fails_in_the_thread_reaches_the_block_and_wakes_who_waits():
    class Failing(Counter):
        def handle_datagrams(self, socket, batch, *, now):
            raise Defect

    def block():
        machine = Failing()
        with open_driver(machine) as (driver, events):
            driver.call(machine.open)
            local = events.get(timeout=HANG).number
            driver.call(perform, machine, SendDatagram(SocketId(1), local, b"to myself"))
            assert events.get(timeout=HANG) is None

    def body():
        with pytest.raises(BaseExceptionGroup) as caught:
            block()
        assert caught.group_contains(Defect)

    run(body)


def perform(machine, action, *, now):
    machine._outputs.append(action)


def test_a_connection_whose_driver_failed_is_closed_for_who_waits(monkeypatch):
    def fail(self, *args, **kwargs):
        raise RuntimeError("a defect")

    def block():
        with on_loopback(True) as alice, on_loopback(False) as bob:
            connect(alice, bob)
            monkeypatch.setattr(type(bob._agent), "handle_datagrams", fail)
            alice.send(b"x")
            with pytest.raises(IceClosed):
                bob.receive(timeout=HANG)

    def body():
        with pytest.raises(ExceptionGroup) as caught:
            block()
        assert caught.group_contains(RuntimeError, match="a defect")

    run(body)


def test_a_failing_answer_of_a_look_up_reaches_the_block(monkeypatch):
    def fail(self, *args, **kwargs):
        raise RuntimeError("a defect")

    monkeypatch.setattr(Machine, "handle_resolved", fail)

    def block():
        machine = Counter()
        with open_driver(machine) as (driver, events):
            driver.call(perform, machine, Resolve(QueryId(1), "no..name", RecordKind.SRV))
            assert events.get(timeout=HANG) is None

    with pytest.raises(ExceptionGroup) as caught:
        block()
    assert caught.group_contains(RuntimeError, match="a defect")


# ---------------------------------------------------------------- interrupts and exits


def test_an_interrupt_ends_a_wait_and_leaves_the_connection_usable():
    def body():
        with on_loopback(True) as alice, on_loopback(False) as bob:
            connect(alice, bob)
            timer = threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT))
            # A shell starts what runs in its background with SIGINT ignored, and Python leaves it so.
            before = signal.signal(signal.SIGINT, signal.default_int_handler)
            try:
                timer.start()
                with pytest.raises(KeyboardInterrupt):
                    alice.receive(timeout=HANG)
            finally:
                timer.join()
                signal.signal(signal.SIGINT, before)
            bob.send(b"still here")
            assert alice.receive(timeout=HANG) == b"still here"

    run(body)


def test_an_interrupt_in_the_block_comes_out_as_it_is_and_leaves_nothing():
    def body():
        with pytest.raises(KeyboardInterrupt):
            with open_driver(Counter()):
                raise KeyboardInterrupt

    run(body)


def test_a_program_that_ends_within_a_block_is_not_held_up():
    program = (
        "import sansice_blocking as s, os, sys; s.open_ice(controlling=True, include_loopback=True).__enter__(); sys.exit(7)"
    )
    assert subprocess.run([sys.executable, "-c", program], timeout=HANG, check=False).returncode == 7


# ---------------------------------------------------------------- time limits


@pytest.mark.parametrize(
    "wait",
    [
        lambda ice: ice.receive(timeout=0.01),
        lambda ice: ice.connected(timeout=0.01),
        lambda ice: ice.receive(timeout=0),
    ],
)
def test_a_wait_has_a_time_limit_that_says_what_was_waited_for(wait):
    with on_loopback(True) as ice:
        with pytest.raises(TimeoutError, match=r"(receive|connected)\(\): not within 0"):
            wait(ice)


def test_a_queue_has_a_time_limit_and_ends():
    events = EventQueue()
    with pytest.raises(TimeoutError, match=r"no event within 0\.01 s"):
        events.get(timeout=0.01)
    events.close()
    assert events.get(timeout=0.01) is None


def test_draining_has_a_time_limit_and_goes_on():
    with serve_stun(["127.0.0.1:0"]) as service:
        with socket.create_connection(service.listening[1][1]) as slow:
            slow.sendall(b"\0\1\0")  # the beginning of a request
            while not service.stats.connections:
                time.sleep(0)
            with pytest.raises(TimeoutError):
                service.wait_closed(timeout=0.01)
            service.drain(timeout=HANG)
            service.wait_closed(timeout=0.01)


def test_a_deadline_of_a_machine_that_is_far_away_is_no_error():
    class Patient(Counter):
        def deadline(self):
            return 1e12

    def body():
        with BlockingDriver(Patient(), lambda event: None):
            pass

    run(body)
