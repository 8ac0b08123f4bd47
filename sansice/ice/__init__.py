"""ICE, RFC 8445: find a path between two programs, however many NATs are between them.

`IceAgent` is the machine, `LiteAgent` the small one for servers that anybody can reach. What two agents exchange is a
`Description`; what adapters raise is an `IceError`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from ._agent._agent import IceAgent as IceAgent
from ._agent._pacer import Pacer as Pacer
from ._candidate import (
    Candidate as Candidate,
    CandidateType as CandidateType,
    HostName as HostName,
    TcpType as TcpType,
    UnsupportedCandidate as UnsupportedCandidate,
)
from ._config import IceConfig as IceConfig
from ._description import Credentials as Credentials, Description as Description
from ._errors import (
    ConsentLost as ConsentLost,
    IceClosed as IceClosed,
    IceError as IceError,
    IceFailed as IceFailed,
    NotConnected as NotConnected,
    WouldBlock as WouldBlock,
)
from ._events import (
    CandidateGathered as CandidateGathered,
    CandidatesChosen as CandidatesChosen,
    Closed as Closed,
    ConsentExpired as ConsentExpired,
    DataReceived as DataReceived,
    GatheringCompleted as GatheringCompleted,
    GatheringState as GatheringState,
    IceState as IceState,
    IceStateChanged as IceStateChanged,
    NominationRefused as NominationRefused,
    PairSelected as PairSelected,
    PairValidated as PairValidated,
    Restarted as Restarted,
    RestartNeeded as RestartNeeded,
    ServerAnswered as ServerAnswered,
    ServerFailed as ServerFailed,
    StreamFailed as StreamFailed,
)
from ._gathering._addresses import usable_addresses as usable_addresses
from ._gathering._options import GatheringOptions as GatheringOptions
from ._nomination import Choice as Choice, Nomination as Nomination, Nominee as Nominee
from ._pair import CandidatePair as CandidatePair, PairState as PairState
from ._policy import CandidatePolicy as CandidatePolicy
from ._priority import candidate_priority as candidate_priority, pair_priority as pair_priority
from ._role import IceRole as IceRole
from ._server import IceServer as IceServer
from ._session_description import SessionDescription as SessionDescription
from ._telling._stats import IceStats as IceStats
from ._telling._tally import CheckFailure as CheckFailure

if TYPE_CHECKING:
    from ._arguments import (
        IceArguments as IceArguments,
    )
    from ._async_connection import (
        AsyncCandidates as AsyncCandidates,
        AsyncIceChannel as AsyncIceChannel,
        AsyncIceConnection as AsyncIceConnection,
        AsyncIceStates as AsyncIceStates,
    )
    from ._channel import (
        IceChannelBase as IceChannelBase,
    )
    from ._connection import (
        ConnectionDriver as ConnectionDriver,
        IceConnectionBase as IceConnectionBase,
        MakeDriver as MakeDriver,
    )
    from ._gathering._hosts import (
        HostAddress as HostAddress,
        InterfaceKind as InterfaceKind,
    )
    from ._gathering._rewrite import (
        RewriteMode as RewriteMode,
        RewriteRule as RewriteRule,
    )
    from ._handover import (
        Handover as Handover,
    )
    from ._inbox import (
        MAX_QUEUED as MAX_QUEUED,
        MAX_QUEUED_BYTES as MAX_QUEUED_BYTES,
        Inbox as Inbox,
    )
    from ._lite._agent import LiteAgent as LiteAgent
    from ._mdns._agent import (
        MdnsAgent as MdnsAgent,
    )
    from ._mdns._config import (
        MdnsConfig as MdnsConfig,
    )
    from ._mdns._events import (
        NameFailed as NameFailed,
        NameFailure as NameFailure,
        NameResolved as NameResolved,
    )
    from ._mdns._stats import (
        MdnsStats as MdnsStats,
    )
    from ._mdns_name import (
        is_concealing_name as is_concealing_name,
        is_mdns_name as is_mdns_name,
        mdns_name as mdns_name,
    )
    from ._mux._config import MuxConfig as MuxConfig
    from ._mux._events import (
        AgentEvent as AgentEvent,
        AgentId as AgentId,
        MuxState as MuxState,
        UfragTaken as UfragTaken,
        UnknownUfrag as UnknownUfrag,
    )
    from ._mux._mux import IceMux as IceMux
    from ._reception._admission import (
        Admission as Admission,
        Admit as Admit,
        ReceptionLimits as ReceptionLimits,
        recordable as recordable,
    )
    from ._reception._async_service import AsyncIceService as AsyncIceService
    from ._reception._events import (
        AdmissionFailed as AdmissionFailed,
        PeerAdmitted as PeerAdmitted,
        PeerArrived as PeerArrived,
        ReceptionStats as ReceptionStats,
    )
    from ._reception._member_driver import (
        MemberDriver as MemberDriver,
        ReceptionDriver as ReceptionDriver,
    )
    from ._reception._places import read_places as read_places
    from ._reception._reception import IceReception as IceReception
    from ._reception._service import (
        SERVICE_EVENTS as SERVICE_EVENTS,
        HandlerFailed as HandlerFailed,
        IceServiceBase as IceServiceBase,
    )
    from ._sdp._attributes import (
        IceAttributes as IceAttributes,
        RemoteCandidate as RemoteCandidate,
    )
    from ._sdp._defaults import (
        DefaultFamily as DefaultFamily,
    )
    from ._sdp._fragment import (
        FragmentSection as FragmentSection,
        TrickleFragment as TrickleFragment,
    )
    from ._sdp._mismatch import (
        find_mismatches as find_mismatches,
    )
    from ._sdp._offer_answer import (
        IceUse as IceUse,
        MismatchPolicy as MismatchPolicy,
        OfferAnswer as OfferAnswer,
        RemoteIce as RemoteIce,
        SignalingState as SignalingState,
    )
    from ._sdp._section import (
        MediaSection as MediaSection,
    )
    from ._sdp._session import (
        SessionSdp as SessionSdp,
    )
    from ._sdp._subsequent import (
        RaceVerdict as RaceVerdict,
        StreamOutcome as StreamOutcome,
        judge_remote_candidates as judge_remote_candidates,
        needs_offer as needs_offer,
    )
    from ._sdp._trickle import (
        Trickled as Trickled,
        TrickleReceiver as TrickleReceiver,
        TrickleSender as TrickleSender,
    )
    from ._sdp._writing import (
        CredentialLevel as CredentialLevel,
    )
    from ._state_log import (
        MAX_STATES as MAX_STATES,
        IceStatesBase as IceStatesBase,
    )
    from ._telling._causes import (
        Cause as Cause,
        Finding as Finding,
    )
    from ._telling._explanation import (
        Explanation as Explanation,
        Progress as Progress,
    )
    from ._telling._report import (
        CandidatePairStats as CandidatePairStats,
        CandidateStats as CandidateStats,
        IceReport as IceReport,
        TransportStats as TransportStats,
    )

# What a program with an ordinary agent does without is imported when it is first asked for.
_LAZY: dict[str, tuple[str, ...]] = {
    # what adapters are made of
    "_arguments": ("IceArguments",),
    "_async_connection": (
        "AsyncCandidates",
        "AsyncIceChannel",
        "AsyncIceConnection",
        "AsyncIceStates",
    ),
    "_channel": ("IceChannelBase",),
    "_connection": (
        "ConnectionDriver",
        "IceConnectionBase",
        "MakeDriver",
    ),
    "_handover": ("Handover",),
    "_inbox": (
        "MAX_QUEUED",
        "MAX_QUEUED_BYTES",
        "Inbox",
    ),
    "_state_log": (
        "MAX_STATES",
        "IceStatesBase",
    ),
    # what few programs need
    "_gathering._hosts": (
        "HostAddress",
        "InterfaceKind",
    ),
    "_gathering._rewrite": (
        "RewriteMode",
        "RewriteRule",
    ),
    "_sdp._trickle": (
        "Trickled",
        "TrickleReceiver",
        "TrickleSender",
    ),
    "_sdp._subsequent": (
        "RaceVerdict",
        "StreamOutcome",
        "judge_remote_candidates",
        "needs_offer",
    ),
    "_sdp._offer_answer": (
        "IceUse",
        "MismatchPolicy",
        "OfferAnswer",
        "RemoteIce",
        "SignalingState",
    ),
    "_sdp._fragment": (
        "FragmentSection",
        "TrickleFragment",
    ),
    "_sdp._writing": ("CredentialLevel",),
    "_sdp._session": ("SessionSdp",),
    "_sdp._section": ("MediaSection",),
    "_sdp._mismatch": ("find_mismatches",),
    "_sdp._defaults": ("DefaultFamily",),
    "_sdp._attributes": (
        "IceAttributes",
        "RemoteCandidate",
    ),
    "_lite._agent": ("LiteAgent",),
    "_reception._admission": (
        "Admission",
        "Admit",
        "ReceptionLimits",
        "recordable",
    ),
    "_reception._async_service": ("AsyncIceService",),
    "_reception._events": (
        "AdmissionFailed",
        "PeerAdmitted",
        "PeerArrived",
        "ReceptionStats",
    ),
    "_reception._member_driver": (
        "MemberDriver",
        "ReceptionDriver",
    ),
    "_reception._places": ("read_places",),
    "_reception._reception": ("IceReception",),
    "_reception._service": (
        "SERVICE_EVENTS",
        "HandlerFailed",
        "IceServiceBase",
    ),
    "_mux._mux": ("IceMux",),
    "_mux._config": ("MuxConfig",),
    "_mux._events": (
        "AgentEvent",
        "AgentId",
        "MuxState",
        "UfragTaken",
        "UnknownUfrag",
    ),
    "_mdns._agent": ("MdnsAgent",),
    "_mdns._config": ("MdnsConfig",),
    "_mdns._events": (
        "NameFailed",
        "NameFailure",
        "NameResolved",
    ),
    "_mdns_name": (
        "is_concealing_name",
        "is_mdns_name",
        "mdns_name",
    ),
    "_mdns._stats": ("MdnsStats",),
    "_telling._causes": (
        "Cause",
        "Finding",
    ),
    "_telling._explanation": (
        "Explanation",
        "Progress",
    ),
    "_telling._report": (
        "CandidatePairStats",
        "CandidateStats",
        "IceReport",
        "TransportStats",
    ),
}
_MODULE_OF = {name: module for module, names in _LAZY.items() for name in names}

if not TYPE_CHECKING:  # pragma: no branch  (false for checkers alone: for them every name is there)

    def __getattr__(name: str) -> object:
        module = _MODULE_OF.get(name)
        if module is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = globals()[name] = getattr(import_module(f".{module}", __name__), name)
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *_MODULE_OF})
