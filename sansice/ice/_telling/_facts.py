"""What is known when somebody asks why nothing connects: values, which the rules of `_causes` judge."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import attrs

from sansice.ice._candidate import Candidate, CandidateAddress, CandidateType, TcpType
from sansice.ice._events import GatheringState, IceState, ServerAnswered, ServerFailed
from sansice.ice._pair import UNFINISHED, PairState
from sansice.ice._policy import CandidatePolicy
from sansice.ice._reachability import is_private
from sansice.ice._role import IceRole
from sansice.machine import Address, DropReason

from ._tally import CheckFailure, Ending

_TYPES = (CandidateType.HOST, CandidateType.PEER_REFLEXIVE, CandidateType.SERVER_REFLEXIVE, CandidateType.RELAYED)
_LIVING = frozenset({IceState.CONNECTED, IceState.COMPLETED})


class PairFact(NamedTuple):
    """One pair, and how far it got.

    Attributes:
        local, remote: the types; ``local`` is that of what checks are sent from, or of what they have shown.
        source, destination: the addresses.
        state: of its checks.
        sent, answered, heard: checks of ours, answers to them, checks of the peer's.
        nominated: whether it was selected.
        failure: why the last check failed.
        shown: source and destination as they may be told, where one of them is concealed by a name.
    """

    local: CandidateType
    remote: CandidateType
    source: Address
    destination: Address
    state: PairState
    sent: int
    answered: int
    heard: int
    nominated: bool
    failure: CheckFailure | None
    shown: tuple[CandidateAddress, CandidateAddress] | None = None

    @property
    def path(self) -> tuple[CandidateAddress, CandidateAddress]:
        """Source and destination as they may be told."""
        return self.shown or (self.source, self.destination)

    @property
    def kind(self) -> CandidateType:
        """By which kind of candidate it would connect: the more roundabout of both."""
        return max(self.local, self.remote, key=_TYPES.index)


@attrs.frozen(kw_only=True)
class ComponentFacts:
    """One component of one stream.

    Attributes:
        number: from 1.
        local: its candidates that are known, whether told or not.
        remote: the peer's.
        pairs: by decreasing priority.
        checks: how many authenticated ones came, also where there is no pair.
        selected: the pair that is selected, or was when it was lost.
        lost_names: names of the peer's candidates that lead nowhere, or are not looked for.
    """

    number: int
    local: tuple[Candidate, ...]
    remote: tuple[Candidate, ...]
    pairs: tuple[PairFact, ...]
    checks: int = 0
    selected: PairFact | None = None
    lost_names: tuple[str, ...] = ()

    @property
    def is_valid(self) -> bool:
        """Whether a pair works."""
        return any(pair.state is PairState.SUCCEEDED for pair in self.pairs)

    @property
    def is_awaiting(self) -> bool:
        """Whether there is nothing to check because the peer is to open the connection (RFC 6544 6.2)."""
        listens = any(one.tcp_type is TcpType.PASSIVE for one in self.local)
        return listens and not self.pairs and any(one.tcp_type is TcpType.ACTIVE for one in self.remote)


@attrs.frozen(kw_only=True)
class StreamFacts:
    """One stream.

    Attributes:
        index: from 0.
        state: of this stream.
        components: those that count.
        is_known: whether the peer's description is.
        peer_is_lite: whether it says so.
        is_complete: whether the peer has no more candidates.
        is_patient: whether it may not fail yet (RFC 8863).
        has_names: whether names of the peer's candidates are still being looked up.
        is_restarting: it has restarted, and the peer has not answered that.
        nomination_failed: whether a nomination was refused, or nobody answered it.
        ending: how consent on a pair in use ended.
        lost_socket: of a pair in use, and why; "" if none was lost.
    """

    index: int
    state: IceState
    components: tuple[ComponentFacts, ...]
    is_known: bool
    peer_is_lite: bool = False
    is_complete: bool = False
    is_patient: bool = False
    has_names: bool = False
    is_restarting: bool = False
    nomination_failed: bool = False
    ending: Ending | None = None
    lost_socket: str = ""

    @property
    def pairs(self) -> tuple[PairFact, ...]:
        """Of all its components."""
        return tuple(pair for component in self.components for pair in component.pairs)

    @property
    def selected(self) -> PairFact | None:
        """That of the first component that has one."""
        return next((one.selected for one in self.components if one.selected is not None), None)

    @property
    def is_unnominated(self) -> bool:
        """Whether there was time enough to select a pair for every component, and one has none."""
        return bool(self.missing) and not self.is_patient

    @property
    def missing(self) -> tuple[ComponentFacts, ...]:
        """The components that have no pair in use."""
        return tuple(component for component in self.components if component.selected is None)


@attrs.frozen(kw_only=True)
class Facts:
    """All that an agent knows of how it came to where it is.

    Attributes:
        state, role, gathering: of the agent.
        is_lite: whether it is a lite one.
        policy: what it hides.
        streams: in order.
        servers: what each said, the latest last.
        has_servers: whether it was given any.
        socket_error: why the last socket could not be opened; "" where all could.
        dropped: what arrived and was dropped.
    """

    state: IceState
    role: IceRole
    gathering: GatheringState
    is_lite: bool
    policy: CandidatePolicy
    streams: tuple[StreamFacts, ...]
    servers: tuple[ServerAnswered | ServerFailed, ...]
    has_servers: bool
    socket_error: str
    dropped: Mapping[DropReason, int]

    @property
    def troubled(self) -> tuple[StreamFacts, ...]:
        """The streams that are not connected, or that nobody nominates a pair of though there was time enough."""
        return tuple(stream for stream in self.streams if stream.state not in _LIVING or stream.is_unnominated)

    @property
    def missing(self) -> tuple[ComponentFacts, ...]:
        """The components of these that have no pair in use."""
        return tuple(component for stream in self.troubled for component in stream.missing)

    @property
    def is_over(self) -> bool:
        """Whether trying has led nowhere: all that could be checked has been, and what is still possible is a surprise."""
        if any(stream.state is IceState.FAILED for stream in self.troubled):
            return True
        return all(not stream.is_patient and not self._is_trying(stream) for stream in self.troubled)

    @staticmethod
    def _is_trying(stream: StreamFacts) -> bool:
        return stream.has_names or any(pair.state in UNFINISHED for pair in stream.pairs)

    @property
    def pairs(self) -> tuple[PairFact, ...]:
        """Those of the components that have no pair in use."""
        return tuple(pair for component in self.missing for pair in component.pairs)

    @property
    def local(self) -> tuple[Candidate, ...]:
        """Those of the components that have no pair in use."""
        return tuple(candidate for component in self.missing for candidate in component.local)

    @property
    def remote(self) -> tuple[Candidate, ...]:
        """Those of the components that have no pair in use."""
        return tuple(candidate for component in self.missing for candidate in component.remote)

    @property
    def answered(self) -> tuple[ServerAnswered, ...]:
        """The servers that had something to give."""
        return tuple(one for one in self.servers if isinstance(one, ServerAnswered))

    @property
    def failed(self) -> tuple[ServerFailed, ...]:
        """The servers that had nothing, or said nothing."""
        return tuple(one for one in self.servers if isinstance(one, ServerFailed))

    def count(self, *reasons: DropReason) -> int:
        """How often something was dropped for one of these reasons."""
        return sum(self.dropped.get(reason, 0) for reason in reasons)


def is_public(address: object) -> bool:
    """Whether an address means the same everywhere. Networks for documents count: they stand for real ones."""
    return isinstance(address, Address) and not is_private(address)
