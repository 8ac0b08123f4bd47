"""Agents of several streams and components through whatever may happen to them, in any order; what must hold after each step."""

import math
import random
from contextlib import suppress

import pytest

from ice._wire import candidate
from sansice.ice import Credentials, Description, IceAgent, IceConfig, IceState, Nomination, SessionDescription
from sansice.ice._nomination import NOMINATION
from sansice.machine import (
    Address,
    CloseSocket,
    IcmpError,
    LocalProtocolError,
    OpenSocket,
    SendDatagram,
    SocketError,
    SocketErrorKind,
)
from sansice.stun import (
    ERROR_CODE,
    ICE_CONTROLLED,
    ICE_CONTROLLING,
    PRIORITY,
    USE_CANDIDATE,
    USERNAME,
    XOR_MAPPED_ADDRESS,
    ErrorCode,
    MessageClass,
    Method,
    TransactionId,
    decode_untrusted,
    encode,
    is_stun,
    short_term_key,
)

GONE = SocketError(SocketErrorKind.OTHER, "gone")
STEPS = 250
KEPT = 60  # requests of the agent's that may still be answered


class Life:
    """One agent, and a world that does to it what the seed says."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.streams, self.components = self.random.randint(1, 2), self.random.randint(1, 2)
        self.agent = IceAgent(
            controlling=self.flip(0.5),
            streams=self.streams,
            components=self.components,
            nomination=Nomination(renominate=self.flip(0.5)),
            config=IceConfig(consent=self.flip(0.8)),
            entropy=self.random.randbytes,
        )
        self.now = 0.0
        self.open: dict[int, Address] = {}
        self.requests: list = []
        self.own: list[Credentials] = []  # of generations that are over
        self.theirs: list[Credentials | None] = [None] * self.streams
        self.past: list[Credentials] = []
        self.generations = 0
        self.do(self.agent.gather, ["192.0.2.1", "192.0.2.2"])

    def flip(self, probability: float) -> bool:
        return self.random.random() < probability

    def address(self) -> Address:
        return Address(f"198.51.100.{self.random.randint(1, 5)}", 5000 + self.random.randint(0, 2))

    def candidate(self):
        where = self.address()
        foundation, component = f"r{self.random.randint(1, 3)}", self.random.randint(1, self.components + 1)
        return candidate(where.host, where.port, foundation=foundation, component=component)

    # ------------------------------------------------------------- the driver

    def do(self, method, *args, **keywords) -> None:
        with suppress(LocalProtocolError):
            method(*args, now=self.now, **keywords)
        self.drain()

    def drain(self) -> None:
        while outputs := self.agent.take_outputs():
            for output in outputs:
                if isinstance(output, OpenSocket):
                    self.bind(output)
                elif isinstance(output, CloseSocket):
                    del self.open[output.socket]
                elif isinstance(output, SendDatagram):
                    assert output.socket in self.open
                    if is_stun(output.data):
                        self.note(output)
        del self.requests[:-KEPT]

    def bind(self, output: OpenSocket) -> None:
        if self.flip(0.9):
            self.open[output.socket] = Address(output.bind.host, 4000 + output.socket)
            self.agent.handle_socket_opened(output.socket, self.open[output.socket], now=self.now)
        else:
            self.agent.handle_socket_failed(output.socket, GONE, now=self.now)

    def note(self, output: SendDatagram) -> None:
        message = decode_untrusted(output.data)
        if message.message_class is MessageClass.REQUEST:
            self.requests.append((output, message))

    def wake(self) -> None:
        deadline = self.agent.deadline()
        if deadline < math.inf:
            self.now = max(self.now, deadline) + (self.random.choice([0.001, 0.02, 6.0, 35.0]) if self.flip(0.1) else 0.0)
            self.agent.handle_timer(now=self.now)
            self.drain()
            assert self.agent.deadline() > self.now

    def wait(self) -> None:
        self.now += self.random.choice([0.01, 0.05, 0.5, 3.0, 10.0, 40.0])

    # ------------------------------------------------------------- the application

    def describe(self) -> None:
        self.own += [stream.checker.credentials for stream in self.agent._streams]
        for index, known in enumerate(self.theirs):
            if known is None or self.flip(0.35):
                self.past += [] if known is None else [known]
                self.generations += 1
                self.theirs[index] = Credentials(f"peer{self.generations}", f"{self.generations:022}")
        options = self.random.choice([("ice2", "renomination"), ("ice2",), ()])
        lite = self.flip(0.05)
        described = [
            Description(
                one.ufrag,
                one.pwd,
                candidates=[self.candidate() for _ in range(self.random.randint(0, 4))],
                options=options,
                lite=lite,
                end_of_candidates=self.flip(0.4),
            )
            for one in self.theirs
        ]
        self.do(self.agent.set_remote, SessionDescription(described))

    def restart(self) -> None:
        self.own += [stream.checker.credentials for stream in self.agent._streams]
        self.do(self.agent.restart, stream=self.random.choice([None, *range(self.streams)]))
        if self.flip(0.5):
            self.do(self.agent.gather, ["192.0.2.1", "192.0.2.2"])

    def roam(self) -> None:
        addresses = [f"192.0.2.{number}" for number in range(1, 6) if self.flip(0.4)]
        self.do(self.agent.update_addresses, addresses)

    def trickle(self) -> None:
        index = self.random.randrange(self.streams)
        known = self.theirs[index]
        ufrag = self.random.choice([None, "other", "peer1" if known is None else known.ufrag])
        if self.flip(0.8):
            self.do(self.agent.add_remote_candidate, self.candidate(), stream=index, ufrag=ufrag)
        else:
            self.do(self.agent.end_of_candidates, stream=index, ufrag=ufrag)

    def nominate(self) -> None:
        if self.agent.pairs:
            self.do(self.agent.nominate, self.random.choice(self.agent.pairs), stream=self.random.randrange(self.streams))

    def send(self) -> None:
        place = {"stream": self.random.randrange(self.streams), "component": self.random.randint(1, self.components)}
        self.do(self.agent.send, b"\x80data", **place)

    # ------------------------------------------------------------- the network and the peer

    def answer(self) -> None:
        if not self.requests:
            return
        sent, request = self.random.choice(self.requests)
        ufrag = request.get(USERNAME).partition(":")[0]
        known = {one.ufrag: one.pwd for one in (*self.past, *filter(None, self.theirs))}
        code = self.random.choice([None] * 8 + [300, 400, 403, 487])
        mapped = self.open.get(sent.socket, sent.destination)
        if self.flip(0.2):
            mapped = Address("203.0.113.9", 60000 + self.random.randint(0, 2))
        data = encode(
            Method.BINDING,
            MessageClass.SUCCESS if code is None else MessageClass.ERROR,
            request.transaction_id,
            [(XOR_MAPPED_ADDRESS, mapped) if code is None else (ERROR_CODE, ErrorCode(code, ""))],
            key=short_term_key(known[ufrag]),
            fingerprint=True,
        )
        source = sent.destination if self.flip(0.95) else self.address()
        if sent.socket in self.open:
            self.do(self.agent.handle_datagrams, sent.socket, [(source, data)])

    def ask(self) -> None:
        if not self.open:
            return
        index = self.random.randrange(self.streams)
        own = self.agent._streams[index].checker.credentials
        if self.own and self.flip(0.15):
            own = self.random.choice(self.own[-6:])
        theirs = self.theirs[index] or Credentials("early", "e" * 22)
        if self.past and self.flip(0.1):
            theirs = self.random.choice(self.past[-4:])
        is_controlling = (self.agent.role.value == "controlled") is self.flip(0.9)
        content = [
            (USERNAME, f"{own.ufrag}:{theirs.ufrag}"),
            (PRIORITY, self.random.choice([0, 1, 1000, 2**31 - 1])),
            (ICE_CONTROLLING if is_controlling else ICE_CONTROLLED, self.random.getrandbits(64)),
        ]
        if self.flip(0.3):
            content.append((USE_CANDIDATE, None))
        if self.flip(0.15):
            content.append((NOMINATION, self.random.randint(1, 6)))
        transaction_id = TransactionId(self.random.randbytes(12))
        key = short_term_key(own.pwd)
        data = encode(Method.BINDING, MessageClass.REQUEST, transaction_id, content, key=key, fingerprint=True)
        batch = [(self.address(), data), (self.address(), b"\x80data")]
        self.do(self.agent.handle_datagrams, self.random.choice(list(self.open)), batch)

    def lose(self) -> None:
        if self.open:
            socket = self.random.choice(list(self.open))
            del self.open[socket]
            self.do(self.agent.handle_socket_failed, socket, GONE)

    def refuse(self) -> None:
        if self.open:
            self.do(self.agent.handle_icmp, self.random.choice(list(self.open)), self.address(), IcmpError(3, 3))

    # ------------------------------------------------------------- what must hold

    def check(self) -> None:
        agent = self.agent
        assert set(agent._sockets) <= set(self.open)
        for stream in agent._streams:
            for component in stream.components:
                if component.path is not None:
                    assert component.path[0] in self.open
                    assert component.checker in (stream.checker, *stream.previous)
        present = [stream.checker for stream in agent._streams]
        assert all(running.checker in present for running in agent._checks.running.values())
        assert len(agent.pairs) <= 100
        assert agent.explain()


WEIGHTS = {
    Life.wake: 25,
    Life.wait: 7,
    Life.describe: 6,
    Life.restart: 4,
    Life.roam: 3,
    Life.trickle: 5,
    Life.nominate: 1,
    Life.send: 3,
    Life.answer: 18,
    Life.ask: 20,
    Life.lose: 2,
    Life.refuse: 2,
}


@pytest.mark.parametrize("seed", range(30))
def test_whatever_happens_no_closed_socket_is_used_and_nothing_of_a_generation_that_is_over(seed):
    life = Life(seed)
    for _ in range(STEPS):
        (step,) = life.random.choices(list(WEIGHTS), weights=list(WEIGHTS.values()))
        step(life)
        life.check()
        if life.agent.state is IceState.FAILED and life.flip(0.5):
            life.do(life.agent.restart)
    life.agent.close(now=life.now)
    life.drain()
    assert life.open == {} and life.agent.deadline() == math.inf
