"""Facts about an agent, made by hand: one stream of one component with a pair of hosts, unless told otherwise."""

from ice._wire import candidate
from sansice.ice import CandidatePolicy, CandidateType, GatheringState, IceRole, IceState, PairState
from sansice.ice._telling._facts import ComponentFacts, Facts, PairFact, StreamFacts

LOCAL, REMOTE = candidate("192.0.2.1", 4001), candidate("198.51.100.1")
REFLEXIVE = candidate("203.0.113.9", 999, type=CandidateType.SERVER_REFLEXIVE)


def pair(
    state=PairState.FAILED,
    *,
    sent=0,
    answered=0,
    heard=0,
    failure=None,
    local=CandidateType.HOST,
    remote=CandidateType.HOST,
    source=LOCAL.address,
    destination=REMOTE.address,
):
    return PairFact(local, remote, source, destination, state, sent, answered, heard, False, failure)


def component(*, number=1, local=(LOCAL,), remote=(REMOTE,), pairs=(), selected=None, checks=None):
    heard = sum(one.heard for one in pairs)
    return ComponentFacts(
        number=number,
        local=local,
        remote=remote,
        pairs=pairs,
        checks=heard if checks is None else checks,
        selected=selected,
    )


def stream(*, index=0, state=IceState.CHECKING, components=None, **options):
    of_component = {name: options.pop(name) for name in ("local", "remote", "pairs", "selected", "checks") if name in options}
    options = {"is_known": True, "is_complete": True, "is_patient": state is not IceState.FAILED, **options}
    return StreamFacts(index=index, state=state, components=components or (component(**of_component),), **options)


def facts(*, streams=None, state=IceState.CHECKING, **options):
    own = {
        "role": IceRole.CONTROLLING,
        "gathering": GatheringState.COMPLETE,
        "is_lite": False,
        "policy": CandidatePolicy.ALL,
        "servers": (),
        "has_servers": False,
        "socket_error": "",
        "dropped": {},
    }
    own.update({name: options.pop(name) for name in list(own) if name in options})
    return Facts(state=state, streams=streams or (stream(state=state, **options),), **own)
