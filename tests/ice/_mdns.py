"""A machine of mDNS on a bench: the test plays its driver, its links and everybody on them."""

from __future__ import annotations

import random
from typing import NamedTuple

from sansice.ice import MdnsAgent
from sansice.ice._mdns._message import A, HostRecord, MdnsMessage, Question, decode_untrusted, encode_query, encode_response
from sansice.machine import Address, CloseSocket, OpenSocket, SendDatagram

NAME = "0b5a4d2e-7c1f-4a3b-9e8d-5f6a7b8c9d0e.local"
OTHER_NAME = "1b5a4d2e-7c1f-4a3b-9e8d-5f6a7b8c9d0e.local"
OURS = "192.168.1.1"
PEER = Address("192.168.1.2", 5353)
THIRD = Address("192.168.1.3", 5353)
LEGACY = Address("192.168.1.4", 40000)
GROUP4, GROUP6 = Address("224.0.0.251", 5353), Address("ff02::fb", 5353)


class Sent(NamedTuple):
    """A message that left."""

    time: float
    socket: int
    destination: Address
    message: MdnsMessage

    @property
    def names(self) -> list[str]:
        """What it asks for, or tells."""
        if self.message.is_response:
            return [record.name for record in self.message.answers_untrusted()]
        return list(dict.fromkeys(question.name for question in self.message.questions_untrusted()))


class MdnsBench:
    """An `MdnsAgent` in a time of its own.

    Attributes:
        told: events, with the time.
        sent: messages.
        opened: what it wanted opened; done at once, but with ``opens=False``.
        closed: ids of sockets that it closed.
    """

    def __init__(self, *addresses, opens=True, seed=1, **options):
        self.agent = MdnsAgent(entropy=random.Random(seed).randbytes, **options)
        self.now = 100.0
        self.opens = opens
        self.told, self.sent, self.opened, self.closed = [], [], [], []
        if addresses:
            self.do("update_addresses", addresses)

    def do(self, command, *arguments, **keywords):
        """Run a command now."""
        result = getattr(self.agent, command)(*arguments, now=self.now, **keywords)
        self._drain()
        return result

    def tell(self, data, source=PEER, socket=1):
        """A datagram arrives."""
        self.agent.handle_datagrams(socket, [(source, data)], now=self.now)
        self._drain()

    def answer(self, name, host, *, ttl=120, flush=True, **keywords):
        """Somebody tells an address of a name."""
        self.tell(encode_response([HostRecord(name, host, ttl, flush)]), **keywords)

    def ask(self, name, type=A, *, unicast=False, known=(), source=PEER, socket=1):
        """Somebody asks for a name. Returns what is said at once."""
        before = len(self.sent)
        self.tell(encode_query([Question(name, type, unicast)], known), source, socket)
        return self.sent[before:]

    def wait(self, seconds):
        """Let time pass. Returns what was sent meanwhile."""
        before, end = len(self.sent), self.now + seconds
        while (due := self.agent.deadline()) <= end:
            self.now = due
            self.agent.handle_timer(now=due)
            self._drain()
            assert self.agent.deadline() > due
        self.now = end
        return self.sent[before:]

    def open(self, action):
        """What it wanted opened is open."""
        self.agent.handle_socket_opened(action.socket, action.bind, now=self.now)
        self._drain()

    def registered(self, address=OURS, **keywords):
        """A name of ours, whose announcements are over by a while."""
        name = self.do("register", address, **keywords)
        self.wait(5)
        return name

    @property
    def events(self):
        """What it told, without the time."""
        return [event for _, event in self.told]

    def _drain(self):
        fresh = []
        for output in self.agent.take_outputs():
            if isinstance(output, OpenSocket):
                fresh.append(output)
            elif isinstance(output, SendDatagram):
                message = decode_untrusted(output.data)
                self.sent.append(Sent(self.now, output.socket, output.destination, message))
            elif isinstance(output, CloseSocket):
                self.closed.append(output.socket)
            else:
                self.told.append((self.now, output))
        self.opened += fresh
        for action in fresh if self.opens else ():
            self.open(action)
