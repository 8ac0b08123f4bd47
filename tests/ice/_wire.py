"""An agent on a bench: the test plays its driver, its network and its peer, datagram by datagram.

`Bench` runs one `IceAgent` in a time of its own and records what it sends and says, with the time. The test
answers a check with `Bench.answer` (or does not), and sends the peer's own requests with `Bench.request`.
"""

import itertools
import math
from typing import NamedTuple

from sansice.ice import (
    Candidate,
    CandidateType,
    Credentials,
    Description,
    GatheringOptions,
    IceAgent,
    IceConfig,
    IceRole,
    Pacer,
    PairState,
    TcpType,
    candidate_priority,
)
from sansice.ice._agent._checklist import Checklist
from sansice.ice._agent._session import Session
from sansice.ice._nomination import NOMINATION, REGULAR, Nomination
from sansice.ice._pair import LocalCandidate, Pair
from sansice.machine import (
    Action,
    Address,
    CloseSocket,
    IcmpError,
    OpenSocket,
    PublishName,
    Resolve,
    SendDatagram,
    SocketId,
    Transport,
    WithdrawName,
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
    IntegrityAlgorithm,
    Message,
    MessageClass,
    Method,
    TransactionId,
    decode_untrusted,
    encode,
    is_stun,
    short_term_key,
)

OURS = Credentials("ours", "ourPasswordIsTwentyTwoLong")
THEIRS = Credentials("their", "theirPasswordIsTwentyTwoLong")
STRANGER = short_term_key("nobodyKnowsThisPassword")
ANY = object()  # "as it should be", where None is a value of its own


def at(host: str, port: int = 5000) -> Address:
    return Address(host, port)


def candidate(
    host: str,
    port: int = 5000,
    *,
    type: CandidateType = CandidateType.HOST,
    preference: int = 65535,
    priority: int | None = None,
    foundation: str = "r1",
    component: int = 1,
    transport: Transport = Transport.UDP,
    tcp_type: TcpType | None = None,
) -> Candidate:
    """A candidate of the peer's."""
    return Candidate(
        foundation=foundation,
        component=component,
        transport=transport,
        priority=candidate_priority(type, preference, component) if priority is None else priority,
        address=Address(host, port),
        type=type,
        related_address=None if type is CandidateType.HOST else Address("10.9.9.9", 9),
        tcp_type=tcp_type,
    )


class Entropy:
    """Tie-breakers as scripted, the shortest consent interval, and transaction ids that count."""

    def __init__(self, tiebreakers: tuple[int, ...]) -> None:
        self._tiebreakers = itertools.chain(tiebreakers, itertools.count(0xA000))
        self._count = itertools.count(1)

    def __call__(self, n: int) -> bytes:
        if n == 8:
            return next(self._tiebreakers).to_bytes(8, "big")
        if n == 2:
            return bytes(2)
        number = next(self._count)
        if n == 32:  # credentials: the ufrag counts, and so does the password
            return number.to_bytes(8, "big") + number.to_bytes(24, "big")
        return number.to_bytes(n, "big")


class Sent(NamedTuple):
    """A datagram of the agent's, and when it left (seconds, to the microsecond)."""

    at: float
    socket: SocketId
    destination: Address
    data: bytes

    @property
    def message(self) -> Message:
        return decode_untrusted(self.data)

    @property
    def is_request(self) -> bool:
        return is_stun(self.data) and self.message.message_class is MessageClass.REQUEST

    @property
    def path(self) -> tuple[SocketId, Address]:
        return self.socket, self.destination

    @property
    def nominates(self) -> bool:
        return USE_CANDIDATE in self.message

    @property
    def number(self) -> int | None:
        """Of a numbered nomination."""
        return self.message.get(NOMINATION)

    @property
    def role(self) -> str:
        message = self.message
        assert (ICE_CONTROLLING in message) != (ICE_CONTROLLED in message)
        return "controlling" if ICE_CONTROLLING in message else "controlled"

    @property
    def tiebreaker(self) -> int | None:
        return self.message.get(ICE_CONTROLLING if self.role == "controlling" else ICE_CONTROLLED)


class Bench:
    """One agent with everything around it played by hand.

    Args:
        controlling: the agent's first role.
        hosts: addresses to gather; socket ``n`` is the n-th of them, port 4000 + n.
        remotes: the peer's candidates.
        options, lite, pacing, complete: of the peer's description.
        tiebreakers: the agent's, in the order in which it draws them.
        nomination: the agent's policy.
        known: whether the agent gets the peer's description now.
        streams, components, pacer, gathering, policy: of the agent.
    """

    def __init__(
        self,
        *,
        controlling: bool = True,
        hosts: tuple[str, ...] = ("192.0.2.1",),
        remotes: tuple[Candidate, ...] = (),
        options: tuple[str, ...] = ("ice2",),
        lite: bool = False,
        pacing: int | None = None,
        complete: bool = True,
        tiebreakers: tuple[int, ...] = (),
        known: bool = True,
        config: IceConfig | None = None,
        nomination: Nomination = REGULAR,
        servers: tuple = (),
        streams: int = 1,
        components: int | tuple[int, ...] = 1,
        pacer: Pacer | None = None,
        start: float = 0.0,
        gathering: GatheringOptions | None = None,
        policy: str = "all",
    ) -> None:
        self.now = start
        self.sent: list[Sent] = []
        self.events: list[tuple[float, object]] = []
        self.closed: list[tuple[float, SocketId]] = []
        self.asked: list[Resolve] = []
        self.names: list[PublishName | WithdrawName] = []
        self.their_transactions = itertools.count(1)
        self.agent = IceAgent(
            controlling=controlling,
            credentials=OURS,
            entropy=Entropy(tiebreakers),
            config=config or IceConfig(),
            nomination=nomination,
            servers=servers,
            streams=streams,
            components=components,
            pacer=pacer,
            gathering=gathering or GatheringOptions(),
            policy=policy,
        )
        self.agent.gather(hosts, now=self.now)
        self._drain()
        if known:
            self.tell(*remotes, options=options, lite=lite, pacing=pacing, complete=complete)

    # ------------------------------------------------------------- the driver

    def _drain(self) -> None:
        for output in self.agent.take_outputs():
            if isinstance(output, OpenSocket):
                self.agent.handle_socket_opened(output.socket, Address(output.bind.host, 4000 + output.socket), now=self.now)
                self._drain()
            elif isinstance(output, SendDatagram):
                self.sent.append(Sent(round(self.now, 6), output.socket, output.destination, output.data))
            elif isinstance(output, CloseSocket):
                self.closed.append((round(self.now, 6), output.socket))
            elif isinstance(output, Resolve):
                self.asked.append(output)
            elif isinstance(output, PublishName | WithdrawName):
                self.names.append(output)
            else:
                assert not isinstance(output, Action), output
                self.events.append((round(self.now, 6), output))

    def run(self, until: float) -> None:
        """Let time pass, each deadline at its time; ``until`` itself included, however sums of floats are rounded."""
        while self.agent.deadline() <= until + 1e-9:
            assert self.agent.deadline() >= self.now
            self.now = self.agent.deadline()
            self.agent.handle_timer(now=self.now)
            assert self.agent.deadline() > self.now
            self._drain()
        self.now = max(self.now, until)

    def call(self, method, *args, **keywords):
        """Call a command of the agent at this time."""
        result = method(*args, now=self.now, **keywords)
        self._drain()
        return result

    def arrive(self, socket: int, source: Address, data: bytes) -> None:
        """A datagram arrives at the agent."""
        self.call(self.agent.handle_datagrams, SocketId(socket), [(source, data)])

    def unreachable(self, socket: int, destination: Address, type: int = 3, code: int = 3) -> None:
        self.call(self.agent.handle_icmp, SocketId(socket), destination, IcmpError(type, code))

    # ------------------------------------------------------------- the peer

    def tell(self, *remotes, options=("ice2",), lite=False, pacing=None, complete=True) -> None:
        """Give the agent the peer's description."""
        description = Description(
            THEIRS.ufrag,
            THEIRS.pwd,
            candidates=remotes,
            options=options,
            lite=lite,
            pacing=pacing,
            end_of_candidates=complete,
        )
        self.call(self.agent.set_remote, description)

    def answer(
        self,
        check: Sent,
        *,
        mapped: Address | None = None,
        code: int | None = None,
        source: Address | None = None,
        socket: int | None = None,
        key: object = ANY,
        theirs: Credentials = THEIRS,
        attributes: tuple = (),
    ) -> None:
        """Answer a check: success, or the error ``code``; from elsewhere, to elsewhere, or with another key if asked."""
        if mapped is None:
            mapped = self.base(check.socket)
        content = [(XOR_MAPPED_ADDRESS, mapped)] if code is None else [(ERROR_CODE, ErrorCode(code, ""))]
        data = encode(
            Method.BINDING,
            MessageClass.SUCCESS if code is None else MessageClass.ERROR,
            check.message.transaction_id,
            [*content, *attributes],
            key=short_term_key(theirs.pwd) if key is ANY else key,
            fingerprint=True,
        )
        self.arrive(check.socket if socket is None else socket, source or check.destination, data)

    def request(
        self,
        source: Address,
        *,
        socket: int = 1,
        controlling: bool | None = ANY,
        tiebreaker: int = 1,
        priority: int | None = candidate_priority(CandidateType.PEER_REFLEXIVE, 65535, 1),
        use_candidate: bool = False,
        nomination: int = 0,
        username: str | None = f"{OURS.ufrag}:{THEIRS.ufrag}",
        own: Credentials = OURS,
        key: object = ANY,
        algorithm: IntegrityAlgorithm = IntegrityAlgorithm.SHA1,
        attributes: tuple = (),
        fingerprint: bool = True,
    ) -> Message | None:
        """Send a check of the peer's, in the role that the agent has not unless told; return the agent's answer."""
        if controlling is ANY:
            controlling = self.agent.role.value == "controlled"
        content = [] if username is None else [(USERNAME, username)]
        if priority is not None:
            content.append((PRIORITY, priority))
        if controlling is not None:
            content.append((ICE_CONTROLLING if controlling else ICE_CONTROLLED, tiebreaker))
        if use_candidate:
            content.append((USE_CANDIDATE, None))
        if nomination:
            content.append((NOMINATION, nomination))
        transaction_id = TransactionId(b"their" + next(self.their_transactions).to_bytes(7, "big"))
        data = encode(
            Method.BINDING,
            MessageClass.REQUEST,
            transaction_id,
            [*content, *attributes],
            key=short_term_key(own.pwd) if key is ANY else key,
            algorithm=algorithm,
            fingerprint=fingerprint,
        )
        before = len(self.sent)
        self.arrive(socket, source, data)
        answers = [one for one in self.sent[before:] if one.message.transaction_id == transaction_id]
        assert all(one.path == (socket, source) for one in answers)
        return answers[0].message if answers else None

    # ------------------------------------------------------------- what there is to see

    def base(self, socket: int) -> Address:
        """The address of a socket of the agent's."""
        told = next(one.address for one in self.agent.local_candidates if one.address.port == 4000 + socket)
        hosts = {one.name: one.host for one in self.names if isinstance(one, PublishName)}
        return Address(hosts.get(told[0], told[0]), told.port)

    @property
    def requests(self) -> list[Sent]:
        """Every request that the agent sent, retransmissions included."""
        return [one for one in self.sent if one.is_request]

    @property
    def checks(self) -> list[Sent]:
        """The agent's checks, each once: the first transmission."""
        first: dict[TransactionId, Sent] = {}
        for one in self.requests:
            first.setdefault(one.message.transaction_id, one)
        return list(first.values())

    @property
    def check(self) -> Sent:
        """The latest check."""
        return self.checks[-1]

    def times(self, check: Sent) -> list[float]:
        """When a check was transmitted, and retransmitted."""
        return [one.at for one in self.requests if one.data == check.data]

    def states(self) -> dict[tuple[str, str], str]:
        """Pair states by (local, remote) address text."""
        return {(str(pair.local.address), str(pair.remote.address)): pair.state.value for pair in self.agent.pairs}

    def state(self, remote: Address, socket: int = 1) -> str:
        """The state of the pair that joins a socket and a remote address."""
        return self.states()[str(self.base(socket)), str(remote)]

    def heard(self, kind: type) -> list:
        """The events of a kind, without times."""
        return [event for _, event in self.events if isinstance(event, kind)]

    def dropped(self) -> dict[str, int]:
        """Drop counters by the reason's name."""
        return {reason.name: count for reason, count in self.agent.stats.dropped.items()}

    @property
    def is_idle(self) -> bool:
        """Whether nothing is planned any more."""
        return self.agent.deadline() == math.inf


# ------------------------------------------------------------- parts, for the tests of one module


def make_local(
    host: str = "192.0.2.1",
    socket: int = 1,
    *,
    type: CandidateType = CandidateType.HOST,
    base: Address | None = None,
    foundation: str = "l1",
    component: int = 1,
    preference: int = 65535,
) -> LocalCandidate:
    """A local candidate on port 4000 + socket, its base the same address unless told."""
    address = Address(host, 4000 + socket)
    own = Candidate(
        foundation=foundation,
        component=component,
        transport=Transport.UDP,
        priority=candidate_priority(type, preference, component),
        address=address,
        type=type,
        related_address=base,
    )
    return LocalCandidate(own, SocketId(socket), base or address, preference)


def make_pair(
    number: int = 1, *, foundation: str = "f", component: int = 1, priority: int = 1, state: PairState = PairState.FROZEN
) -> Pair:
    """A pair to the remote port 5000 + number; pairs of one ``foundation`` text share their pair foundation."""
    remote = candidate("198.51.100.1", 5000 + number, foundation=foundation, component=component)
    pair = Pair(make_local(component=component), remote, Address("198.51.100.1", 5000 + number), priority)
    pair.state = state
    return pair


def make_session(role: IceRole = IceRole.CONTROLLING, *components: int, entropy=None, **config) -> Session:
    """What the streams of an agent share, with the checklist of each stream, of so many components; one of one unless told."""
    session = Session(role=role, config=IceConfig(**config), entropy=entropy or Entropy(()), outputs=[])
    for count in components or (1,):
        session.add_stream(Checklist(count))
    return session
