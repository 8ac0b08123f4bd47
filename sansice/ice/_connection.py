"""What a connection of an adapter does without a runtime: `IceConnectionBase`.

The three adapters have one `IceConnection` each. All of it that never waits stands here: the arguments of
``open_ice``, the agent, the queue of what was received, what may be read, and what is raised when it is over.
An adapter adds the waiting.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeAlias, TypeVar, Unpack, cast

import attrs

from sansice.driver import NoRecorder, Recorder
from sansice.machine import Address, DropReason, Event, LocalProtocolError, SocketId, Transport

from ._agent._agent import IceAgent
from ._arguments import Agent, IceArguments, make_agent
from ._candidate import Candidate
from ._description import Credentials, Description
from ._errors import IceClosed, NotConnected, WouldBlock
from ._events import DataReceived, GatheringState, IceState, IceStateChanged, PairSelected, Restarted
from ._handover import Handover, LentSocket
from ._inbox import Inbox
from ._pair import CandidatePair
from ._role import IceRole
from ._session_description import SessionDescription
from ._state_log import StateLog

if TYPE_CHECKING:
    from ._gathering._host_list import HostsGiven
    from ._gathering._hosts import HostAddress
    from ._telling._explanation import Explanation
    from ._telling._report import IceReport

R = TypeVar("R")

_NOBODY = NoRecorder()
# In these a component of a stream has no selected pair yet: nobody need look who waits for all of them.
_UNDER_WAY = frozenset({IceState.NEW, IceState.CHECKING, IceState.CONNECTED})


class ConnectionDriver(Protocol):
    """What a connection needs of the driver that runs its agent."""

    @property
    def lost(self) -> Mapping[str, int]:
        """How many datagrams were not sent, by reason."""
        ...

    def call(self, command: Callable[..., R], *args: object, **kwargs: object) -> R:
        """Run a command of the agent's with ``now`` filled in, and perform what it wants."""
        ...

    def lend(self, id: SocketId) -> LentSocket | None:
        """Read a UDP socket no more, and give a duplicate of it; ``None``: there is no such socket."""
        ...


D = TypeVar("D", bound=ConnectionDriver)

MakeDriver: TypeAlias = Callable[[Agent, Callable[[Event], None], Sequence[int] | None], D]
"""``make(agent, deliver, ports)``: a driver that is not running yet."""


class IceConnectionBase(Generic[D]):
    """The part of an adapter's ``IceConnection`` that never waits. Applications use that, not this.

    A runtime supplies `_wake`, `_host_addresses` and `_address_of`. Whoever waits looks at the agent, waits until `_wake` is
    called, and looks again; `_raise_if_over` says when there is nothing to wait for any more.

    Args:
        make_driver: given the agent, where to deliver its events, and the local ports to choose from.
        arguments: of ``open_ice``.

    Raises:
        LocalProtocolError: an argument that is wrong, or not supported yet.
    """

    __slots__ = (
        "_addresses",
        "_agent",
        "_driver",
        "_inboxes",
        "_include_loopback",
        "_interface_filter",
        "_left",
        "_recorder",
        "_remote",
        "_restarting",
        "_states",
        "_trickle",
        "_watch_network",
    )

    def __init__(self, make_driver: MakeDriver[D], **arguments: Unpack[IceArguments]) -> None:
        recorder = arguments.get("recorder", _NOBODY)
        try:
            agent = make_agent(arguments, recorder)
        except BaseException:
            recorder.close()
            raise
        self._interface_filter = arguments["interface_filter"]
        self._watch_network = arguments["watch_network"]
        ports = arguments["port_range"]
        self._stand_on(
            agent,
            make_driver(agent, self._deliver, ports and range(ports[0], ports[1] + 1)),
            recorder=recorder,
            trickle=arguments["trickle"],
            include_loopback=arguments["include_loopback"],
            queue=(arguments["max_queued"], arguments["max_queued_bytes"]),
        )

    def _stand_on(
        self,
        agent: Agent,
        driver: D,
        *,
        recorder: Recorder = _NOBODY,
        trickle: bool,
        include_loopback: bool | None,
        queue: tuple[int, int],
    ) -> None:
        """Begin with this agent, and what runs it: a driver of its own, or a service that runs many (``serve_ice``)."""
        self._agent: Agent = agent
        self._driver: D = driver
        self._recorder: Recorder = recorder
        self._include_loopback = include_loopback
        self._trickle = trickle
        self._inboxes = tuple(tuple(Inbox(*queue) for _ in range(count)) for count in agent.components)
        self._states: StateLog | None = None  # made for the first who wants to read them
        self._addresses: HostsGiven = ()  # that were gathered from
        self._remote: Description | SessionDescription | None = None  # the last that was told of the peer
        self._restarting: dict[int, int] | None = None  # of each stream that restarts, a bit for each component not selected yet
        self._left = False
        self._prepare()

    # ------------------------------------------------------------- what a runtime supplies

    def _prepare(self) -> None:
        """Make what those need who will wait. The agent and its driver are known."""

    def _wake(self, inbox: Inbox | None = None) -> None:
        """Have everybody who waits look again; where data has come into ``inbox``, its readers, and who waits for anything.

        Called within a step of the machine, so it runs nobody.
        """
        raise NotImplementedError

    def _host_addresses(self, *, in_use: HostsGiven = (), refresh: bool = False) -> HostsGiven:
        """The machine's own addresses that ``_interface_filter`` lets through.

        Args:
            in_use: those that the agent has; of them the ones that are there still belong to it, however old.
            refresh: as they are at this moment.
        """
        raise NotImplementedError

    @staticmethod
    def _address_of(source: Any) -> Address:
        """The address that ``recvfrom`` means."""
        raise NotImplementedError

    def _look(self, read: Callable[[], R]) -> R:
        """Read more than one thing of the agent. A runtime with threads keeps them out meanwhile."""
        return read()

    # ------------------------------------------------------------- what may be read

    @property
    def state(self) -> IceState:
        """The state, in W3C's words."""
        return self._agent.state

    @property
    def role(self) -> IceRole:
        """The role of this moment."""
        return self._agent.role

    @property
    def writable(self) -> bool:
        """Whether `send` would send, on the first component of the first stream: from the first valid pair on."""
        return self._agent.writable

    @property
    def selected_pair(self) -> CandidatePair | None:
        """The nominated pair, once there is one, of the first component of the first stream."""
        return self._agent.selected_pair

    @property
    def components(self) -> tuple[int, ...]:
        """How many components each stream has."""
        return self._agent.components

    def is_writable(self, *, stream: int = 0, component: int = 1) -> bool:
        """Whether `send` would send to that component.

        Raises:
            LocalProtocolError: there is no such component.
        """
        return self._agent.is_writable(stream, component)

    def selected_pair_of(self, *, stream: int = 0, component: int = 1) -> CandidatePair | None:
        """The nominated pair of a component, once there is one.

        Raises:
            LocalProtocolError: there is no such component.
        """
        return self._look(lambda: self._agent.selected_pair_of(stream, component))

    def data_mtu_of(self, *, stream: int = 0, component: int = 1) -> int | None:
        """Bytes of data that a packet carries there. See `IceAgent.data_mtu_of`."""
        return self._look(lambda: self._agent.data_mtu_of(stream, component))

    @property
    def pairs(self) -> tuple[CandidatePair, ...]:
        """All pairs, stream by stream, by decreasing priority."""
        return self._look(lambda: self._agent.pairs)

    @property
    def local_candidates(self) -> tuple[Candidate, ...]:
        """What was gathered so far."""
        return self._agent.local_candidates

    @property
    def remote_candidates(self) -> tuple[Candidate, ...]:
        """What the peer told, and what its checks revealed."""
        return self._look(lambda: self._agent.remote_candidates)

    @property
    def local_description(self) -> Description:
        """What to tell the peer, with the candidates gathered so far.

        Where there are several streams it is `local_descriptions`. No type checker is told so, because it hangs on an
        argument, and whoever has one stream, as most have, would be asked which of the two he means.
        """
        agent = self._agent
        if len(agent.components) > 1:
            return cast("Description", self.local_descriptions)
        return self._told(self._look(lambda: agent.local_description))

    @property
    def local_descriptions(self) -> SessionDescription:
        """What to tell the peer of all streams, with the candidates gathered so far."""
        session = self._look(lambda: self._agent.local_descriptions)
        return attrs.evolve(session, streams=map(self._told, session.streams))

    def _told(self, description: Description) -> Description:
        if not self._trickle:
            return description
        return attrs.evolve(description, options=(*description.options, "trickle"))

    @property
    def lost(self) -> Mapping[str, int]:
        """How many datagrams the system refused to send, by reason."""
        return self._driver.lost

    def stats(self) -> IceReport:
        """What was counted until now, also of each pair, candidate and component, as W3C's ``getStats()`` has it."""
        return self._look(self._agent.report)

    def explain(self) -> Explanation:
        """What was tried, how far it got, and why nothing is connected: a text for a person, with ``to_json()`` for a program."""
        return self._look(self._agent.explain)

    # ------------------------------------------------------------- commands that never wait

    def set_remote(self, remote: Description | SessionDescription) -> None:
        """Tell the agent what the peer says of itself: again, with candidates that are new, or because it has restarted.

        Other credentials are the peer's restart (RFC 8445 9): then `gather`, tell the peer `local_description`, and wait with
        `connected`. Of the first description, and of the answer to a restart, `connect` tells the agent.

        Raises:
            LocalProtocolError: see `IceAgent.set_remote`.
        """
        self._driver.call(self._agent.set_remote, remote)
        self._remote = remote

    def add_remote_candidate(self, candidate: Candidate, *, stream: int = 0, ufrag: str | None = None) -> bool:
        """Add a candidate that the peer trickled. See `IceAgent.add_remote_candidate`."""
        return self._driver.call(self._agent.add_remote_candidate, candidate, stream=stream, ufrag=ufrag)

    def end_of_candidates(self, *, stream: int | None = None, ufrag: str | None = None) -> None:
        """The peer has no more candidates, of one stream or of all. See `IceAgent.end_of_candidates`."""
        self._driver.call(self._agent.end_of_candidates, stream=stream, ufrag=ufrag)

    def restart(
        self, *, stream: int | None = None, credentials: Credentials | Sequence[Credentials] | None = None
    ) -> Credentials:
        """Begin again with new credentials (RFC 8445 9), all streams or one; also after a failure.

        Data goes on over the pair in use until the new ones are selected. Tell the peer what `gather` returns next, and
        `connect` with its answer.

        Args:
            stream: which; ``None`` is all of them.
            credentials: used as given, for all these streams or for each one its own; drawn otherwise.

        Returns:
            The new credentials, of the first of these streams.

        Raises:
            LocalProtocolError: the connection is closed; see `IceAgent.restart`.
        """
        return self._driver.call(self._agent.restart, stream=stream, credentials=credentials)

    def update_addresses(self, addresses: HostsGiven | None = None) -> None:
        """Go on with the addresses that the machine has now. See `IceAgent.update_addresses`.

        ``open_ice(watch_network=...)`` does it by itself.

        Args:
            addresses: all that are to be used, where you know better than the system. They stay, whatever it says, until others
                are given, or none: then it is asked, now and from now on.

        Raises:
            LocalProtocolError: nothing was gathered yet, or the connection is closed; an address that is none.
        """
        if addresses is None:
            addresses = self._host_addresses(in_use=self._addresses, refresh=True)
        elif not isinstance(addresses, str):  # which the agent refuses
            addresses = _Given(addresses)
        self._go_on_with(addresses)

    def _go_on_with(self, addresses: HostsGiven) -> None:
        self._driver.call(self._agent.update_addresses, _plain(addresses), include_loopback=self._include_loopback)
        self._addresses = addresses

    @property
    def needs_restart(self) -> bool:
        """Whether only `restart` brings a stream back (`RestartNeeded`): other addresses, or nobody answers any more."""
        return self._agent.needs_restart

    def close(self) -> None:
        """Close the agent now. Whoever waits gets `IceClosed`; a second call is harmless."""
        self._driver.call(self._agent.close)

    def nominate(self, pair: CandidatePair, *, stream: int = 0) -> None:
        """Have this valid pair be used. See `IceAgent.nominate`.

        Raises:
            LocalProtocolError: this end does not control, or is lite; the pair is not a valid one.
        """
        agent = self._agent
        if not isinstance(agent, IceAgent):
            raise LocalProtocolError("nominate(): a lite agent nominates nothing; the peer does")
        self._driver.call(agent.nominate, pair, stream=stream)

    def send_nowait(self, data: bytes, *, stream: int = 0, component: int = 1) -> None:
        """Send a datagram, from the first valid pair on. What the system refuses is lost, and counted in `lost`.

        Raises:
            NotConnected: no pair is valid; nothing was done.
            LocalProtocolError: data that cannot be sent. See `IceAgent.send`.
        """
        if self._agent.failure is not None or self._left:
            self._raise_if_over()  # rather than what is missing, which the agent says
        self._driver.call(self._agent.send, data, stream=stream, component=component)

    def receive_nowait(self, *, stream: int = 0, component: int = 1) -> bytes:
        """The oldest datagram that waits.

        Raises:
            WouldBlock: none does.
        """
        inbox = self._inbox(stream, component)
        if not inbox:
            self._raise_if_over()
            self._raise_if_over_of(stream)
            raise WouldBlock("receive_nowait(): nothing has arrived")
        return inbox.take()

    def detach(self, *, stream: int = 0, component: int = 1) -> Handover:
        """Hand over the socket and the peer's address of a component, for who moves the data himself.

        The agent does not read the socket any more, but goes on watching the path; see `Handover` for what it has to be
        given. `send` works as before. A second call gives another duplicate.

        Raises:
            NotConnected: no pair is selected.
            LocalProtocolError: the data takes the way over a relay, which only the agent knows; or the sockets are no real ones.
        """
        self._inbox(stream, component)
        self._raise_if_over()
        return self._look(lambda: self._hand_over(stream, component))

    def _hand_over(self, stream: int, component: int) -> Handover:
        pair, path = self.selected_pair_of(stream=stream, component=component), self._path(stream, component)
        if pair is None or path is None:
            raise NotConnected(f"detach(): no pair is selected; ICE is {self.state.value}")
        if pair.local.transport is Transport.TCP:
            raise LocalProtocolError("detach(): the data goes over TCP, beside checks in one stream: no socket of its own")
        id, remote = path
        lent = self._driver.lend(id)
        if lent is None:
            raise LocalProtocolError("detach(): the data takes the way over a relay, which has no socket of its own")
        return Handover(self, (stream, component), lent, id, self._address_of(lent.getsockname()), remote)

    def _path(self, stream: int, component: int) -> tuple[SocketId, Address] | None:
        return self._agent.path_of(stream, component)

    def _hear(self, id: SocketId, source: Address, data: bytes) -> None:
        self._driver.call(self._agent.handle_datagrams, id, [(source, data)])

    # ------------------------------------------------------------- what the waiting is made of

    def _start_gathering(self) -> None:
        if self._agent.gathering_state is GatheringState.NEW:
            self._raise_if_over()
            if not isinstance(self._addresses, _Given):
                self._addresses = self._host_addresses()
            self._driver.call(self._agent.gather, _plain(self._addresses), include_loopback=self._include_loopback)

    @property
    def _interval(self) -> float | None:
        """Seconds between two looks at the network, where they were given."""
        watch = self._watch_network
        return None if isinstance(watch, bool) else watch

    def _look_at_network(self, *, refresh: bool = True) -> None:
        """Go on with the addresses that the machine has now, if they are others than before."""
        if self._is_closed() or self._agent.gathering_state is GatheringState.NEW:  # who gathers later looks then
            return
        if isinstance(self._addresses, _Given):
            return
        addresses = self._host_addresses(in_use=self._addresses, refresh=refresh)
        if addresses != self._addresses:
            self._go_on_with(addresses)

    def _is_closed(self) -> bool:
        return self._agent.state is IceState.CLOSED or self._left

    def _has_all_candidates(self) -> bool:
        agent = self._agent
        return agent.is_all_told if isinstance(agent, IceAgent) else self._is_gathered()

    def _is_gathered(self) -> bool:
        return self._agent.gathering_state is GatheringState.COMPLETE

    def _complete_description(self) -> Description:
        if self._agent.state is IceState.CLOSED:  # which ends gathering too
            self._raise_if_over()
        return self.local_description

    def _candidate(self, stream: int, given: list[Candidate]) -> Candidate | None:
        """The first local candidate that is not among those ``given``, which are forgotten once they are withdrawn."""
        agent = self._agent
        found = agent.local_candidates if len(agent.components) == 1 else agent.describe(stream).candidates
        if len(given) == len(found) and given and given[-1] is found[-1]:
            return None  # as whenever somebody looks for no reason
        given[:] = [candidate for candidate in given if candidate in found]
        return next((candidate for candidate in found if candidate not in given), None)

    def _start_connecting(self, remote: Description | SessionDescription) -> None:
        self._raise_if_over()
        if self._remote is not None and _credentials_of(self._remote) == _credentials_of(remote):
            raise LocalProtocolError("connect() was called before: wait with connected()")
        self._start_gathering()
        self.set_remote(remote)
        self._start_gathering()  # for the generation that other credentials of the peer have begun

    def _connected_pair(self) -> CandidatePair | None:
        """The selected pair of the first component; ``None`` while there may still be one of any component."""
        self._raise_if_over()
        if self._agent.state is IceState.COMPLETED:  # perhaps without components that the peer has not
            return self._agent.selected_pair
        if self._restarting or self._is_under_way():
            return None
        selected = [
            self._agent.selected_pair_of(stream, component + 1)
            for stream, components in enumerate(self._agent.components)
            for component in range(components)
        ]
        if None not in selected:
            return selected[0]
        for stream in range(len(self._inboxes)):
            self._raise_if_over_of(stream)
        return None

    def _is_under_way(self) -> bool:
        """Whether some component has certainly no selected pair. Of several streams one may have failed after it had."""
        return len(self._inboxes) == 1 and self._agent.state in _UNDER_WAY

    def _inbox(self, stream: int, component: int) -> Inbox:
        if not (0 <= stream < len(self._inboxes) and 1 <= component <= len(self._inboxes[stream])):
            raise LocalProtocolError(f"there is no stream {stream} with a component {component}")
        return self._inboxes[stream][component - 1]

    def _all_inboxes(self) -> Iterator[Inbox]:
        return chain.from_iterable(self._inboxes)

    def _resize(self, stream: int, component: int, max_queued: int | None, max_queued_bytes: int | None) -> None:
        """Bound what may wait of a component otherwise than was said when the connection was opened."""
        inbox = self._inbox(stream, component)
        if min(max_queued or 1, max_queued_bytes or 1) < 1 or 0 in (max_queued, max_queued_bytes):
            raise LocalProtocolError("channel(): a queue of less than one datagram")
        inbox.max_queued = max_queued or inbox.max_queued
        inbox.max_queued_bytes = max_queued_bytes or inbox.max_queued_bytes

    def _log(self) -> StateLog:
        """The states, from now on at the latest."""
        if self._states is None:
            self._states = StateLog(self._agent.state)
        return self._states

    def _deliver(self, event: Event) -> None:
        if type(event) is DataReceived:
            stream, component, data = event
            inbox = self._inboxes[stream][component - 1]
            dropped = inbox.put(data)
            if dropped:
                self._agent.stats.dropped[DropReason.QUEUE_FULL] += dropped
            self._wake(inbox)
            return
        if type(event) is IceStateChanged:
            if self._states is not None:
                self._states.append(event.new)
        elif type(event) is Restarted:
            self._restarting = {**(self._restarting or {}), event.stream: (1 << self._agent.components[event.stream]) - 1}
        elif type(event) is PairSelected and self._restarting:
            missing = self._restarting.get(event.stream, 0) & ~(1 << (event.component - 1))
            others = {stream: bits for stream, bits in self._restarting.items() if stream != event.stream}
            self._restarting = ({**others, event.stream: missing} if missing else others) or None
        self._wake()

    def _leave(self) -> None:
        """The block is left: whoever still waits waits in vain."""
        self._left = True
        self._recorder.close()
        self._wake()

    def _raise_if_over_of(self, stream: int) -> None:
        """There is nothing to wait for of this stream, though others may go on."""
        if len(self._inboxes) > 1 and (error := self._agent.failure_of(stream)) is not None:
            raise error

    def _raise_if_over(self) -> None:
        error = self._agent.failure
        if error is not None:
            raise error
        if self._left:  # the driver broke down before it could close the agent
            raise IceClosed("the connection is closed")


class _Given(tuple["HostAddress | str", ...]):
    """Addresses of which the application knows better than the system."""

    __slots__ = ()


def _plain(addresses: HostsGiven) -> HostsGiven:
    """As a recording can hold them."""
    return [*addresses] if isinstance(addresses, _Given) else addresses


def _credentials_of(remote: object) -> tuple[tuple[str, str], ...]:
    """The credentials of each stream; of what is no description, none."""
    if isinstance(remote, Description):
        return ((remote.ufrag, remote.pwd),)
    return tuple((one.ufrag, one.pwd) for one in remote.streams) if isinstance(remote, SessionDescription) else ()
