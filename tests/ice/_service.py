"""A service without a runtime: a driver by hand runs its reception, and its coroutines go on when they are asked to."""

import random
import types

from ice._connections import HandDriver
from ice._lite import check_bytes
from ice._mux import ALICE, client, credentials
from ice._reception import by_number
from sansice.driver import EventQueueBase
from sansice.ice import SERVICE_EVENTS, AsyncIceConnection, AsyncIceService, IceReception
from sansice.machine import Address

PLACE = Address("192.0.2.1", 5000)


class HandQueue(EventQueueBase):
    """Events that nobody waits for."""

    def _wake(self):
        pass

    def take(self):
        """All that wait."""
        return [self._take() for _ in range(len(self._events))]


class HandEvent:
    """An event; who waits for it is taken up by hand."""

    def __init__(self):
        self.is_set = False

    def set(self):
        self.is_set = True

    @types.coroutine
    def wait(self):
        while not self.is_set:
            yield self


@types.coroutine
def give_way():
    """What a runtime's checkpoint is."""
    yield "checkpoint"


class Connection(AsyncIceConnection[HandDriver]):
    """A connection of a runtime that runs nothing by itself."""

    _checkpoint = staticmethod(give_way)
    _event = HandEvent

    def __init__(self, service):
        self.service = service

    def _host_addresses(self, *, in_use=(), refresh=False):
        return self.service._hosts()


class Service(AsyncIceService[HandDriver, HandQueue, Connection]):
    """A service that listens at `PLACE`."""

    _checkpoint = staticmethod(give_way)
    _event = HandEvent

    def __init__(self, *, admit=by_number, started=True, listen=(PLACE,), **options):
        reception = IceReception(admit=admit, **{"entropy": random.Random(7).randbytes, **options})
        super().__init__(
            reception,
            lambda machine, deliver: HandDriver(machine, deliver, None),
            HandQueue(),
            HandQueue(SERVICE_EVENTS),
            (4, 4096),
        )
        if started:
            self._driver.call(reception.start, listen)

    def _connection(self, name):
        return Connection(self)

    def arrive(self, data, source=ALICE):
        """A datagram comes to the port."""
        self._driver.call(lambda *, now: self.reception.handle_datagrams(1, [(source, data)], now=now))

    def check(self, number, source=ALICE, *, nominate=True):
        """The check of a stranger that is let in."""
        self.arrive(check_bytes(number, ours=credentials(number), theirs=client(number).ufrag, use_candidate=nominate), source)


class Task:
    """A coroutine that goes on when it is asked to; checkpoints are passed."""

    def __init__(self, coroutine):
        self.coroutine = coroutine
        self.waits_for = self.result = None
        self.is_done = False
        self.go_on()

    def go_on(self):
        """Until it waits for something that has not happened."""
        while not self.is_done and (not isinstance(self.waits_for, HandEvent) or self.waits_for.is_set):
            try:
                self.waits_for = self.coroutine.send(None)
            except StopIteration as stop:
                self.is_done, self.result = True, stop.value
        return self
