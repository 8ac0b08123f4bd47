"""Many agents on one port and their clients: as one machine whose packets are handed over, or one by one for another's port."""

from __future__ import annotations

import itertools

from bench._timing import cpu_seconds
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

PACKETS = 4_000  # of one round
BATCH = 32  # what a driver reads at once, at most
KEEP = 8.0  # seconds in which each client sends a check; they have 30
PORT = Address("192.0.2.1", 3478)
DATA = b"\x80" + bytes(159)  # an RTP packet of 20 ms


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
        self.names: list[AgentId] = []
        for number in range(count):
            self.join(number)

    def join(self, number: int) -> None:
        """One agent more, and its client's first check."""
        self.names.append(join(self.mux, number, _address_of(number), now=self.now))
        self.mux.handle_datagrams(self._socket, [self._check(number)], now=self.now)
        self.mux.take_outputs()

    def _check(self, number: int) -> tuple[Address, bytes]:
        return _fresh(_address_of(number)), check_of(number, next(self._transactions))

    def checks(self, count: int, active: int) -> list[tuple[Address, bytes]]:
        """A check of each active client in turn; those are spread over all."""
        return [self._check(number) for number in self._turns(count, active)]

    def data(self, count: int, active: int) -> list[tuple[Address, bytes]]:
        """A datagram of each active client in turn."""
        return [(_fresh(_address_of(number)), DATA + bytes(1)) for number in self._turns(count, active)]

    def _turns(self, count: int, active: int) -> list[int]:
        step = len(self.names) // active
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
            for number in range(len(self.names)):
                self.mux.handle_datagrams(self._socket, [self._check(number)], now=self.now)
        self.mux.take_outputs()


def _fresh(address: Address) -> Address:
    """As it comes from the system: new objects, of which nobody has computed a hash."""
    return Address(address.host.encode().decode(), address.port)


def _address_of(number: int) -> Address:
    return Address(f"198.18.{number >> 8}.{number & 255}", 40000 + number % 20000)


# ------------------------------------------------------- a client and its agent


def join(mux: IceMux, number: int, address: Address, *, now: float) -> AgentId:
    """Add a lite agent whose client, of that number and address, is known."""
    agent = LiteAgent(controlling=False, credentials=_agent_of(number), ids=mux.ids)
    name = mux.add(agent, now=now)
    mux.gather(name, now=now)
    agent.set_remote(_client(number, address), now=now)
    mux.absorb(name, now=now)
    return name


def check_of(number: int, transaction: int) -> bytes:
    """The nominating check of a client to its agent."""
    agent = _agent_of(number)
    return encode_check(
        TransactionId(transaction.to_bytes(12, "big")),
        username=f"{agent.ufrag}:client{number}",
        key=short_term_key(agent.pwd),
        priority=1862270975,
        role=IceRole.CONTROLLING,
        tiebreaker=number,
        use_candidate=True,
    )


def _agent_of(number: int) -> Credentials:
    return Credentials(f"agent{number}", f"passwordOfAgent{number:09}")


def _client(number: int, address: Address) -> Description:
    host = Candidate("1", 1, Transport.UDP, candidate_priority(CandidateType.HOST, 65535, 1), address, CandidateType.HOST)
    said = Description(f"client{number}", f"passwordOfClient{number:08}", candidates=[host], options=("ice2",))
    return Description.from_json(said.to_json())
