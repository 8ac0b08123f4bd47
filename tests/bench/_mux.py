"""Many agents on one port: what a check and a packet of data cost with ten thousand lite agents, against ten.

The packets are what a driver would hand over: new objects, in batches, each of another client than the one before.
"""

from __future__ import annotations

import asyncio
import itertools
from importlib.metadata import version
from typing import Any

import aioice
import aioice.stun

from bench._connect import Traced, aioice_on_loopback
from bench._timing import Metric, cpu_seconds, interleave
from sansice import Address, OpenSocket
from sansice.ice import (
    AgentId,
    Candidate,
    CandidateType,
    Credentials,
    Description,
    IceMux,
    IceRole,
    LiteAgent,
    candidate_priority,
)
from sansice.ice._binding import encode_check
from sansice.machine import Transport
from sansice.stun import TransactionId, short_term_key

MANY, FEW = 10_000, 10
PACKETS = 4_000  # of one round
BATCH = 32  # what a driver reads at once, at most
KEEP = 8.0  # seconds in which each client sends a check; they have 30
MEMORY_ROUNDS = 1  # Python's own count of bytes does not vary
PORT = Address("192.0.2.1", 3478)
DATA = b"\x80" + bytes(159)  # an RTP packet of 20 ms
PEER_CONNECTIONS = 10


def run(rounds: int | None = None) -> dict[str, Metric]:
    """What a server with one port for all pays.

    - `check`: processor microseconds of a consent check, answered, that comes from one of ten clients: ours with 10,000
      agents on the port, the peer's with these ten alone. Both see the same traffic, so it is the mux that makes the difference.
    - `data`: the same of a datagram of 160 bytes.
    - `check_scattered`, `data_scattered`: each packet is for another agent of the 10,000, so that the processor has nothing of it
      in its caches: mostly what memory costs.
    - `check_aioice`: a check with 10,000 agents on one port, against aioice's where each connection has a socket of its own; both
      from ten clients, and without the system's calls.
    - `memory`: bytes of a connected agent on the mux, with the mux's share, among 10,000 and among 10.
    """
    many, few = Crowd(MANY), Crowd(FEW)
    name = f"{FEW} agents"

    def compare(make: str, active: int) -> Metric:
        return interleave(
            lambda: many.microseconds(make, active),
            lambda: few.microseconds(make, FEW),
            unit="us",
            peer_name=name,
            rounds=rounds,
        )

    metrics = {
        "check": compare("checks", FEW),
        "data": compare("data", FEW),
        "check_scattered": compare("checks", MANY),
        "data_scattered": compare("data", MANY),
        "check_aioice": _against_aioice(many, rounds),
    }
    memory_rounds = min(rounds or MEMORY_ROUNDS, MEMORY_ROUNDS)
    metrics["memory"] = interleave(
        lambda: _memory(MANY), lambda: _memory(FEW), unit="bytes", peer_name=name, rounds=memory_rounds
    )
    return metrics


class Crowd:
    """A mux with lite agents, each connected with a client of its own."""

    def __init__(self, count: int) -> None:
        self.mux = IceMux()
        self.now = 0.0
        self._kept_at = 0.0
        self._transactions = itertools.count(1)
        self.mux.start([PORT], now=self.now)
        [self._socket] = [one.socket for one in self.mux.take_outputs() if isinstance(one, OpenSocket)]
        self.mux.handle_socket_opened(self._socket, PORT, now=self.now)
        self.mux.take_outputs()
        self.clients: list[tuple[AgentId, Address, Credentials, str]] = []
        for number in range(count):
            self.join(number)

    def join(self, number: int) -> None:
        """One agent more, and its client's first check."""
        mux, now = self.mux, self.now
        agent = LiteAgent(controlling=False, ids=mux.ids)
        name = mux.add(agent, now=now)
        mux.gather(name, now=now)
        remote = _client(number)
        agent.set_remote(remote, now=now)
        mux.absorb(name, now=now)
        source = remote.candidates[0].address
        assert isinstance(source, Address)
        self.clients.append((name, source, agent.credentials, remote.ufrag))
        mux.handle_datagrams(self._socket, [self._check(number)], now=now)
        mux.take_outputs()

    def _check(self, number: int) -> tuple[Address, bytes]:
        _, source, credentials, ufrag = self.clients[number]
        data = encode_check(
            TransactionId(next(self._transactions).to_bytes(12, "big")),
            username=f"{credentials.ufrag}:{ufrag}",
            key=short_term_key(credentials.pwd),
            priority=1862270975,
            role=IceRole.CONTROLLING,
            tiebreaker=number,
            use_candidate=True,
        )
        return _fresh(source), data

    def checks(self, count: int, active: int) -> list[tuple[Address, bytes]]:
        """A check of each active client in turn; those are spread over all."""
        return [self._check(number) for number in self._turns(count, active)]

    def data(self, count: int, active: int) -> list[tuple[Address, bytes]]:
        """A datagram of each active client in turn."""
        return [(_fresh(self.clients[number][1]), DATA + bytes(1)) for number in self._turns(count, active)]

    def _turns(self, count: int, active: int) -> list[int]:
        step = len(self.clients) // active
        return [number % active * step for number in range(count)]

    def microseconds(self, make: str, active: int) -> float:
        """What one packet costs."""
        self._pass_a_second()
        packets = getattr(self, make)(PACKETS, active)
        batches = [packets[start : start + BATCH] for start in range(0, len(packets), BATCH)]
        mux, socket, now = self.mux, self._socket, self.now

        told = 0

        def feed() -> None:
            nonlocal told
            for batch in batches:
                mux.handle_datagrams(socket, batch, now=now)
                told += len(mux.take_outputs())

        cost = cpu_seconds(feed)
        if told != len(packets):
            raise RuntimeError(f"of {len(packets)} packets {told} were answered or delivered")
        return 1e6 * cost / len(packets)

    def _pass_a_second(self) -> None:
        """Whoever is silent for too long has no consent any more (RFC 7675), and what he sends costs little."""
        self.now += 1.0
        self.mux.handle_timer(now=self.now)
        if self.now - self._kept_at >= KEEP:
            self._kept_at = self.now
            for number in range(len(self.clients)):
                self.mux.handle_datagrams(self._socket, [self._check(number)], now=self.now)
        self.mux.take_outputs()


def _fresh(address: Address) -> Address:
    """As it comes from the system: new objects, of which nobody has computed a hash."""
    return Address(address.host.encode().decode(), address.port)


def _client(number: int) -> Description:
    address = Address(f"198.18.{number >> 8}.{number & 255}", 40000 + number % 20000)
    host = Candidate("1", 1, Transport.UDP, candidate_priority(CandidateType.HOST, 65535, 1), address, CandidateType.HOST)
    said = Description(f"client{number}", f"passwordOfClient{number:08}", candidates=[host], options=("ice2",))
    return Description.from_json(said.to_json())


def _memory(count: int) -> float:
    Crowd(FEW)  # caches
    with Traced() as empty:
        alone = Crowd(0)
    with Traced() as traced:
        crowd = Crowd(count)
        keep = crowd.mux
        del crowd
    del alone, keep
    return (traced.bytes - empty.bytes) / count


# ------------------------------------------------------------------- aioice


class _NoSocket:
    """Takes what aioice sends, and does nothing."""

    def sendto(self, data: bytes, address: Any) -> None:
        pass


def _against_aioice(many: Crowd, rounds: int | None) -> Metric:
    loop = asyncio.new_event_loop()
    try:
        with aioice_on_loopback():
            peers = loop.run_until_complete(_connected())
        return interleave(
            lambda: many.microseconds("checks", FEW),
            lambda: loop.run_until_complete(_peer_microseconds(peers)),
            unit="us",
            peer_name=f"aioice {version('aioice')}, a socket each",
            rounds=rounds,
        )
    finally:
        loop.run_until_complete(_close(peers))
        loop.close()


async def _connected() -> list[tuple[aioice.Connection, aioice.Connection]]:
    pairs = []
    for _ in range(PEER_CONNECTIONS):
        a, b = aioice.Connection(ice_controlling=True), aioice.Connection(ice_controlling=False)
        await a.gather_candidates()
        await b.gather_candidates()
        for one, other in ((a, b), (b, a)):
            one.remote_username, one.remote_password = other.local_username, other.local_password
            for candidate in other.local_candidates:
                await one.add_remote_candidate(candidate)
            await one.add_remote_candidate(None)
        await asyncio.gather(a.connect(), b.connect())
        pairs.append((a, b))
    return pairs


async def _close(pairs: list[tuple[aioice.Connection, aioice.Connection]]) -> None:
    for pair in pairs:
        for one in pair:
            await one.close()


async def _peer_microseconds(pairs: list[tuple[aioice.Connection, aioice.Connection]]) -> float:
    """The check that a client sends, to where aioice's socket hands it over."""
    numbers = itertools.count(1)
    packets = []
    for number in range(PACKETS):
        a, b = pairs[number % len(pairs)]
        check = aioice.stun.Message(
            message_method=aioice.stun.Method.BINDING,
            message_class=aioice.stun.Class.REQUEST,
            transaction_id=next(numbers).to_bytes(12, "big"),
        )
        check.attributes["USERNAME"] = f"{b.local_username}:{a.local_username}"
        check.attributes["PRIORITY"] = 1862270975
        check.attributes["ICE-CONTROLLING"] = number
        check.attributes["USE-CANDIDATE"] = None
        check.add_message_integrity(b.local_password.encode())
        source = a.local_candidates[0]
        packets.append((b._protocols[0], bytes(check), (source.host, source.port)))
    before = [(b._protocols[0], b._protocols[0].transport) for _, b in pairs]
    for protocol, _ in before:
        protocol.transport = _NoSocket()
    try:
        return 1e6 * cpu_seconds(lambda: [one.datagram_received(data, source) for one, data, source in packets]) / len(packets)
    finally:
        for protocol, transport in before:
            protocol.transport = transport
