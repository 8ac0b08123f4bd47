"""Agents that are anything a test wants, for the rules that judge them; and messages between them."""

import itertools
import math
from types import SimpleNamespace

from sansice.ice import (
    Candidate,
    CandidatePair,
    CandidateType,
    Credentials,
    IceAgent,
    IceConfig,
    IceRole,
    IceState,
    PairState,
    pair_priority,
)
from sansice.machine import Address, SendDatagram, SocketId, Transport
from sansice.simulation import End, InputKind, Moment, Network
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
    Schedule,
    TransactionId,
    encode,
    short_term_key,
)

SOCKET = SocketId(1)
HERE, THERE, ELSEWHERE = Address("192.0.2.1", 1000), Address("198.51.100.1", 2000), Address("203.0.113.9", 3000)
PATH = (SOCKET, THERE)
CONFIG = IceConfig(schedule=Schedule(rc=3, rm=2), consent_timeout=7.0, pac_timeout=4.0)
WRONG = short_term_key("a guess at the password")
PASSWORDS = {"A": "thePasswordOfAgentAIsThis", "B": "thePasswordOfAgentBIsThis"}
NETWORK = Network()

_ids = itertools.count(1)


def candidate(address, *, type=CandidateType.HOST, foundation="1", priority=100):
    related = None if type is CandidateType.HOST else HERE
    return Candidate(
        foundation=foundation,
        component=1,
        transport=Transport.UDP,
        priority=priority,
        address=address,
        type=type,
        related_address=related,
    )


def pair(remote=THERE, *, local=None, state=PairState.SUCCEEDED, nominated=False, foundation="1", priority=None, role=None):
    """A pair of `HERE`, or of a candidate of it, with the priority that fits a role."""
    local, other = local or candidate(HERE), candidate(remote, foundation=foundation)
    fits = pair_priority(local.priority, other.priority)
    if role is IceRole.CONTROLLED:
        fits = pair_priority(other.priority, local.priority)
    return CandidatePair(local, other, fits if priority is None else priority, state, nominated)


class Agent(SimpleNamespace):
    """What can be seen of an agent; a test changes it as it likes."""

    def __init__(self, name):
        super().__init__(
            state=IceState.CHECKING,
            role=IceRole.CONTROLLING,
            selected_pair=None,
            pairs=(),
            remote_candidates=(),
            writable=False,
            due=math.inf,
            stats=SimpleNamespace(dropped={}),
            credentials=Credentials(name * 4, PASSWORDS[name]),
        )

    def deadline(self):
        return self.due


def end(name="A", **seen):
    """An end whose agent looks as told."""
    host = NETWORK.host(name)
    node = host.run(IceAgent(controlling=True, credentials=Credentials(name * 4, PASSWORDS[name])))
    one = End(name, node, CONFIG)
    one.agent = Agent(name)
    one.node = SimpleNamespace(running=True, sockets={SOCKET: HERE}, time=0.0)
    one.node.now = lambda: one.node.time
    vars(one.agent).update(seen)
    return one


def both(**seen):
    """A, looking as told, and B."""
    return {"A": end("A", **seen), "B": end("B", role=IceRole.CONTROLLED)}


def check(to="A", *, nominates=False, role=IceRole.CONTROLLED, tiebreaker=5, priority=(110 << 24) + 255, key=None, id=None):
    """A check of the other end's, addressed to one."""
    own, other = to * 4, "BA"["AB".index(to)] * 4
    role_attribute = ICE_CONTROLLING if role is IceRole.CONTROLLING else ICE_CONTROLLED
    attributes = [(USERNAME, f"{own}:{other}"), (PRIORITY, priority)]
    if role is not None:
        attributes.append((role_attribute, tiebreaker))
    if nominates:
        attributes.append((USE_CANDIDATE, None))
    key = key or short_term_key(PASSWORDS[to])
    return encode(Method.BINDING, MessageClass.REQUEST, new_id(id), attributes, key=key, fingerprint=True)


def new_id(id=None):
    return id if id is not None else TransactionId(next(_ids).to_bytes(12, "big"))


def answer(request, *, mapped=HERE, code=None, by="B", key=None):
    """An answer to the bytes of a check."""
    content = [(XOR_MAPPED_ADDRESS, mapped)] if code is None else [(ERROR_CODE, ErrorCode(code, ""))]
    message_class = MessageClass.SUCCESS if code is None else MessageClass.ERROR
    key = key or short_term_key(PASSWORDS[by])
    return encode(Method.BINDING, message_class, TransactionId(request[8:20]), content, key=key, fingerprint=True)


class Story:
    """Feeds an end, and asks a rule about each moment.

    Args:
        make: the rule.
        ends: by name; A is fed.
    """

    def __init__(self, make, ends=None):
        self.ends = ends or both()
        self.a = self.ends["A"]
        self.agent = self.a.agent
        self.rule = make(self.ends)
        self.now = 0.0

    def hears(self, data, *, path=PATH, sends=(), tells=(), then=None):
        """A datagram arrives; what comes of it is as told. ``then`` changes how the agent looks afterwards."""
        moment = self.a.arrived(*path, data, self.now, [self.ends["B"]] if "B" in self.ends else [])
        return self._close(moment, sends, tells, then)

    def timer(self, *, sends=(), tells=(), late=0.0, kind=InputKind.TIMER, then=None):
        """The timer fires."""
        return self._close(Moment(self.a, kind, self.now, self.a.before(), late=late), sends, tells, then)

    def command(self, *, sends=(), tells=(), then=None):
        return self.timer(sends=sends, tells=tells, kind=InputKind.COMMAND, then=then)

    def asks(self, data=None, *, path=PATH, **options):
        """A check of A's leaves by the timer. Returns its bytes."""
        data = data or check("B", role=self.agent.role, **options)
        self.finding = self.timer(sends=[(path, data)])
        return data

    def _close(self, moment, sends, tells, then):
        vars(self.agent).update(then or {})
        self.a.close(moment, [*(SendDatagram(*path, data) for path, data in sends), *tells])
        self.finding = self.rule.after(moment)
        return self.finding
