"""Many drivers in one trio run: what one of them does, or has done to it, is no business of the others."""

import contextlib
import contextvars
import math
import os
import resource
import select
import signal
import socket
import threading

import pytest
import trio
from attrs import frozen

from adapters.conftest import HANG, RealSockets, open_files
from sansice import Address, Event, Machine, OpenSocket, QueryId, RecordKind, Resolve, SendDatagram, SocketId, Transport
from sansice.driver import clock
from sansice_trio import EventQueue, TrioDriver, _reactor, open_driver

LOOPBACK = Address("127.0.0.1", 0)


@frozen
class Opened(Event):
    local: Address


@frozen
class Heard(Event):
    data: bytes


@frozen
class Fired(Event):
    at: float


class Toy(Machine):
    """Opens a socket, tells what it hears and when its timer fired, answers `ping`, and fails when it hears `defect`."""

    def __init__(self):
        super().__init__()
        self._deadline = math.inf
        self.closed = 0

    def open(self, *, now):
        self._outputs.append(OpenSocket(SocketId(1), Transport.UDP, LOOPBACK))

    def send(self, data, to, *, now):
        self._outputs.append(SendDatagram(SocketId(1), to, data))

    def set_deadline(self, deadline, *, now):
        self._deadline = deadline

    def close(self, *, now):
        self.closed += 1

    def handle_socket_opened(self, socket, local, *, now):
        self._outputs.append(Opened(local))

    def handle_datagrams(self, socket, batch, *, now):
        for source, data in batch:
            if data == b"defect":
                raise RuntimeError("a defect")
            if data == b"ping":
                self._outputs.append(SendDatagram(socket, source, data))
            self._outputs.append(Heard(data))

    def handle_timer(self, *, now):
        if now >= self._deadline:
            self._deadline = math.inf
            self._outputs.append(Fired(now))

    def deadline(self):
        return self._deadline


class Crowd:
    """Many open drivers, each in a task of its own."""

    def __init__(self, nursery):
        self.nursery = nursery
        self.drivers = {}
        self.events = {}
        self.locals = {}
        self.errors = {}
        self.scopes = {}

    async def add(self, *numbers, deliver=None):
        for number in numbers:
            await self.nursery.start(self._run, number, deliver)

    async def _run(self, number, deliver, *, task_status=trio.TASK_STATUS_IGNORED):
        machine, self.events[number] = Toy(), EventQueue()

        def put(event):
            if deliver is not None:
                deliver(event)
            self.events[number].put(event)

        with trio.CancelScope() as self.scopes[number]:
            try:
                async with TrioDriver(machine, put) as driver:
                    driver.call(machine.open)
                    self.locals[number] = (await anext(self.events[number])).local
                    self.drivers[number] = driver
                    task_status.started()
                    await trio.sleep_forever()
            except BaseExceptionGroup as group:
                cancelled, failure = group.split(trio.Cancelled)
                if failure is not None:
                    self.errors[number] = failure
                if cancelled is not None:
                    raise cancelled from None

    def set_deadline(self, number, deadline):
        driver = self.drivers[number]
        driver.call(driver.driver.machine.set_deadline, deadline)

    async def heard(self, number):
        return await anext(self.events[number])

    def tell(self, data):
        """Send to each driver by its number, at once: nobody reads in between."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            for number, one in data.items():
                sock.sendto(one, self.locals[number])

    def leave(self):
        self.nursery.cancel_scope.cancel()


@contextlib.asynccontextmanager
async def a_crowd(*numbers, deliver=None):
    with trio.fail_after(HANG):
        async with trio.open_nursery() as nursery:
            crowd = Crowd(nursery)
            await crowd.add(*numbers, deliver=deliver)
            yield crowd
            crowd.leave()


def reactors():
    """The tasks that read, as trio has them."""
    tasks, found = [trio.lowlevel.current_root_task()], []
    while tasks:
        task = tasks.pop()
        found += [task] if task.name == "sansice reactor" else []
        tasks += [child for nursery in task.child_nurseries for child in nursery.child_tasks]
    return found


def is_forgotten():
    return _reactor._REAL.get(None) is None and _reactor._OF_TEST.get(None) is None


# ---------------------------------------------------------------- one task


async def test_a_hundred_drivers_are_read_by_one_task(sockets, peer, nothing_left):
    with nothing_left():
        async with a_crowd(*range(100)) as crowd:
            assert len(reactors()) == 1
            for number in range(100):
                await peer.sendto(b"%d" % number, crowd.locals[number])
            assert [await crowd.heard(number) for number in range(100)] == [Heard(b"%d" % number) for number in range(100)]


async def test_the_task_is_there_while_a_driver_is_and_then_nothing_is_left(sockets, nothing_left):
    for _ in range(3):
        with nothing_left():
            assert is_forgotten()
            async with open_driver(Toy()):
                async with open_driver(Toy()):
                    assert len(reactors()) == 1
                assert len(reactors()) == 1
            assert reactors() == []
            assert is_forgotten()


async def test_a_driver_that_opens_while_the_last_one_leaves_is_served(nothing_left, peer):
    async def come_and_go(started, left):
        async with open_driver(Toy()):
            started.set()
            await left.wait()

    async def come():
        machine = Toy()
        async with open_driver(machine) as (driver, events):
            driver.call(machine.open)
            await peer.sendto(b"x", (await anext(events)).local)
            assert await anext(events) == Heard(b"x")

    with nothing_left(), trio.fail_after(HANG):
        for _ in range(20):  # trio runs the tasks that wake together in random order
            started, left = trio.Event(), trio.Event()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(come_and_go, started, left)
                await started.wait()
                left.set()
                nursery.start_soon(come)


async def test_without_epoll_timers_fire_all_the_same(monkeypatch, autojump_clock, nothing_left):
    monkeypatch.delattr(select, "epoll")
    trio.socket.set_custom_socket_factory(RealSockets())
    with nothing_left():
        machine = Toy()
        async with open_driver(machine) as (driver, events):
            start = trio.current_time()
            driver.call(machine.set_deadline, start + 5)
            assert await anext(events) == Fired(start + 5)


async def test_a_driver_that_cannot_be_waited_for_is_refused_and_changes_nothing_for_others(nothing_left, peer):
    with nothing_left():
        reactor = _reactor.Reactor.of_run(clock)
        with pytest.raises(OSError, match="Bad file descriptor"):
            reactor.join(None, 2**20)
        assert is_forgotten()
        async with a_crowd(1) as crowd:
            with pytest.raises(OSError, match="Bad file descriptor"):
                _reactor.Reactor.of_run(clock).join(None, 2**20)
            await peer.sendto(b"x", crowd.locals[1])
            assert await crowd.heard(1) == Heard(b"x")
        await reactor.ended()


async def test_drivers_that_have_no_descriptor_to_be_opened_leave_nothing(nothing_left):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for spare in (0, 1):  # for the driver's own epoll, and for the one they share
        with nothing_left():
            free = os.dup(0)
            os.close(free)
            resource.setrlimit(resource.RLIMIT_NOFILE, (free + spare, hard))
            try:
                with pytest.raises(OSError, match="Too many open files"):
                    async with open_driver(Toy()):
                        raise AssertionError("never entered")
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            assert is_forgotten()


# ---------------------------------------------------------------- failures stay where they are


async def test_of_two_hundred_drivers_the_one_that_raises_ends_alone(sockets):
    async with a_crowd(*range(200)) as crowd:
        crowd.tell({number: b"defect" if number == 100 else b"x" for number in range(200)})
        for number in set(range(200)) - {100}:
            assert await crowd.heard(number) == Heard(b"x")
        await trio.testing.wait_all_tasks_blocked()
        assert list(crowd.errors) == [100]
        assert crowd.errors[100].subgroup(RuntimeError) is not None
        assert crowd.drivers[100].driver.machine.closed == 1
        crowd.tell(dict.fromkeys(set(range(200)) - {100}, b"y"))  # and they live on
        for number in set(range(200)) - {100}:
            assert await crowd.heard(number) == Heard(b"y")


async def test_of_two_hundred_timers_that_fire_at_once_the_one_that_raises_is_alone(autojump_clock, sockets):
    async with a_crowd(*range(200)) as crowd:
        start = trio.current_time()
        crowd.drivers[100].driver.machine.handle_timer = None  # which cannot be called
        for number in range(200):
            crowd.set_deadline(number, start + 1)
        for number in set(range(200)) - {100}:
            assert await crowd.heard(number) == Fired(start + 1)
        assert list(crowd.errors) == [100]


@pytest.mark.parametrize("error", [RuntimeError("a defect"), SystemExit(3), KeyboardInterrupt()])
async def test_whatever_deliver_raises_comes_out_of_its_own_block(error, peer, sockets):
    def fail(event):
        if isinstance(event, Heard):
            raise error

    async with a_crowd(1) as crowd:
        await crowd.add(2, deliver=fail)
        await peer.sendto(b"x", crowd.locals[2])
        await peer.sendto(b"x", crowd.locals[1])
        assert await crowd.heard(1) == Heard(b"x")
        await trio.testing.wait_all_tasks_blocked()
        assert list(crowd.errors) == [2]
        assert crowd.errors[2].exceptions == (error,)


async def test_a_machine_that_has_failed_is_fed_nothing_more(autojump_clock, peer):
    machine, heard = Toy(), []

    async def run():
        async with open_driver(Toy()), TrioDriver(machine, heard.append) as driver:
            driver.call(machine.open)
            await peer.sendto(b"defect", heard[0].local)
            try:
                await trio.sleep_forever()
            finally:
                with trio.CancelScope(shield=True):
                    driver.call(machine.set_deadline, trio.current_time() + 1)
                    await peer.sendto(b"x", heard[0].local)
                    await trio.sleep(5)  # for which all tasks must be idle

    with pytest.raises(ExceptionGroup):
        await run()
    assert len(heard) == 1


async def test_a_machine_that_fails_at_an_answer_is_fed_nothing_more(peer):
    machine, heard = Toy(), []

    async def run():
        async with TrioDriver(machine, heard.append) as driver:
            driver.call(machine.open)
            machine.handle_resolved = None
            driver.call(lambda *, now: machine._outputs.append(Resolve(QueryId(1), "127.0.0.1", RecordKind.A)))
            try:
                await trio.sleep_forever()
            finally:
                with trio.CancelScope(shield=True):
                    await peer.sendto(b"x", heard[0].local)
                    await trio.testing.wait_all_tasks_blocked()

    with pytest.raises(ExceptionGroup) as caught:
        await run()
    assert caught.group_contains(TypeError)
    assert len(heard) == 1


# ---------------------------------------------------------------- coming and going in the middle of a turn


@pytest.mark.parametrize("by", [Heard, Fired])
async def test_a_driver_that_is_ended_by_anothers_callback_hears_nothing_more(by, autojump_clock):
    def end_the_rest(event):
        if isinstance(event, by):
            for number in range(1, 100):
                crowd.drivers[number]._fail(RuntimeError("ended by another"))

    async with a_crowd(deliver=None) as crowd:
        await crowd.add(0, deliver=end_the_rest)
        await crowd.add(*range(1, 101))
        start = trio.current_time()
        if by is Heard:
            crowd.tell(dict.fromkeys(range(101), b"x"))
        else:
            for number in range(101):
                crowd.set_deadline(number, start + 1)
        assert type(await crowd.heard(0)) is by
        assert type(await crowd.heard(100)) is by
        await trio.testing.wait_all_tasks_blocked()
        assert sorted(crowd.errors) == list(range(1, 100))
        assert all(isinstance(error.exceptions[0], RuntimeError) for error in crowd.errors.values())
        assert not any(crowd.events[number]._events for number in range(1, 100))


async def test_a_block_that_is_left_because_of_anothers_callback_is_left_as_ever(peer):
    def cancel_the_others(event):
        if isinstance(event, Heard):
            for number in range(1, 50):
                crowd.scopes[number].cancel()

    async with a_crowd() as crowd:
        await crowd.add(0, deliver=cancel_the_others)
        await crowd.add(*range(1, 51))
        crowd.tell(dict.fromkeys(range(51), b"x"))
        assert await crowd.heard(0) == Heard(b"x")
        assert await crowd.heard(50) == Heard(b"x")
        await trio.testing.wait_all_tasks_blocked()
        assert all(crowd.drivers[number].driver.machine.closed for number in range(1, 50))
        assert crowd.errors == {}
        await peer.sendto(b"y", crowd.locals[50])
        assert await crowd.heard(50) == Heard(b"y")


async def test_a_driver_that_looks_from_anothers_callback_and_fails_ends_alone():
    def look_at_the_other(event):
        if isinstance(event, Heard):
            crowd.drivers[2].look()

    async with a_crowd() as crowd:
        await crowd.add(1, deliver=look_at_the_other)
        await crowd.add(2)
        crowd.tell({1: b"x", 2: b"defect"})
        assert await crowd.heard(1) == Heard(b"x")
        await trio.testing.wait_all_tasks_blocked()
        assert list(crowd.errors) == [2]


async def test_drivers_that_are_opened_in_the_middle_of_a_turn_are_served():
    def open_another(event):
        if isinstance(event, Heard):
            number = 100 + len(crowd.events)
            crowd.nursery.start_soon(crowd.add, number)

    async with a_crowd(*range(100)) as crowd:
        await crowd.add(100, deliver=open_another)
        for round_ in range(10):
            there = list(crowd.locals)
            crowd.tell(dict.fromkeys(there, b"%d" % round_))
            for number in there:
                assert await crowd.heard(number) == Heard(b"%d" % round_)
            await trio.testing.wait_all_tasks_blocked()
            assert len(crowd.locals) == 102 + round_


async def test_a_cancelled_holder_takes_nobody_with_it(autojump_clock, sockets, peer):
    async with a_crowd(*range(10)) as crowd:
        crowd.scopes[0].cancel()  # who was the first, and is the reason that there is a task
        await trio.testing.wait_all_tasks_blocked()
        start = trio.current_time()
        for number in range(1, 10):
            crowd.set_deadline(number, start + number)
        for number in range(1, 10):
            assert await crowd.heard(number) == Fired(start + number)


# ---------------------------------------------------------------- time


async def test_timers_of_many_drivers_fire_exactly_and_in_the_order_of_their_deadlines(autojump_clock, sockets):
    fired = []
    async with a_crowd(*range(100), deliver=fired.append) as crowd:
        fired.clear()
        start = trio.current_time()
        for number in range(100):
            crowd.set_deadline(number, start + (1 + number * 37 % 100) / 8)
        await trio.sleep(15)
        assert fired == [Fired(start + (1 + number) / 8) for number in range(100)]


async def test_a_deadline_that_another_moves_as_it_fires_is_met_when_it_was_moved_to(autojump_clock, sockets):
    def move(event):
        if isinstance(event, Fired):
            crowd.set_deadline(2, start + 3)

    async with a_crowd() as crowd:
        start = trio.current_time()
        await crowd.add(1, deliver=move)
        await crowd.add(2)
        crowd.set_deadline(1, start + 1)
        crowd.set_deadline(2, start + 1)
        assert await crowd.heard(2) == Fired(start + 3)


async def test_a_deadline_that_is_armed_as_another_fires_is_not_lost(autojump_clock, sockets):
    def arm(event):
        if isinstance(event, Fired) and event.at < start + 10:
            crowd.set_deadline(2, event.at + 0.25)
            crowd.set_deadline(1, event.at + 0.5)

    async with a_crowd() as crowd:
        start = trio.current_time()
        await crowd.add(1, deliver=arm)
        await crowd.add(2)
        crowd.set_deadline(1, start + 1)
        for step in range(18):
            assert await crowd.heard(2) == Fired(start + 1.25 + step / 2)


async def test_a_deadline_that_a_datagram_puts_off_in_the_tick_in_which_it_passes_is_met_when_it_was_put_off_to(autojump_clock):
    autojump_clock.autojump_threshold = math.inf

    def put_off(event):
        if isinstance(event, Heard):
            crowd.set_deadline(1, start + 10)

    async with a_crowd() as crowd:
        start = trio.current_time()
        await crowd.add(1, deliver=put_off)
        crowd.set_deadline(1, start + 1)
        await trio.testing.wait_all_tasks_blocked()
        crowd.tell({1: b"x"})
        autojump_clock.jump(1)  # trio finds the datagram first, and then the deadline that has passed
        assert await crowd.heard(1) == Heard(b"x")
        for _ in range(9):
            await trio.testing.wait_all_tasks_blocked()
            assert not crowd.events[1]._events
            autojump_clock.jump(1)
        assert await crowd.heard(1) == Fired(start + 10)


async def test_after_a_jump_of_the_clock_every_timer_that_is_due_fires(autojump_clock, sockets):
    autojump_clock.autojump_threshold = math.inf
    async with a_crowd(*range(100)) as crowd:
        start = trio.current_time()
        for number in range(100):
            crowd.set_deadline(number, start + (1 + number) / 8)
        autojump_clock.jump(15)
        for number in range(100):
            assert await crowd.heard(number) == Fired(start + 15)


class Woken:
    """What the reactor sees of a driver without sockets."""

    def __init__(self):
        self.at = []
        self.fired = trio.Event()
        self._context = contextvars.copy_context()

    def _fire(self, fired):
        self.at.append(fired)
        self.fired.set()


@contextlib.asynccontextmanager
async def a_reactor(now, *woken):
    reactor = _reactor.Reactor.of_run(now)
    for one in woken:
        one._place = reactor.join(one, None)
    yield reactor
    for one in woken:
        reactor.leave(one)
    await reactor.ended()


async def test_the_boot_clock_that_has_jumped_is_believed_at_the_next_wake():
    slept = [0.0]

    def now():
        return trio.current_time() + slept[0]

    soon, late = Woken(), Woken()
    start = now()
    async with a_reactor(now, soon, late) as reactor:
        reactor.wake(soon, start + 0.001)
        reactor.wake(late, start + 3600)
        slept[0] = 7200.0
        with trio.fail_after(HANG):
            await late.fired.wait()
    assert late.at == soon.at
    assert soon.at[0] >= start + 7200


async def test_a_clock_that_is_behind_trios_is_taken_to_show_the_deadline_that_trio_says_has_passed(autojump_clock):
    one = Woken()
    async with a_reactor(lambda: 5.0, one) as reactor:
        reactor.wake(one, 7.0)
        await one.fired.wait()
    assert one.at == [7.0]


async def test_a_driver_that_has_left_has_no_timer_any_more(sockets):
    machine = Toy()
    async with open_driver(Toy()):
        async with open_driver(machine) as (driver, _):
            driver.call(machine.set_deadline, driver.now() + 3600)
            assert len(_reactor._REAL.get()._timers) == 1
        assert len(_reactor._REAL.get()._timers) == 0


async def test_a_deadline_that_is_put_off_far_wakes_nobody_for_nothing(autojump_clock, peer, sockets):
    steps = []

    class Steps(trio.abc.Instrument):
        def before_task_step(self, task):
            if task.name == "sansice reactor":
                steps.append(trio.current_time())

    machines = Toy(), Toy()
    async with open_driver(machines[0]) as (one, events), open_driver(machines[1]) as (other, _):
        start = trio.current_time()
        one.call(machines[0].set_deadline, start + 1)
        other.call(machines[1].set_deadline, start + 30)
        one.call(machines[0].set_deadline, start + 20)
        one.call(machines[0].open)
        await peer.sendto(b"x", (await anext(events)).local)
        assert await anext(events) == Heard(b"x")
        await trio.testing.wait_all_tasks_blocked()
        trio.lowlevel.add_instrument(Steps())
        await trio.sleep(25)
    assert {step for step in steps if step < start + 25} == {start + (20 if sockets == "epoll" else 1), start + 20}


# ---------------------------------------------------------------- fairness


async def test_who_has_a_deadline_that_is_always_past_starves_nobody():
    class Mad(Toy):
        times = 0

        def handle_timer(self, *, now):
            self.times += 1

        def deadline(self):
            return -math.inf

    machine = Mad()
    async with a_crowd(*range(80)) as crowd:
        async with open_driver(machine) as (driver, _):
            crowd.tell(dict.fromkeys(range(80), b"x"))
            for number in range(80):
                crowd.set_deadline(number, driver.now() + 0.001)
            for number in range(80):
                assert {type(await crowd.heard(number)) for _ in range(2)} == {Heard, Fired}
        assert machine.times > 1
        assert crowd.errors == {}


async def test_who_always_has_something_to_read_starves_nobody(peer):
    async with a_crowd(*range(130)) as crowd:
        for number in range(0, 128, 2):  # each the other's, and more than one turn is for
            one, other = crowd.drivers[number], crowd.locals[number + 1]
            one.call(one.driver.machine.send, b"ping", other)
        for number in range(128):
            for _ in range(5):
                assert await crowd.heard(number) == Heard(b"ping")
        await peer.sendto(b"x", crowd.locals[128])
        crowd.set_deadline(129, crowd.drivers[129].now() + 0.001)
        assert await crowd.heard(128) == Heard(b"x")
        assert type(await crowd.heard(129)) is Fired


# ---------------------------------------------------------------- whose context, whose run


async def test_callbacks_find_the_context_variables_of_who_opened_the_driver(peer, sockets):
    whose = contextvars.ContextVar("whose")
    found = []

    async def hold(number, *, task_status=trio.TASK_STATUS_IGNORED):
        whose.set(number)
        await crowd.add(number, deliver=lambda event: found.append(whose.get()))
        task_status.started()

    async with a_crowd() as crowd:
        for number in (1, 2):
            await crowd.nursery.start(hold, number)
        found.clear()
        for number in (1, 2):
            await peer.sendto(b"x", crowd.locals[number])
            assert await crowd.heard(number) == Heard(b"x")
            crowd.set_deadline(number, crowd.drivers[number].now())
            assert type(await crowd.heard(number)) is Fired
    assert found == [1, 1, 2, 2]


def test_runs_in_several_threads_have_a_task_each():
    together, failures = threading.Barrier(4), []

    async def talk():
        with trio.fail_after(HANG), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
            async with a_crowd(*range(10)) as crowd:
                await trio.to_thread.run_sync(together.wait)
                assert len(reactors()) == 1
                for round_ in range(20):
                    for number in range(10):
                        peer.sendto(b"%d" % round_, crowd.locals[number])
                        assert await crowd.heard(number) == Heard(b"%d" % round_)
            assert is_forgotten()

    def run():
        try:
            trio.run(talk)
        except BaseException as error:
            failures.append(error)
            together.abort()

    before = open_files()
    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(HANG)
    assert failures == []
    assert open_files() == before


def test_drivers_run_in_a_guest_of_another_loop():
    todo, more, outcome = [], threading.Condition(), []

    def later(function):
        with more:
            todo.append(function)
            more.notify()

    async def talk():
        async with a_crowd(1, 2) as crowd:
            driver = crowd.drivers[1]
            driver.call(driver.driver.machine.send, b"ping", crowd.locals[2])
            crowd.set_deadline(2, driver.now() + 0.01)
            assert await crowd.heard(1) == Heard(b"ping")
            assert {type(await crowd.heard(2)) for _ in range(2)} <= {Heard, Fired}
        return is_forgotten()

    trio.lowlevel.start_guest_run(talk, run_sync_soon_threadsafe=later, done_callback=outcome.append)
    while not outcome:
        with more:
            assert more.wait_for(lambda: todo, HANG)
            function = todo.pop(0)
        function()
    assert outcome[0].unwrap()


@pytest.fixture
def interruptible():
    """Whoever starts the tests in the background may have them ignore SIGINT, and trio leaves that as it is."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_lets_the_step_end_and_the_blocks_be_left():
    left = []

    def interrupt(event):
        if isinstance(event, Heard):
            signal.raise_signal(signal.SIGINT)
            left.append("step")

    async def main():
        async with a_crowd(1) as crowd:
            await crowd.add(2, deliver=interrupt)
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
                peer.sendto(b"x", crowd.locals[2])
            try:
                await trio.sleep_forever()
            finally:
                left.extend(driver.driver.machine for driver in crowd.drivers.values())

    before = open_files()
    with pytest.raises(BaseExceptionGroup) as caught:
        trio.run(main)
    assert caught.value.subgroup(KeyboardInterrupt) is not None
    assert left.pop(0) == "step"
    assert [machine.closed for machine in left] == [1, 1]
    assert open_files() == before


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_while_a_driver_opens_is_told_to_its_block():
    class Slow(Toy):
        def handle_wall_clock(self, unix, *, now):
            signal.raise_signal(signal.SIGINT)
            entered.append("started")

    machine, entered = Slow(), []

    async def main():
        async with open_driver(machine):
            entered.append("entered")
            await trio.sleep_forever()

    before = open_files()
    with pytest.raises(BaseExceptionGroup) as caught:
        trio.run(main)
    assert caught.value.subgroup(KeyboardInterrupt) is not None
    assert entered == ["started", "entered"]
    assert machine.closed == 1
    assert open_files() == before


def test_a_driver_of_a_system_task_ends_with_the_run_however_it_is_shielded():
    machine, ended = Toy(), []

    async def system(started):
        with trio.CancelScope(shield=True):
            async with TrioDriver(machine, print):
                started.set()
                await trio.sleep_forever()
            ended.append(machine.closed)

    async def main():
        started = trio.Event()
        trio.lowlevel.spawn_system_task(system, started)
        await started.wait()

    before = open_files()
    trio.run(main)
    assert ended == [1]
    assert open_files() == before


def test_a_driver_that_is_opened_when_the_run_is_over_is_refused_and_leaves_nothing():
    refused, generators = [], []

    async def generate():
        try:
            yield
        finally:
            with pytest.raises(RuntimeError, match="closed to new arrivals"):
                await TrioDriver(Toy(), print).__aenter__()
            refused.append(is_forgotten())

    async def main():
        generators.append(generate())
        await anext(generators[0])

    before = open_files()
    trio.run(main)
    assert refused == [True]
    assert open_files() == before
