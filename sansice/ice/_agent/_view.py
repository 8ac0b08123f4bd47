"""What may be read of the full agent: nothing here changes anything."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sansice.ice._candidate import Candidate
from sansice.ice._description import Credentials, Description
from sansice.ice._errors import ConsentLost, IceClosed, IceError, IceFailed
from sansice.ice._events import GatheringState, IceState
from sansice.ice._gathering._gatherer import Gatherer
from sansice.ice._mtu import data_mtu
from sansice.ice._nomination import RENOMINATION
from sansice.ice._pair import CandidatePair
from sansice.ice._role import IceRole
from sansice.ice._session_description import SessionDescription
from sansice.ice._telling._stats import IceStats
from sansice.machine import Address, LocalProtocolError, Machine, SocketId

from ._component import Component
from ._session import OVER, Session
from ._stream import Stream

if TYPE_CHECKING:
    from sansice.ice._tcp._paths import TcpPaths
    from sansice.ice._telling._explanation import Explanation
    from sansice.ice._telling._report import IceReport

    from ._moving import Moving
    from ._relaying import Relaying


class AgentView(Machine):
    """The readable half of `IceAgent`, which makes the parts; applications use that, not this.

    Attributes:
        stats: counters.
    """

    __slots__ = ("_gatherer", "_moving", "_relaying", "_session", "_streams", "_tcp", "_ungathered", "stats")

    _gatherer: Gatherer
    _moving: Moving | None  # since other addresses came for the first time
    _relaying: Relaying | None
    _session: Session
    _streams: tuple[Stream, ...]
    _tcp: TcpPaths | None
    _ungathered: tuple[int, ...]  # streams that have restarted, and nobody has called `IceAgent.gather` since
    stats: IceStats

    @property
    def state(self) -> IceState:
        """The state, in W3C's words; of several streams the joint one, as in ``RTCIceConnectionState``."""
        return self._session.state

    @property
    def states(self) -> tuple[IceState, ...]:
        """The state of each stream."""
        return tuple(self._session.states)

    @property
    def gathering_state(self) -> GatheringState:
        """How far gathering is; after a restart it is new, unless it goes on."""
        state = self._gatherer.state
        return GatheringState.NEW if self._ungathered and state is GatheringState.COMPLETE else state

    @property
    def role(self) -> IceRole:
        """The role of this moment; a conflict may have changed it."""
        return self._session.role

    @property
    def components(self) -> tuple[int, ...]:
        """How many components each stream has."""
        return tuple(len(stream.components) for stream in self._streams)

    @property
    def credentials(self) -> Credentials:
        """Ours, of the first stream; the others' are in `local_descriptions`."""
        return self._streams[0].checker.credentials

    @property
    def writable(self) -> bool:
        """Whether `send` would send on the first component of the first stream: from the first valid pair on."""
        return self._streams[0].components[0].path is not None

    def is_writable(self, stream: int = 0, component: int = 1) -> bool:
        """Whether `send` would send there, from the first valid pair on, until consent is lost.

        Raises:
            LocalProtocolError: no such stream or component.
        """
        return self._component(stream, component).path is not None

    @property
    def selected_pair(self) -> CandidatePair | None:
        """The nominated pair of the first component of the first stream, once there is one."""
        return self.selected_pair_of(0, 1)

    def selected_pair_of(self, stream: int = 0, component: int = 1) -> CandidatePair | None:
        """The nominated pair, once there is one.

        Raises:
            LocalProtocolError: no such stream or component.
        """
        selected = self._component(stream, component).conclusion.selected
        return None if selected is None else selected.snapshot()

    def path_of(self, stream: int = 0, component: int = 1) -> tuple[SocketId, Address] | None:
        """The socket and the address that `send` would use, from the first valid pair on.

        Raises:
            LocalProtocolError: no such stream or component.
        """
        return self._component(stream, component).path

    @property
    def data_mtu(self) -> int | None:
        """As `data_mtu_of`, of the first component of the first stream."""
        return self.data_mtu_of(0, 1)

    def data_mtu_of(self, stream: int = 0, component: int = 1) -> int | None:
        """Bytes of data that one packet carries there, if the path's packets are as large as ``IceConfig.path_mtu``.

        ``None`` where nothing is connected. `send` takes more, which IP cuts in pieces, and many a path drops those.

        Raises:
            LocalProtocolError: no such stream or component.
        """
        used = self._component(stream, component).used
        return None if used is None else data_mtu(used, self._session.config.path_mtu)

    @property
    def local_candidates(self) -> tuple[Candidate, ...]:
        """What was gathered so far, in order, of all streams."""
        return self._gatherer.candidates

    @property
    def remote_candidates(self) -> tuple[Candidate, ...]:
        """What the peer told and what its checks revealed, in order of arrival, stream by stream."""
        return tuple(
            candidate
            for stream in self._streams
            for conclusion in stream.checker.conclusions
            for candidate in conclusion.pairing.remotes.values()
        )

    @property
    def pairs(self) -> tuple[CandidatePair, ...]:
        """The checklists, stream by stream, each by decreasing priority."""
        return tuple(pair.snapshot() for checklist in self._session.lists for pair in checklist)

    @property
    def local_description(self) -> Description:
        """What the peer must be told of the first stream; complete once `gathering_state` is."""
        return self.describe(0)

    @property
    def local_descriptions(self) -> SessionDescription:
        """What the peer must be told of all streams; complete once `gathering_state` is."""
        return SessionDescription(tuple(self.describe(stream.index) for stream in self._streams))

    def describe(self, stream: int = 0) -> Description:
        """What the peer must be told of one stream.

        Raises:
            LocalProtocolError: no such stream.
        """
        own = self._stream(stream).checker.credentials
        return Description(
            own.ufrag,
            own.pwd,
            candidates=self._gatherer.candidates_of(stream),
            options=("ice2", RENOMINATION) if self._session.nomination.renominate else ("ice2",),  # RFC 8445 10
            pacing=round(self._session.config.ta * 1000),
            end_of_candidates=self.is_all_told,
        )

    @property
    def is_all_told(self) -> bool:
        """Whether no candidate of the present generation will follow those that there are (RFC 8838 13).

        Where gathering is continual that is so only once it can bring nothing any more.
        """
        return self.gathering_state is GatheringState.COMPLETE and self._gatherer.is_final

    @property
    def needs_restart(self) -> bool:
        """Whether `RestartNeeded` was told of a stream that has neither restarted nor found another pair since."""
        return self._moving is not None and self._moving.needs_restart(self._streams)

    @property
    def failure(self) -> IceError | None:
        """What waiting for this agent must raise, the same in every adapter; ``None`` while it lives, or one of its streams.

        `IceFailed` if nothing connected or the socket in use died, `ConsentLost` if the peer fell silent or said so,
        `IceClosed` after `close`. Of several streams, that of the first that never connected, or of the first.
        """
        state = self.state
        if state is IceState.CLOSED:
            return IceClosed("the connection is closed")
        if state is not IceState.FAILED:
            return None
        never = (stream.index for stream in self._streams if not stream.is_selected)
        return self.failure_of(next(never, 0))

    def failure_of(self, stream: int = 0) -> IceError | None:
        """What waiting for a stream must raise; ``None`` while it lives. See `failure`.

        Raises:
            LocalProtocolError: no such stream.
        """
        failed = self._stream(stream)
        if self.state is IceState.CLOSED:
            return IceClosed("the connection is closed")
        if self._session.states[stream] is not IceState.FAILED:
            return None
        if not failed.is_selected:
            return IceFailed(self.explain(), stream)
        of_stream = f" of stream {stream}" if len(self._streams) > 1 else ""
        lost = failed.lost_socket
        if lost is not None:
            return IceFailed(f"the socket in use{of_stream} was lost: {lost.text or lost.kind.value}\n{self.explain()}", stream)
        return ConsentLost(f"the peer{of_stream} no longer consents to receive; only a new connection can reach it", stream)

    def explain(self) -> Explanation:
        """What was tried, how far it got, and why nothing is connected: a text for a person, and what it was made of."""
        from ._explaining import explain  # for those who ask

        return explain(self._session, self._gatherer, self._streams)

    def report(self) -> IceReport:
        """What is counted, of pairs, candidates and components, as W3C's statistics have it: as it is now."""
        from ._reporting import report  # for those who ask

        return report(self._session, self._streams)

    @property
    def lingers(self) -> bool:
        """Whether it is closed and TURN servers are still to confirm that they have given up what they gave."""
        return self.state is IceState.CLOSED and self._relaying is not None and self._relaying.lingers

    def _require_open(self) -> None:
        if self.state is IceState.CLOSED:
            raise LocalProtocolError("the agent is closed")

    def _require_live(self) -> None:
        if self.state in OVER:
            raise LocalProtocolError(f"the agent is {self.state.value}; only new credentials can connect")

    def _stream(self, index: int) -> Stream:
        if type(index) is not int or not 0 <= index < len(self._streams):
            raise LocalProtocolError(f"there is no stream {index!r}: they are 0 to {len(self._streams) - 1}")
        return self._streams[index]

    def _component(self, stream: int, number: int) -> Component:
        components = self._stream(stream).components
        if type(number) is not int or not 1 <= number <= len(components):
            raise LocalProtocolError(f"there is no component {number!r}: those of stream {stream} are 1 to {len(components)}")
        return components[number - 1]
