"""A crowd on one mux: clients that move, restart, leave and come back at random, among strangers who forge what they can.

The world is as small as the question: one server address, and for each client the one address that its NAT has given to it. Of
each datagram it is known who has sent it, from where, and who was last proven to be there, by an answer that the mux has sent to
that address. So a packet is *misrouted* when it reaches an agent although the mux had better proof; *withheld* when it reaches
none although its agent is connected and its sender was proven to be there; *declined* when that agent did not want it, for it has
restarted since; and *ambiguous* when a NAT has given the address to another client, who has sent data before any check: nobody
could know. *Insiders* are clients that send checks of their own under the address of another, whose agent uses it.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import attrs

from sansice._timers import Timers
from sansice.ice import AgentEvent, AgentId, DataReceived, IceAgent, IceMux, IceState, IceStateChanged, LiteAgent, UnknownUfrag
from sansice.ice._binding import encode_check
from sansice.ice._role import IceRole
from sansice.machine import Address, OpenSocket, SendDatagram, SocketId
from sansice.stun import TransactionId, is_stun, short_term_key

PORT = Address("192.0.2.1", 3478)
LATENCY = (0.005, 0.05)  # seconds one way
LOSS = 0.01
DATA_EVERY = 10.0  # seconds between a client's datagrams, on average
MISHAP_EVERY = 120.0  # seconds between what befalls one client, on average
FORGED_EVERY = 0.5  # seconds between what strangers send
INSIDERS = 0.25  # of these: from clients, who have a password, under the address of another
KEPT = 30.0  # seconds for which a NAT gives the port of a client that has moved to nobody else (RFC 4787 4.3 asks for 120)
AGAIN = 1.0  # seconds until an application that was told of a failure restarts both ends
_MUX = 0  # the timer of the mux; a client has that of its number
_GOOD = (IceState.CONNECTED, IceState.COMPLETED)
_SUCCESS, _REQUEST = b"\x01\x01", b"\x00\x01"


@attrs.define(eq=False)
class Client:
    """A client, its address of the moment, and the name of its agent on the mux. One that comes back is another one."""

    number: int
    agent: IceAgent
    name: AgentId
    outside: Address
    socket: SocketId | None = None
    is_gone: bool = False
    is_restarting: bool = False


class Crowd:
    """A mux with ``count`` clients, each with an agent of its own there, every second one a lite one.

    Attributes:
        now: virtual seconds.
        tally: what has happened, by its name.
    """

    def __init__(self, count: int, seed: int) -> None:
        self.now = 0.0
        self.tally: Counter[str] = Counter()
        self._draw = random.Random(seed)
        self._mux = IceMux()
        self._timers: Timers[int] = Timers()
        self._events: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._order = itertools.count()
        self._numbers = itertools.count(1)
        self._clients: dict[int, Client] = {}
        self._by_name: dict[AgentId, Client] = {}
        self._places: dict[Address, Client] = {}  # who has an address now
        self._vacant: list[Address] = []  # those that somebody has had, and whose NAT has forgotten him
        self._fresh = itertools.count()
        self._asked: dict[bytes, Client] = {}  # who has sent a check
        self._proven: dict[Address, Client] = {}
        self._claimed: dict[Address, AgentId] = {}  # by whom, who was not there
        self._said: dict[int, tuple[Client, Address]] = {}  # who has sent a datagram, and from where
        self._words = itertools.count()
        self._mux.start([PORT], now=0.0)
        [self._socket] = [one.socket for one in self._mux.take_outputs() if isinstance(one, OpenSocket)]
        self._mux.handle_socket_opened(self._socket, PORT, now=0.0)
        for index in range(count):
            self._at(self._draw.uniform(0.0, 5.0), self._join, index % 2 == 0)
        self._at(FORGED_EVERY, self._forge)

    def run(self, until: float) -> None:
        """Let time pass."""
        while True:
            timer = self._timers.deadline()
            event = self._events[0][0] if self._events else until
            if min(timer, event) >= until:
                self.now = until
                return
            self.now = max(self.now, min(timer, event))
            if event <= timer:
                _, _, function, arguments = heapq.heappop(self._events)
                function(*arguments)
            else:
                key = self._timers.pop_due(self.now)
                if key == _MUX:
                    self._mux.handle_timer(now=self.now)
                    self._drain_mux()
                elif key is not None:
                    client = self._clients[key]
                    client.agent.handle_timer(now=self.now)
                    self._drain(client)

    @property
    def connected(self) -> int:
        """How many clients are, at both ends."""
        return sum(one.agent.state in _GOOD and self._mux.agent(one.name).state in _GOOD for one in self._clients.values())

    def _at(self, delay: float, function: Callable[..., None], *arguments: Any) -> None:
        heapq.heappush(self._events, (self.now + delay, next(self._order), function, arguments))

    # ------------------------------------------------------------- coming, moving, restarting, going

    def _join(self, lite: bool) -> None:
        number = next(self._numbers)
        entropy = random.Random(self._draw.random()).randbytes
        ids, pacer = self._mux.ids, self._mux.pacer
        ours = (
            LiteAgent(controlling=False, entropy=entropy, ids=ids)
            if lite
            else IceAgent(controlling=False, entropy=entropy, ids=ids, pacer=pacer)
        )
        name = self._mux.add(ours, now=self.now)
        agent = IceAgent(controlling=True, entropy=entropy)
        client = Client(number, agent, name, self._address())
        self._clients[number] = self._by_name[name] = self._places[client.outside] = client
        self._mux.gather(name, now=self.now)
        agent.gather(["10.0.0.2"], now=self.now)
        self._drain(client)
        self._tell(client)
        self._at(self._draw.expovariate(1 / DATA_EVERY), self._talk, client)
        self._at(self._draw.expovariate(1 / MISHAP_EVERY), self._befall, client)

    def _tell(self, client: Client) -> None:
        """Both ends are told of the other one."""
        theirs, ours = self._mux.agent(client.name).local_description, client.agent.local_description
        self._mux.agent(client.name).set_remote(ours, now=self.now)
        client.agent.set_remote(theirs, now=self.now)
        self._mux.absorb(client.name, now=self.now)
        self._drain(client)
        self._drain_mux()

    def _address(self) -> Address:
        """A new one, or one that somebody has had."""
        if self._vacant and self._draw.random() < 0.5:
            return self._vacant.pop(self._draw.randrange(len(self._vacant)))
        number = next(self._fresh)
        return Address(f"198.{18 + number // 0xF000}.0.{1 + number % 4}", 1024 + number % 0xF000)

    def _befall(self, client: Client) -> None:
        if client.is_gone:
            return
        self._at(self._draw.expovariate(1 / MISHAP_EVERY), self._befall, client)
        what = self._draw.choice([self._rebind, self._rebind, self._restart, self._leave])
        what(client)

    def _rebind(self, client: Client) -> None:
        """Its NAT gives it another address."""
        self.tally["rebound"] += 1
        self._vacate(client)
        client.outside = self._address()
        self._places[client.outside] = client

    def _vacate(self, client: Client) -> None:
        del self._places[client.outside]
        self._at(0.0 if client.is_gone else KEPT, self._vacant.append, client.outside)

    def _restart(self, client: Client) -> None:
        """Both ends get new credentials, the server's first."""
        client.is_restarting = False
        if client.is_gone:
            return
        self.tally["restarted"] += 1
        ours = self._mux.agent(client.name)
        ours.restart(now=self.now)
        if isinstance(ours, IceAgent):
            self._mux.gather(client.name, now=self.now)
        client.agent.restart(now=self.now)
        client.agent.gather(["10.0.0.2"], now=self.now)
        self._mux.absorb(client.name, now=self.now)
        self._drain(client)
        self._tell(client)

    def _leave(self, client: Client) -> None:
        """It goes without a word, and comes back as somebody else."""
        self.tally["left"] += 1
        client.is_gone = True
        self._mux.remove(client.name, now=self.now)
        self._drain_mux()
        self._timers.cancel(client.number)
        del self._clients[client.number], self._by_name[client.name]
        self._vacate(client)
        self._at(self._draw.expovariate(1.0), self._join, self._draw.random() < 0.5)

    # ------------------------------------------------------------- packets

    def _talk(self, client: Client) -> None:
        if client.is_gone:
            return
        self._at(self._draw.expovariate(1 / DATA_EVERY), self._talk, client)
        word = next(self._words)
        self._said[word] = client, client.outside
        if client.agent.writable:
            client.agent.send(b"\x80" + word.to_bytes(8, "big"), now=self.now)
            self._drain(client)
        if self._mux.agent(client.name).writable:
            self._mux.send(client.name, b"\x80" + client.number.to_bytes(8, "big"), now=self.now)
            self._drain_mux()

    def _forge(self) -> None:
        """From an address that belongs to somebody, or to nobody: a check for another's ufrag without its password, or for one's
        own with it.
        """
        self._at(FORGED_EVERY, self._forge)
        if not self._clients:
            return
        draw, known = self._draw, list(self._clients.values())
        victim, owner = draw.choice(known), draw.choice(known)
        source = owner.outside if draw.random() < 0.7 else Address("203.0.113.66", draw.randrange(1024, 65536))
        own = self._mux.agent(victim.name).credentials
        ufrag = own.ufrag if draw.random() < 0.8 else f"nobody{draw.randrange(10**6)}"
        used = self._mux.agent(owner.name).path_of()
        is_insider = draw.random() < INSIDERS and used is not None and used[1] == owner.outside
        check = encode_check(
            TransactionId(draw.randbytes(12)),
            username=f"{ufrag}:{victim.agent.credentials.ufrag}",
            key=short_term_key(own.pwd if is_insider else "thatIsNotThePasswordAtAll"),
            priority=1,
            role=IceRole.CONTROLLING,
            tiebreaker=1,
            use_candidate=not is_insider,  # or it would have its own data sent elsewhere
        )
        self.tally["forged"] += 1
        if is_insider:
            self._claimed[source] = victim.name
        self._arrive(source, check)

    def _carry(self, function: Callable[..., None], *arguments: Any) -> None:
        if self._draw.random() >= LOSS:
            self._at(self._draw.uniform(*LATENCY), function, *arguments)

    def _arrive(self, source: Address, data: bytes) -> None:
        self.tally["packets"] += 1
        word = -1 if is_stun(data) else int.from_bytes(data[1:9], "big")
        sender = self._said[word][0] if word in self._said else None
        known = sender is not None and not sender.is_gone and self._proven.get(source) is sender
        ours = self._mux.agent(sender.name) if known and sender is not None else None
        declined = 0 if ours is None else ours.stats.dropped.total()
        self._mux.handle_datagrams(self._socket, [(source, data)], now=self.now)
        self._drain_mux()
        if ours is not None and word in self._said and ours.state in _GOOD:
            self.tally["withheld" if ours.stats.dropped.total() == declined else "declined"] += 1

    def _deliver(self, destination: Address, data: bytes) -> None:
        self.tally["packets"] += 1
        client = self._places.get(destination)
        if client is not None and client.socket is not None:
            client.agent.handle_datagrams(client.socket, [(PORT, data)], now=self.now)
            self._drain(client)

    def _drain(self, client: Client) -> None:
        while outputs := client.agent.take_outputs():
            for output in outputs:
                if isinstance(output, SendDatagram):
                    if output.data[:2] == _REQUEST:
                        self._asked[output.data[8:20]] = client
                    self._carry(self._arrive, client.outside, output.data)
                elif isinstance(output, OpenSocket):
                    client.socket = output.socket
                    client.agent.handle_socket_opened(output.socket, Address("10.0.0.2", 5000), now=self.now)
                elif isinstance(output, DataReceived):
                    self._judge_answer(client, output.data)
                else:
                    self._notice(client, output)
        self._timers.set(client.number, client.agent.deadline())

    def _drain_mux(self) -> None:
        for output in self._mux.take_outputs():
            if isinstance(output, SendDatagram):
                if output.data[:2] == _SUCCESS and is_stun(output.data):
                    prover = self._asked.pop(output.data[8:20], None)
                    if prover is not None:
                        self._proven[output.destination] = prover
                self._carry(self._deliver, output.destination, output.data)
            elif isinstance(output, AgentEvent) and isinstance(output.event, DataReceived):
                self._judge(output.agent, output.event.data)
            elif isinstance(output, AgentEvent):
                client = self._by_name.get(output.agent)
                if client is not None:
                    self._notice(client, output.event)
            elif isinstance(output, UnknownUfrag):
                self.tally["unknown"] += 1
                self._mux.refuse(output.ufrag, now=self.now)
        self._timers.set(_MUX, self._mux.deadline())

    def _notice(self, client: Client, event: object) -> None:
        if isinstance(event, IceStateChanged) and event.new is IceState.FAILED and not client.is_restarting:
            client.is_restarting = True
            self.tally["failed"] += 1
            self._at(AGAIN, self._restart, client)

    def _judge(self, name: AgentId, data: bytes) -> None:
        sender, source = self._said.pop(int.from_bytes(data[1:9], "big"))
        if sender.name == name:
            self.tally["delivered"] += 1
        elif self._proven.get(source) is sender and (self._is_served(sender) or self._claimed.get(source) != name):
            self.tally["misrouted"] += 1
        else:
            self.tally["ambiguous"] += 1

    def _is_served(self, client: Client) -> bool:
        """Whether its agent is there and has not failed: else its address is whose check has come from there."""
        return not client.is_gone and self._mux.agent(client.name).state is not IceState.FAILED

    def _judge_answer(self, client: Client, data: bytes) -> None:
        """What comes back is sent to an address; the agent there has the last word, by the pairs that it trusts."""
        right = int.from_bytes(data[1:9], "big") == client.number
        self.tally["answers" if right else "strays"] += 1


def run_crowd(count: int, seconds: float, seed: int) -> dict[str, int]:
    """What became of a crowd."""
    crowd = Crowd(count, seed)
    crowd.run(seconds)
    names = (
        "packets",
        "delivered",
        "misrouted",
        "withheld",
        "ambiguous",
        "answers",
        "strays",
        "rebound",
        "restarted",
        "left",
        "failed",
    )
    report = {name: crowd.tally[name] for name in (*names, "forged", "unknown")}
    return {**report, "clients": count, "connected": crowd.connected}
