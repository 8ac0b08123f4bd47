"""The program around an agent: it exchanges descriptions with its peer, then data."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import TypeAlias

from sansice.ice import (
    Candidate,
    CandidateGathered,
    CandidatePair,
    CandidatesChosen,
    DataReceived,
    GatheringCompleted,
    GatheringState,
    IceAgent,
    IceState,
    IceStateChanged,
    LiteAgent,
    NotConnected,
    PairSelected,
    Restarted,
    RestartNeeded,
    SessionDescription,
)
from sansice.machine import Address, Event, LocalProtocolError
from sansice.simulation._network import Network
from sansice.simulation._world._host import Host
from sansice.simulation._world._node import Node

PROBES = 3  # echoes that the caller wants, and one at least on each component
PROBE_INTERVAL = 0.02  # s: of voice
ROUNDS, ROUND = 4, 1.0  # so often it asks for those that are still out, and s between: a satellite's round trip and a half

PROBE = 0x80  # the first byte of RTP, RFC 7983 7: none of STUN's
TALK = 0x81  # of what is not echoed

NOTICE = 0.1  # s from a change of an interface until a program that roams looks at the addresses: several come at once
GRACE = 0.3  # s after which one that it uses counts as gone whose interface is down: a cable may be back in a moment
PATIENCE = 5.0  # s that it leaves a disconnected agent alone before it restarts it: a pair may come back, or another take over

_LOST = (IceState.DISCONNECTED, IceState.FAILED)

Place: TypeAlias = tuple[int, int]
"""A stream and a component of it."""


class Program:
    """Runs one agent of a scene as an application would.

    It gathers, tells the peer's program what was gathered, all at once or bit by bit, and is told in turn. Once both have
    selected a pair for each component, the caller sends datagrams that the other echoes, until it has had `PROBES` echoes, or
    one from each component if these are more, or has asked often enough. Where its agent is restarted it gathers again and tells
    the peer; one that roams tells its agent of new addresses, and restarts it where it asks for that, stays disconnected or has
    failed.

    Attributes:
        name: the agent's.
        agent: the machine.
        node: that runs it.
        peer: the other program; `pair_up` sets it.
        caller: whether this one sends first.
        agreed_at: when both had first selected the same pairs, virtual seconds.
        agreed_on: the pairs of the latest agreement, as seen from here, by stream and component.
        probed_at: when the probes began.
        sent, echoed: how many datagrams left, and how many came back.
        restarts: how often it has restarted its agent.
        silence: the longest that nothing of the peer's talk has come since the first of it, seconds; what lasts still is in
            `silence_until`.
        silence_at: since when that was.
    """

    __slots__ = (
        "_addresses",
        "_begun",
        "_heard_at",
        "_looks_at",
        "_missed",
        "_network",
        "_owes_answer",
        "_payload",
        "_puts_off",
        "_restarted",
        "_roams",
        "_signalling",
        "_talks",
        "_trickles",
        "_untold",
        "agent",
        "agreed_at",
        "agreed_on",
        "caller",
        "echoed",
        "name",
        "node",
        "peer",
        "probed_at",
        "restarts",
        "sent",
        "silence",
        "silence_at",
    )

    def __init__(
        self,
        name: str,
        agent: IceAgent | LiteAgent,
        host: Host,
        network: Network,
        signalling: float,
        payload: int,
        *,
        trickles: bool = False,
        roams: bool = False,
        talks: float = 0.0,
    ) -> None:
        self.name: str = name
        self.agent: IceAgent | LiteAgent = agent
        self.node: Node = host.run(agent)
        self.node.listener = self._react
        self.peer: Program = self
        self.caller: bool = False
        self.agreed_at: float | None = None
        self.agreed_on: dict[Place, CandidatePair] = {}
        self.probed_at: float | None = None
        self.sent: int = 0
        self.echoed: int = 0
        self.restarts: int = 0
        self.silence: float = 0.0
        self.silence_at: float = 0.0
        self._talks = talks
        self._heard_at: float | None = None
        self._looks_at = 0.0
        self._addresses = host.addresses
        self._missed: dict[str, float] = {}
        self._restarted = False
        self._owes_answer = False
        self._puts_off = False
        self._roams = roams
        self._begun = False
        self._untold: list[Callable[[], None]] = []
        self._network = network
        self._signalling = signalling
        self._payload = payload
        self._trickles = trickles

    def pair_up(self, peer: Program) -> None:
        """Make this the caller, and ``peer`` the called."""
        self.peer, peer.peer, self.caller = peer, self, True

    @property
    def places(self) -> list[Place]:
        """The streams and components of the agent."""
        return [(stream, number) for stream, count in enumerate(self.agent.components) for number in range(1, count + 1)]

    @property
    def wants(self) -> int:
        """How many echoes are enough."""
        return max(PROBES, len(self.places))

    # ------------------------------------------------------------- signalling

    def begin(self) -> None:
        """Gather from all addresses that the host has now, or once it is awake."""
        self._when_awake(self._gather)

    def _gather(self) -> None:
        self._begun = True
        self._addresses = self.node.host.addresses
        if self._trickles:
            self._describe()
        self.node.call(self.agent.gather, self._addresses)
        if self._roams:
            self.node.host.watch_interfaces(self._notice)
        if self._talks:
            self._talk()
        for told in self._untold:
            told()

    def _react(self, event: Event) -> None:
        match event:
            case CandidateGathered():
                if self._trickles:
                    self._trickle(event.stream, event.candidate)
            case GatheringCompleted(is_final=False) if self._trickles:
                pass  # more may come
            case GatheringCompleted() if self._trickles:
                ufrags = [description.ufrag for description in self.agent.local_descriptions.streams]
                self._signal(lambda peer: peer.be_told_all(ufrags))
            case GatheringCompleted():
                self._describe()
            case CandidatesChosen():
                chosen = self.agent.local_descriptions
                self._signal(lambda peer: peer.be_updated(chosen))
            case PairSelected():
                caller = self if self.caller else self.peer
                caller.compare()
            case DataReceived():
                self._take(event)
            case Restarted():
                self._restarted = True
                self._network.at(self._network.now, self._gather_again)
            case RestartNeeded() if self._roams:
                self._network.at(self._network.now, self._begin_anew)
            case IceStateChanged(new=new) if self._roams and new in _LOST:
                wait = PATIENCE if new is IceState.DISCONNECTED else 0.0
                self._network.at(self._network.now + wait, self._help)

    def _describe(self) -> None:
        """Tell the peer all that there is by now."""
        described = self.agent.local_descriptions
        self._signal(lambda peer: peer.be_described(described))
        self._owes_answer = False
        if self._puts_off:
            self._puts_off = False
            self._network.at(self._network.now, self._begin_put_off)

    def _trickle(self, stream: int, candidate: Candidate) -> None:
        ufrag = self.agent.describe(stream).ufrag
        self._signal(lambda peer: peer.be_trickled(stream, candidate, ufrag))

    def _signal(self, telling: Callable[[Program], None]) -> None:
        self._network.at(self._network.now + self._signalling, lambda: self.peer.be_told(telling))

    def be_told(self, telling: Callable[[Program], None]) -> None:
        """Take what the peer's program has to say, now or once the host is awake and this program has begun."""
        self._when_awake(lambda: self._be_told(telling))

    def _be_told(self, telling: Callable[[Program], None]) -> None:
        if not self._begun:
            self._untold.append(lambda: self._be_told(telling))
        elif self.agent.state is not IceState.CLOSED:
            telling(self)

    def be_described(self, described: SessionDescription) -> None:
        """Know the peer's descriptions; an agent that has failed is past help, unless they mean a restart."""
        before = self.agent.local_descriptions.streams
        with contextlib.suppress(LocalProtocolError):
            self.node.call(self.agent.set_remote, described)
        told = zip(before, self.agent.local_descriptions.streams, strict=True)
        self._owes_answer = self._owes_answer or any(one.ufrag != other.ufrag for one, other in told)

    def be_updated(self, described: SessionDescription) -> None:
        """Know which candidates a lite peer has chosen, and answer with those that are left here (RFC 8445 8.2)."""
        self.be_described(described)
        left = self.agent.local_descriptions
        self._signal(lambda peer: peer.be_described(left))

    def be_trickled(self, stream: int, candidate: Candidate, ufrag: str) -> None:
        """Know one more candidate of the peer's."""
        with contextlib.suppress(LocalProtocolError):
            self.node.call(self.agent.add_remote_candidate, candidate, stream=stream, ufrag=ufrag)

    def be_told_all(self, ufrags: list[str]) -> None:
        """Know that the peer has no more candidates for these generations of its streams."""
        with contextlib.suppress(LocalProtocolError):
            for stream, ufrag in enumerate(ufrags):
                self.node.call(self.agent.end_of_candidates, stream=stream, ufrag=ufrag)

    def _when_awake(self, action: Callable[[], object]) -> None:
        wakes = self.node.host.wakes
        if wakes > self._network.now:
            self._network.at(wakes, action)
        else:
            action()

    # ------------------------------------------------------------- restarts, and other networks

    def restart(self) -> None:
        """Begin anew with new credentials; where the peer has and was not answered yet, then (RFC 3264 4).

        Else he would take the description of this for his answer, and both would wait for another one.
        """
        if self._owes_answer:
            self._puts_off = True
            return
        self.restarts += 1
        self.node.call(self.agent.restart)

    def _begin_put_off(self) -> None:
        if self.agent.state is not IceState.CLOSED:
            self.restart()

    def _gather_again(self) -> None:
        """Once for all streams that were restarted."""
        if not self._restarted or self.agent.state is IceState.CLOSED:
            return
        self._restarted = False
        if isinstance(self.agent, IceAgent):
            if self._trickles:
                self._describe()
            if self._roams:
                self._look()  # gather() says where to begin from, and not what is gone
            with contextlib.suppress(LocalProtocolError):  # two restarts before the first was told of are gathered for once
                self.node.call(self.agent.gather, self.node.host.addresses)
        elif self.agent.gathering_state is GatheringState.COMPLETE:  # pragma: no branch - else its end is yet to come
            self._describe()

    def _notice(self) -> None:
        """Programs that roam watch the interfaces of their host."""
        if self._looks_at <= self._network.now:
            self._looks_at = self._network.now + NOTICE
            self._network.at(self._looks_at, lambda: self._when_awake(self._look))

    def _look(self) -> None:
        addresses = self._there()
        if addresses != self._addresses and self.agent.state is not IceState.CLOSED:
            self._addresses = addresses
            self.node.call(self.agent.update_addresses, addresses)

    def _there(self) -> tuple[str, ...]:
        """The addresses as a system has them for who uses them, which is not in a hurry where a cable is pulled."""
        host, now = self.node.host, self._network.now
        down = [one.address for one in host.interfaces if not one.is_up and one.address in self._addresses]
        self._missed = {address: self._missed.get(address, now) for address in down}
        waited_for = {address: since + GRACE for address, since in self._missed.items() if now < since + GRACE}
        if waited_for:
            self._network.at(min(waited_for.values()), lambda: self._when_awake(self._look))
        return tuple(one.address for one in host.interfaces if one.is_up or one.address in waited_for)

    def _begin_anew(self) -> None:
        if self.agent.needs_restart:
            self.restart()

    def _help(self) -> None:
        if self.agent.state in _LOST and self._addresses:  # without any it waits until it has one
            self.restart()

    # ------------------------------------------------------------- what both have selected

    def compare(self) -> None:
        """See whether both ends have selected the same pairs by now, and begin to send once they have."""
        ours, theirs = self.selected, self.peer.selected
        if len(ours) < len(self.places) or ours.keys() != theirs.keys():
            return
        if not all(is_same_pair(pair, theirs[place]) for place, pair in ours.items()):
            return
        self.agreed_on, self.peer.agreed_on = ours, theirs
        if self.agreed_at is None:
            self.agreed_at = self.peer.agreed_at = self.probed_at = self._network.now
            for number in range(ROUNDS):
                self._network.at(self._network.now + number * ROUND, self._ask)

    @property
    def selected(self) -> dict[Place, CandidatePair]:
        """The pairs that the agent has selected by now."""
        pairs = {place: self.agent.selected_pair_of(*place) for place in self.places}
        return {place: pair for place, pair in pairs.items() if pair is not None}

    # ------------------------------------------------------------- data

    def _ask(self) -> None:
        """Send as many datagrams as echoes are still out."""
        for number in range(self.wants - self.echoed):
            self._network.at(self._network.now + number * PROBE_INTERVAL, self._probe)

    def _probe(self) -> None:
        stream, component = self.places[self.sent % len(self.places)]
        if self.agent.is_writable(stream, component):
            self.sent += 1
            self.node.call(self.agent.send, bytes([PROBE]) * self._payload, stream=stream, component=component)

    def _talk(self) -> None:
        """Send on and on, on the first component, whenever there is a pair, to a peer that notes how long it hears nothing."""
        if self.agent.state is IceState.CLOSED:
            return
        if self.agent.is_writable():
            with contextlib.suppress(NotConnected):  # a host that has slept too long: its agent is about to be told the time
                self.node.call(self.agent.send, bytes([TALK]) * self._payload)
        self._network.at(self._network.now + self._talks, lambda: self._when_awake(self._talk))

    def _hear(self) -> None:
        now = self._network.now
        if self._heard_at is not None and now - self._heard_at > self.silence:
            self.silence, self.silence_at = now - self._heard_at, self._heard_at
        self._heard_at = now

    @property
    def silence_until(self) -> float:
        """The longest silence, if the present one were to end now; 0 for who has never heard anything."""
        return 0.0 if self._heard_at is None else max(self.silence, self._network.now - self._heard_at)

    def _take(self, event: DataReceived) -> None:
        if event.data[0] == TALK:
            self._hear()
        elif self.caller:
            self.echoed += 1
        elif self.agent.is_writable(event.stream, event.component):
            self.node.call(self.agent.send, event.data, stream=event.stream, component=event.component)


def is_same_pair(pair: CandidatePair, other: CandidatePair) -> bool:
    """Whether two ends mean the same path by their pairs.

    Where a translator between the families is on the way, each end knows one of the addresses by another name.
    """
    near = pair.local.address == other.remote.address
    far = pair.remote.address == other.local.address
    if near and far:
        return True
    return (near or far) and _is_ipv6(pair) != _is_ipv6(other)


def _is_ipv6(pair: CandidatePair) -> bool:
    return isinstance(pair.remote.address, Address) and ":" in pair.remote.address.host
