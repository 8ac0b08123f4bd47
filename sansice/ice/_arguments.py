"""The arguments of ``open_ice``, and the agent that they ask for."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Literal, NotRequired, TypeAlias, TypedDict

from sansice.driver import NoRecorder, Recorder
from sansice.machine import Entropy, LocalProtocolError

from ._agent._agent import IceAgent
from ._agent._pacer import Pacer
from ._config import IceConfig
from ._description import Credentials
from ._gathering._options import DEFAULT_OPTIONS, GatheringOptions
from ._nomination import REGULAR, Nomination
from ._policy import CandidatePolicy
from ._server import IceServer

if TYPE_CHECKING:
    from ._lite._agent import LiteAgent

Agent: TypeAlias = "IceAgent | LiteAgent"


class IceArguments(TypedDict):
    """The arguments of ``open_ice``, the same in every adapter, and documented there."""

    controlling: bool
    lite: bool
    ice_servers: Iterable[IceServer | str]
    credentials: Credentials | Sequence[Credentials] | None
    streams: int
    components: int | Sequence[int]
    trickle: bool
    policy: CandidatePolicy | str
    include_loopback: bool | None
    interface_filter: Callable[[str, str], bool] | None
    port_range: tuple[int, int] | None
    watch_network: bool | float
    nomination: Nomination | None
    pacer: Pacer | None
    gathering: GatheringOptions | None
    entropy: Entropy
    config: IceConfig
    max_queued: int
    max_queued_bytes: int
    recorder: NotRequired[Recorder]


def make_agent(arguments: IceArguments, recorder: Recorder) -> Agent:
    """The agent that is asked for; a lite one is loaded only then.

    Raises:
        LocalProtocolError: an argument that is wrong, or that means nothing to a lite agent.
    """
    _check(arguments)
    if not arguments["lite"]:
        return recorder.make(
            IceAgent,
            controlling=arguments["controlling"],
            streams=arguments["streams"],
            components=arguments["components"],
            servers=arguments["ice_servers"],
            policy=arguments["policy"],
            gathering=arguments["gathering"] or DEFAULT_OPTIONS,
            credentials=arguments["credentials"],
            config=arguments["config"],
            nomination=arguments["nomination"] or REGULAR,
            **_pacing(arguments, recorder),
            entropy=arguments["entropy"],
        )
    from ._lite._agent import LiteAgent

    return recorder.make(
        LiteAgent,
        controlling=arguments["controlling"],
        streams=arguments["streams"],
        components=arguments["components"],
        credentials=arguments["credentials"],
        config=arguments["config"],
        gathering=arguments["gathering"] or DEFAULT_OPTIONS,
        entropy=arguments["entropy"],
    )


class _Pacing(TypedDict, total=False):
    pacer: Pacer


def _pacing(arguments: IceArguments, recorder: Recorder) -> _Pacing:
    """The pacer, if there is one; what other agents do with it is in no recording of this one."""
    pacer = arguments["pacer"]
    if pacer is None:
        return {}
    if not isinstance(recorder, NoRecorder):
        raise LocalProtocolError("open_ice(): record and pacer: a recording cannot replay when other agents had their turns")
    return {"pacer": pacer}


# What a lite agent has no use for, with the values that mean nothing is wanted.
_NOT_OF_LITE: tuple[tuple[Literal["ice_servers", "policy", "nomination", "pacer"], tuple[object, ...], str], ...] = (
    ("ice_servers", ((), []), "asks no servers, it must be reachable as it is"),
    ("policy", ("all", CandidatePolicy.ALL), "has nothing but its own addresses"),
    ("nomination", (None,), "nominates nothing, the peer does"),
    ("pacer", (None,), "checks nothing"),
)


def _check(arguments: IceArguments) -> None:
    nomination = arguments["nomination"]
    if nomination is not None and not isinstance(nomination, Nomination):
        raise LocalProtocolError(f"open_ice(): nomination is a Nomination, not {nomination!r:.40}")
    pacer = arguments["pacer"]
    if pacer is not None and not isinstance(pacer, Pacer):
        raise LocalProtocolError(f"open_ice(): pacer is a Pacer, not {pacer!r:.40}")
    if arguments["lite"]:
        for argument, default, why in _NOT_OF_LITE:
            if arguments[argument] not in default:
                raise LocalProtocolError(f"open_ice(): a lite agent {why}: no {argument}")
    port_range = arguments["port_range"]
    if port_range is not None and not _is_port_range(port_range):
        raise LocalProtocolError(f"open_ice(): port_range {port_range} is not (lowest, highest) within 1..65535")
    watch = arguments["watch_network"]
    if not isinstance(watch, bool) and (not isinstance(watch, (int, float)) or not 0 < watch < math.inf):
        raise LocalProtocolError(f"open_ice(): watch_network={watch!r} is neither True, False nor a number of seconds")
    if min(arguments["max_queued"], arguments["max_queued_bytes"]) < 1:
        raise LocalProtocolError("open_ice(): a queue of less than one datagram")


def _is_port_range(value: object) -> bool:
    match value:
        case (int(lowest), int(highest)):
            return 1 <= lowest <= highest <= 65535
    return False
