"""The evidence that invariants judge by: what each agent was told, what it sent and said, and what was proven by keys."""

from __future__ import annotations

import enum
import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple, TypeAlias

import attrs

from sansice.ice import CandidatePair, HostName, IceAgent, IceConfig, IceRole, IceState, PairState
from sansice.machine import Action, Address, CloseSocket, DecodeError, Event, Machine, SendDatagram, SocketId
from sansice.simulation._world._node import Node
from sansice.stun import (
    ERROR_CODE,
    ICE_CONTROLLED,
    ICE_CONTROLLING,
    USE_CANDIDATE,
    USERNAME,
    XOR_MAPPED_ADDRESS,
    IntegrityKey,
    Message,
    MessageClass,
    TransactionId,
    decode_untrusted,
    is_stun,
    short_term_key,
)

OVER = frozenset({IceState.FAILED, IceState.CLOSED})
EPSILON = 1e-6  # seconds; sums of binary fractions are not exact
ROLE_CONFLICT = 487  # RFC 8445 7.3.1.1

Path: TypeAlias = tuple[SocketId, Address]
"""From which socket of an agent, to which address; or the other way round."""


class InputKind(enum.Enum):
    """What was fed to a machine."""

    DATAGRAM = "datagram"
    OPENED = "opened"
    FAILED = "failed"
    ACCEPTED = "accepted"
    STREAM = "stream"
    TIMER = "timer"
    COMMAND = "command"
    OTHER = "other"


@attrs.define(eq=False)
class Asked:
    """A request of an agent's, from its first transmission on.

    Attributes:
        path: where it was sent.
        at: when first, virtual seconds.
        times: transmissions so far.
        message: the request.
        is_check: whether it is a check and not a question to a STUN server.
        is_consent: a check of a pair that works already and that nominates nothing (RFC 7675 5.1).
        nominates: whether it carries USE-CANDIDATE.
        role: which it announces; ``None`` in a question.
        tiebreaker: which it announces.
        over: the peer answered it, or failed it from another address: nothing that comes later counts.
        in_doubt: an ICMP error or an answer from elsewhere may have failed it: what comes later may count or not.
    """

    path: Path
    at: float
    message: Message
    is_check: bool
    nominates: bool
    role: IceRole | None
    tiebreaker: int | None
    times: int = 1
    is_consent: bool = False
    over: bool = False
    in_doubt: bool = False


class Sent(NamedTuple):
    """A datagram that an agent sent; ``message`` is ``None`` in data."""

    path: Path
    data: bytes
    message: Message | None


@attrs.define(eq=False)
class Moment:
    """One input of one machine, and what came of it.

    Attributes:
        end: the machine.
        kind: what was fed.
        now: when, virtual seconds.
        late: how many seconds it comes after the agent's deadline: its timer was held up, or is held up still.
        path: of a datagram, its socket and its source; of a connection that was accepted, the listener and who connected.
        socket: of what was opened or accepted or has failed, and of a stream's data.
        data: of a datagram, the payload; of a stream, what came, ``b""`` at its end.
        message: of a datagram, the STUN message in it.
        authentic: whether the key and the user name of ``message`` are right: the peer wrote it.
        asked: of a response, the request with its id, if there is one.
        is_first: of a response, whether ``asked`` had no authentic one before.
        before: the agent's state, role and selected pair just before.
        sent: what the agent sent.
        events: what it told.
        others: its other actions.
        text: of what was fed, where the rest does not say it.
    """

    end: End
    kind: InputKind
    now: float
    before: Before
    late: float = 0.0
    path: Path | None = None
    socket: SocketId | None = None
    data: bytes = b""
    message: Message | None = None
    authentic: bool = False
    asked: Asked | None = None
    is_first: bool = False
    sent: list[Sent] = attrs.field(factory=list)
    events: list[Event] = attrs.field(factory=list)
    others: list[Action] = attrs.field(factory=list)
    text: str = ""

    @property
    def is_request(self) -> bool:
        """Whether a request arrived."""
        return self.message is not None and self.message.message_class is MessageClass.REQUEST

    @property
    def is_success(self) -> bool:
        """Whether a success response arrived."""
        return self.message is not None and self.message.message_class is MessageClass.SUCCESS

    @property
    def is_good_answer(self) -> bool:
        """Whether the peer's answer to a check arrived from where the check was sent (RFC 8445 7.2.5.2.1)."""
        return self.authentic and self.asked is not None and self.asked.is_check and self.path == self.asked.path

    @property
    def is_accepted(self) -> bool:
        """Whether the request that arrived was answered with success."""
        messages = (sent.message for sent in self.sent if sent.message is not None)
        return self.is_request and any(message.message_class is MessageClass.SUCCESS for message in messages)

    @property
    def nominates(self) -> bool:
        """Whether the peer nominated: USE-CANDIDATE in a request that was accepted."""
        return self.message is not None and self.authentic and self.is_accepted and USE_CANDIDATE in self.message

    @property
    def error(self) -> int | None:
        """The code of an error response."""
        return None if self.message is None else error_of(self.message)


class Before(NamedTuple):
    """What could be seen of an agent before an input."""

    state: IceState
    role: IceRole
    selected: CandidatePair | None
    drops: int


_NO_AGENT = Before(IceState.NEW, IceRole.CONTROLLED, None, 0)


class End:
    """One machine under observation, and what is known of its dealings.

    Of a machine that is no `IceAgent` only ``name``, ``node`` and ``machine`` mean anything, and in its moments only what was fed
    to it and what came of that.

    Attributes:
        name: for people.
        node: where it runs.
        machine: what runs.
        agent: the same where it is an `IceAgent`, looked at through public names only; there is none otherwise.
        config: the one that it was made with.
        asked: its requests by transaction id.
        answered: when each path last gave a good success response that was the first one to its request.
        granted: when each path's consent was last given, or extended before it had ended: an answer to a consent check
            that comes later than that extends nothing, and nor does the next one (RFC 7675 5.1).
        consented: the same of consent checks alone, which nothing can make needless.
        mapped: the mapped addresses that each path's good answers told.
        validated: addresses from which something authentic came, the only ones data is welcome from.
        nominated: when the peer last nominated each path: USE-CANDIDATE was authentic and answered with success.
    """

    def __init__(self, name: str, node: Node, config: IceConfig) -> None:
        self.name = name
        self.node = node
        self.machine: Machine = node.machine
        self.is_agent: bool = isinstance(node.machine, IceAgent)
        self.agent: IceAgent
        self.key: IntegrityKey
        if isinstance(node.machine, IceAgent):
            self.agent = node.machine
            self.key = short_term_key(self.agent.credentials.pwd)
        self.config = config
        self.asked: dict[TransactionId, Asked] = {}
        self.answered: dict[Path, float] = {}
        self.granted: dict[Path, float] = {}
        self.consented: dict[Path, float] = {}
        self.mapped: dict[Path, list[Address]] = {}
        self.validated: dict[Address, float] = {}
        self.nominated: dict[Path, float] = {}
        self._bases: dict[SocketId, Address] = {}

    @property
    def ufrag(self) -> str:
        """Of the agent's credentials."""
        return self.agent.credentials.ufrag

    @property
    def is_live(self) -> bool:
        """Whether the agent runs and has not ended."""
        return self.node.running and self.agent.state not in OVER

    def before(self) -> Before:
        """What can be seen of the agent now."""
        if not self.is_agent:
            return _NO_AGENT
        agent = self.agent
        return Before(agent.state, agent.role, agent.selected_pair, sum(agent.stats.dropped.values()))

    def base_of(self, socket: SocketId) -> Address | None:
        """The address of a socket, also after it was closed."""
        if socket not in self._bases:
            self._bases.update(self.node.sockets)
        return self._bases.get(socket)

    def path_of(self, pair: CandidatePair) -> Path | None:
        """The path that a pair's checks take: from the base of its local candidate (RFC 8445 5.1.1.2)."""
        base = base_address(pair)
        self._bases.update(self.node.sockets)
        for socket, address in self._bases.items():
            if address == base and isinstance(pair.remote.address, Address):
                return socket, pair.remote.address
        return None

    def pair_on(self, path: Path) -> CandidatePair | None:
        """The checklist's pair of a path."""
        base = self.base_of(path[0])
        for pair in self.agent.pairs:
            if pair.remote.address == path[1] and base == base_address(pair):
                return pair
        return None

    def listens(self, asked: Asked, now: float) -> bool:
        """Whether an answer is in time for a check, whichever first wait it has: for none is shorter than the configured one."""
        return now < asked.at + self.config.schedule.duration - EPSILON

    def last_answer(self, path: Path | None) -> float:
        """When a path last gave a good answer; of all paths where it is ``None``."""
        if path is None:
            return max(self.answered.values(), default=-math.inf)
        return self.answered.get(path, -math.inf)

    # ------------------------------------------------------------- keeping the books

    def arrived(self, socket: SocketId, source: Address, data: bytes, now: float, peers: Sequence[End]) -> Moment:
        """Open the account of a datagram, before the agent has it."""
        moment = Moment(self, InputKind.DATAGRAM, now, self.before(), path=(socket, source), data=data)
        moment.message = message = read(data)
        if message is None or not self.is_agent:
            return moment
        if message.message_class is MessageClass.REQUEST:
            username = message.get(USERNAME)
            own = username is not None and username.partition(":")[0] == self.ufrag
            moment.authentic = own and message.verify(self.key)
        elif message.message_class is not MessageClass.INDICATION:
            moment.asked = asked = self.asked.get(message.transaction_id)
            if asked is not None and asked.is_check:
                written_by = (asked.message.get(USERNAME) or "").partition(":")[0]
                moment.authentic = any(message.verify(peer.key) for peer in peers if peer.is_agent and peer.ufrag == written_by)
                moment.is_first = moment.authentic and not asked.over
                # An answer from elsewhere fails a check (RFC 8445 7.2.5.2.1); a consent check goes on listening.
                elsewhere = moment.path != asked.path
                asked.over = asked.over or (moment.authentic and not (elsewhere and asked.is_consent))
                asked.in_doubt = asked.in_doubt or (moment.authentic and elsewhere)
        return moment

    def close(self, moment: Moment, outputs: Iterable[Action | Event]) -> None:
        """Enter what the input proved, and what the agent did with it."""
        if moment.path is not None and moment.message is not None and moment.authentic:
            self._enter(moment, moment.path, moment.message)
        for output in outputs:
            if isinstance(output, SendDatagram):
                moment.sent.append(self._enter_sent(output, moment.now))
            elif isinstance(output, Event):
                moment.events.append(output)
            else:
                if isinstance(output, CloseSocket):
                    self.base_of(output.socket)
                moment.others.append(output)
        if moment.path is not None and moment.nominates:
            self.nominated[moment.path] = moment.now

    def _enter(self, moment: Moment, path: Path, message: Message) -> None:
        now = moment.now
        if moment.is_request:
            self.validated.setdefault(path[1], now)
        elif moment.is_good_answer and moment.is_success and moment.is_first:
            self.validated.setdefault(path[1], now)
            is_consent = moment.asked is not None and moment.asked.is_consent
            if not is_consent:
                self.granted[path] = now
            elif now < self.granted.get(path, -math.inf) + self.config.consent_timeout - EPSILON:
                self.granted[path] = self.consented[path] = now
            self.answered[path] = now
            mapped = message.get(XOR_MAPPED_ADDRESS)
            known = self.mapped.setdefault(path, [])
            if mapped is not None and mapped not in known:
                known.append(mapped)

    def _enter_sent(self, output: SendDatagram, now: float) -> Sent:
        path = (output.socket, output.destination)
        message = read(output.data)
        if message is not None and message.message_class is MessageClass.REQUEST:
            known = self.asked.get(message.transaction_id)
            if known is not None:
                known.times += 1
            else:
                self.asked[message.transaction_id] = self._new(path, message, now)
        return Sent(path, output.data, message)

    def _new(self, path: Path, message: Message, now: float) -> Asked:
        role, tiebreaker = role_of(message)
        asked = Asked(path, now, message, USERNAME in message, USE_CANDIDATE in message, role, tiebreaker)
        if self.is_agent and asked.is_check and not asked.nominates and path in self.answered:
            pair = self.pair_on(path)
            asked.is_consent = pair is None or pair.state not in (PairState.WAITING, PairState.IN_PROGRESS)
        return asked


def base_address(pair: CandidatePair) -> Address | HostName:
    """Where a pair's checks are sent from, whatever its local candidate is (RFC 8445 5.1.1.2)."""
    return pair.local.related_address or pair.local.address


def read(data: bytes) -> Message | None:
    """The STUN message in a datagram; ``None`` where there is none."""
    if not is_stun(data):
        return None
    try:
        return decode_untrusted(data)
    except DecodeError:
        return None


def role_of(message: Message) -> tuple[IceRole | None, int | None]:
    """The role and the tiebreaker that a check announces."""
    tiebreaker = message.get(ICE_CONTROLLING)
    if tiebreaker is not None:
        return IceRole.CONTROLLING, tiebreaker
    tiebreaker = message.get(ICE_CONTROLLED)
    return (None, None) if tiebreaker is None else (IceRole.CONTROLLED, tiebreaker)


def error_of(message: Message) -> int | None:
    error = message.get(ERROR_CODE)
    return None if error is None else error.code
