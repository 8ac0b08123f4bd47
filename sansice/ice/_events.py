"""What an agent tells its application."""

from __future__ import annotations

import enum
from types import MappingProxyType
from typing import NamedTuple

import attrs

from sansice._enums import IdentityEnum
from sansice.machine import Address, Event, Transport

from ._candidate import Candidate
from ._description import Credentials
from ._pair import CandidatePair


class IceState(IdentityEnum):
    """The state of an agent, in the words of W3C's ``RTCIceTransportState``."""

    NEW = "new"
    CHECKING = "checking"
    CONNECTED = "connected"
    COMPLETED = "completed"
    DISCONNECTED = "disconnected"
    FAILED = "failed"
    CLOSED = "closed"


class IceCause(IdentityEnum):
    """What moves an agent from state to state."""

    START = "the remote description is known"
    VALIDATE = "a pair became valid"
    SELECT = "every component has a selected pair"
    LOSE = "no pair is valid any more"
    QUIET = "no consent answer for a while"
    ANSWER = "consent is answered again"
    FAIL = "no pair connected, or consent was lost"
    RESTART = "new credentials, this agent's or the peer's"
    CLOSE = "the application closed the agent"


_S, _C = IceState, IceCause
# CONNECTED: data flows and checks go on; COMPLETED: a pair is selected. DISCONNECTED can befall both;
# where it returns to is told by whether a pair was selected. A restart goes where W3C's RTCIceTransportState has it go:
# while the old pair carries the data that is CONNECTED. Of several components one may find, lose and miss a path while others
# have none yet: all of that is CHECKING.
ICE_TRANSITIONS = MappingProxyType(
    {
        _S.NEW: {_C.START: _S.CHECKING, _C.RESTART: _S.NEW, _C.FAIL: _S.FAILED, _C.CLOSE: _S.CLOSED},
        _S.CHECKING: {
            _C.START: _S.CHECKING,
            _C.VALIDATE: _S.CONNECTED,
            _C.SELECT: _S.COMPLETED,
            _C.LOSE: _S.CHECKING,
            _C.QUIET: _S.CHECKING,
            _C.ANSWER: _S.CONNECTED,
            _C.RESTART: _S.CHECKING,
            _C.FAIL: _S.FAILED,
            _C.CLOSE: _S.CLOSED,
        },
        _S.CONNECTED: {
            _C.VALIDATE: _S.CONNECTED,
            _C.LOSE: _S.CHECKING,
            _C.SELECT: _S.COMPLETED,
            _C.QUIET: _S.DISCONNECTED,
            _C.ANSWER: _S.CONNECTED,
            _C.START: _S.CONNECTED,
            _C.RESTART: _S.CONNECTED,
            _C.FAIL: _S.FAILED,
            _C.CLOSE: _S.CLOSED,
        },
        _S.COMPLETED: {
            _C.VALIDATE: _S.COMPLETED,
            _C.LOSE: _S.CHECKING,
            _C.SELECT: _S.COMPLETED,
            _C.QUIET: _S.DISCONNECTED,
            _C.ANSWER: _S.COMPLETED,
            _C.RESTART: _S.CONNECTED,
            _C.FAIL: _S.FAILED,
            _C.CLOSE: _S.CLOSED,
        },
        _S.DISCONNECTED: {
            _C.START: _S.DISCONNECTED,
            _C.VALIDATE: _S.CONNECTED,
            _C.LOSE: _S.CHECKING,
            _C.ANSWER: _S.CONNECTED,
            _C.SELECT: _S.COMPLETED,
            _C.QUIET: _S.DISCONNECTED,
            _C.RESTART: _S.CHECKING,
            _C.FAIL: _S.FAILED,
            _C.CLOSE: _S.CLOSED,
        },
        _S.FAILED: {_C.RESTART: _S.CHECKING, _C.FAIL: _S.FAILED, _C.CLOSE: _S.CLOSED},
        _S.CLOSED: {_C.CLOSE: _S.CLOSED},
    }
)


class GatheringState(enum.Enum):
    """How far gathering is, in the words of W3C's ``RTCIceGathererState``."""

    NEW = "new"
    GATHERING = "gathering"
    COMPLETE = "complete"


@attrs.frozen
class CandidateGathered(Event):
    """A local candidate is known; tell the peer (trickle) or wait for `GatheringCompleted`."""

    stream: int
    component: int
    candidate: Candidate


@attrs.frozen
class GatheringCompleted(Event):
    """All local candidates that there are by now have been told; emitted once for each generation that gathers.

    Attributes:
        is_final: no more will follow: tell the peer end-of-candidates. Otherwise addresses that the machine gets later bring
            more (`GatheringOptions.continual`), and whoever has said end-of-candidates may tell none (RFC 8838 13).
    """

    is_final: bool = True


@attrs.frozen
class ServerAnswered(Event):
    """A server gave to one local address what it has.

    Attributes:
        url: of the server, as it was given.
        local: the address.
        seconds: since it was asked.
        mapped: how it sees the socket through which it was asked.
        relayed: the addresses at which it relays.
        transport: by which it was reached.
    """

    url: str
    local: str
    seconds: float
    mapped: Address
    relayed: tuple[Address, ...] = ()
    transport: Transport = Transport.UDP


@attrs.frozen
class ServerFailed(Event):
    """A server gave nothing to one local address, or takes back what it gave, and why; the others go on.

    Attributes:
        url: of the server, as it was given.
        local: the address; "" where the server's name led nowhere, so that nobody asked it.
        text: the reason, for a person.
        code: what it answered; ``None`` where it said nothing, or nothing of the kind.
        seconds: since it was asked; 0 where it was not.
        is_silent: whether it was asked, and nothing came back.
    """

    url: str
    local: str
    text: str
    code: int | None = None
    seconds: float = 0.0
    is_silent: bool = False


@attrs.frozen
class IceStateChanged(Event):
    """The agent's state changed."""

    old: IceState
    new: IceState


@attrs.frozen
class StreamFailed(Event):
    """One of several streams has failed; the others go on, unless the agent has failed with it (`IceAgent.failure_of`)."""

    stream: int


@attrs.frozen
class PairValidated(Event):
    """A pair became valid: from the first one on data may be sent, before any is selected (RFC 8445 12.1)."""

    stream: int
    component: int
    pair: CandidatePair


@attrs.frozen
class PairSelected(Event):
    """The nominated pair of a component is in use (RFC 8445 8.1.1)."""

    stream: int
    component: int
    pair: CandidatePair


@attrs.frozen
class NominationRefused(Event):
    """A nomination was answered with an error (RFC 8445 7.3.1.5); told once for each pair.

    Attributes:
        pair: what was nominated.
        by_peer: the peer refused what this agent nominated; otherwise this agent's policy refused what the peer did.
    """

    stream: int
    component: int
    pair: CandidatePair
    by_peer: bool


@attrs.frozen
class Restarted(Event):
    """A stream has new credentials (RFC 8445 9): the peer must be told its new description. The old pair carries data until then.

    Attributes:
        credentials: the agent's new ones.
        by_peer: the peer began it, with a description of other credentials; otherwise the application did.
    """

    stream: int
    credentials: Credentials
    by_peer: bool


@attrs.frozen
class RestartNeeded(Event):
    """The stream had a pair, and cannot come back by itself: `restart` brings it back. Told once a generation.

    - The machine has other addresses, and the pair in use has lost its own, or all that the peer was told is worthless. Where
      the two renominate and it is the peer who controls, he would notice in a while; a restart is faster. It is told as soon as
      there is an address to restart from.
    - Nobody has answered for so long that consent has ended, for which new credentials are demanded (RFC 7675 5.1): the peer, or
      this machine, has slept, or the path between them is dead. A peer that has revoked consent wants no restart.
    """

    stream: int


@attrs.frozen
class CandidatesChosen(Event):
    """A lite agent that controls has chosen among several pairs with a lite peer (RFC 8445 8.2).

    Tell the peer the stream's description again, which has nothing but the chosen candidates now, and this agent the answer.
    """

    stream: int


@attrs.frozen
class ConsentExpired(Event):
    """The peer no longer consents on the pair in use (RFC 7675 5.1).

    Attributes:
        revoked: it said so, with an authenticated 403; otherwise it fell silent.
    """

    stream: int
    component: int
    revoked: bool


class _DataReceived(NamedTuple):
    stream: int
    component: int
    data: bytes


class DataReceived(_DataReceived, Event):
    """A datagram of the peer's; a NamedTuple because there is one for every packet."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"DataReceived(stream={self.stream}, component={self.component}, data={self.data.hex()})"


@attrs.frozen
class Closed(Event):
    """The agent is closed; the last event."""
