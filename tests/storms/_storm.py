"""One storm: a scene in which packets are lost, late, doubled and out of order, and what each end may say for itself."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import attrs

from sansice.ice import CandidateType, ConsentExpired, IceState, IceStateChanged, PairSelected, PairValidated
from sansice.simulation import (
    INVARIANTS,
    AgentSpec,
    Arena,
    At,
    End,
    Expectation,
    HostSpec,
    Invariant,
    Link,
    LinkChanged,
    Moment,
    NatSpec,
    Scene,
    StunServerSpec,
    scene_arena,
)
from sansice.simulation._exploration._deviations import Schedule
from sansice.simulation._exploration._trial import run_schedule
from sansice.stun import TransactionId
from storms._rule import Life

STORM = Link(latency=0.1, jitter=0.4, loss=0.4, duplication=0.05, reordering=0.1, hold=0.1)
"""Four packets in ten are lost; those that arrive take 100 to 600 ms, each by itself."""

CALM = Link(latency=0.1)
LASTS = 150.0  # virtual seconds of storm
NOMINATED = 10.0  # s after which a nomination is looked at: five transmissions, and before anything ends at any end
AFTER = 75.0  # s of calm: consent that cannot be renewed ends in 30, and a check that began in the storm in 39.5

_STUN = "192.0.2.9"


def scene_of(seed: int) -> Scene:
    """Two hosts on the Internet; two homes; two hosts with two families; two that both mean to control."""
    return (_public, _homes, _two_families, _conflict)[seed % 4]()


def _storm(name: str, hosts: tuple[HostSpec, ...], *, nats: tuple[NatSpec, ...] = (), controlling: tuple[bool, bool]) -> Scene:
    servers = (StunServerSpec("stun", _STUN),) if nats else ()
    ask = (f"stun:{_STUN}",) if nats else ()
    return Scene(
        name=name,
        internet=STORM,
        nats=nats,
        hosts=hosts,
        servers=servers,
        agents=tuple(
            AgentSpec(host.name, controlling=role, ice_servers=ask) for host, role in zip(hosts, controlling, strict=True)
        ),
        changes=(At(LASTS, LinkChanged("internet", CALM)),),
        expect=Expectation(connected=False),
    )


def _public() -> Scene:
    return _storm("public", (HostSpec("A", "203.0.113.1"), HostSpec("B", "198.51.100.1")), controlling=(True, False))


def _homes() -> Scene:
    nats = (NatSpec("home A", "203.0.113.1"), NatSpec("home B", "198.51.100.1"))
    hosts = (HostSpec("A", "10.0.0.2", behind="home A"), HostSpec("B", "10.1.0.2", behind="home B"))
    return _storm("homes", hosts, nats=nats, controlling=(True, False))


def _two_families() -> Scene:
    hosts = (HostSpec("A", ("203.0.113.1", "2001:db8::1")), HostSpec("B", ("198.51.100.1", "2001:db8::2")))
    return _storm("two families", hosts, controlling=(False, True))


def _conflict() -> Scene:
    return _storm("conflict", (HostSpec("A", "203.0.113.1"), HostSpec("B", "198.51.100.1")), controlling=(True, True))


@attrs.define(eq=False)
class Diary:
    """What became of one end.

    Attributes:
        end: which.
        valid_at: when the latest pair became valid.
        selected_at: when it selected a pair first.
        expired: whether consent ended, be it on a pair that was not selected.
        ended_at: when it failed.
        reason: why; empty where nothing in its evidence demands it.
    """

    end: End
    valid_at: float = -math.inf
    expired: bool = False
    selected_at: float = math.inf
    ended_at: float = math.inf
    reason: str = ""


class Diaries(Invariant):
    """Keeps a diary of each end, and objects to nothing."""

    rule = "whoever fails had to"

    def __init__(self, ends: Mapping[str, End]) -> None:
        super().__init__(ends)
        self.of: dict[str, Diary] = {name: Diary(end) for name, end in ends.items()}
        self.consented: dict[str, float] = {}
        self.confirmed: dict[TransactionId, float] = {}

    def after(self, moment: Moment) -> str | None:
        """Note selections, ends, and when consent was first given once both had selected."""
        diary = self.of[moment.end.name]
        for event in moment.events:
            if isinstance(event, PairValidated):
                diary.valid_at = moment.now
            elif isinstance(event, PairSelected):
                diary.selected_at = min(diary.selected_at, moment.now)
            elif isinstance(event, ConsentExpired):
                diary.expired = is_silent(moment, diary)
            elif isinstance(event, IceStateChanged) and event.new is IceState.FAILED:
                diary.ended_at = moment.now
                diary.reason = why(moment, diary)
        if moment.asked is not None and moment.asked.nominates and moment.is_good_answer and moment.message is not None:
            self.confirmed.setdefault(moment.message.transaction_id, moment.now)
        both = all(one.selected_at < math.inf for one in self.of.values())
        asked = moment.asked
        if both and asked is not None and asked.is_consent and moment.is_good_answer and moment.is_first:
            self.consented.setdefault(moment.end.name, moment.now)
        return None

    def lives(self, until: float) -> Iterator[Life]:
        """How long consent lasted at each end; it is watched until the peer fails, or the storm is over."""
        for name, begins in self.consented.items():
            [peer] = [diary for other, diary in self.of.items() if other != name]
            own, watched = self.of[name].ended_at, min(peer.ended_at, until)
            if begins < watched:
                yield Life(min(own, watched) - begins, own <= watched)


def is_silent(moment: Moment, diary: Diary) -> bool:
    """Whether consent had to end: no answer counted for its time, since it began or was last given (RFC 7675 5.1)."""
    selected = moment.before.selected
    path = None if selected is None else moment.end.path_of(selected)
    answered = [moment.end.consented.get(path, -math.inf)] if path is not None else list(moment.end.consented.values())
    begun = diary.valid_at if selected is None else -math.inf
    return moment.now >= max(begun, *answered, -math.inf) + moment.end.config.consent_timeout - 1e-6


def why(moment: Moment, diary: Diary) -> str:
    """What the rules say of an end that has just failed; empty: nothing."""
    end, now, config = moment.end, moment.now, moment.end.config
    if any(isinstance(event, ConsentExpired) for event in moment.events) and moment.before.selected is not None:
        return "consent" if diary.expired else ""
    if moment.before.selected is not None or now < config.pac_timeout:  # RFC 8863 4
        return ""
    if diary.expired:
        return "consent, before anything was selected"
    over = [asked for asked in end.asked.values() if asked.is_check and not end.listens(asked, now)]
    if any(asked.nominates and not asked.over for asked in over):
        return "nomination"
    nominated = [path for path in end.nominated if end.last_answer(path) == -math.inf]
    if nominated and any(asked.path in nominated for asked in over):
        return "nominated, and never answered"
    running = [asked for asked in end.asked.values() if asked.is_check and not asked.over and end.listens(asked, now)]
    return "" if end.answered or running else "never answered"


@attrs.frozen
class Storm:
    """What became of one storm.

    Attributes:
        seed, scene: which one.
        breach: the invariant that was broken, and how; empty if none was.
        connected: whether both ends selected a pair at some time.
        reasons: of the ends that failed, by name; empty where there is none.
        lives: how long consent lasted.
        nominations: of each nominating check, whether it was answered in `NOMINATED`.
        told: of each agent that asked a server, whether it knows its address.
    """

    seed: int
    scene: str
    breach: str
    connected: bool
    reasons: Mapping[str, str]
    lives: tuple[Life, ...]
    nominations: tuple[bool, ...]
    told: tuple[bool, ...]


def run_storm(seed: int) -> Storm:
    """Run the storm of a seed."""
    scene = scene_of(seed)
    kept: list[Diaries] = []

    def make() -> Arena:
        return attrs.evolve(scene_arena(scene, seed=seed), sound=False, until=0.0, settle=LASTS + AFTER)

    def keep(ends: Mapping[str, End]) -> Diaries:
        kept.append(Diaries(ends))
        return kept[-1]

    run = run_schedule(make, Schedule(()), (*INVARIANTS, keep))
    [diaries] = kept
    diary = diaries.of.values()
    told = tuple(_is_told(one.end) for one in diary) if scene.nats else ()
    hopeless = "never answered, for a server was not" if not all(told) else "never answered"
    return Storm(
        seed=seed,
        scene=scene.name,
        breach="" if run.breach is None else f"{run.breach.invariant}: {run.breach.finding}",
        connected=all(one.selected_at < math.inf for one in diary),
        reasons={
            name: hopeless if one.reason == "never answered" else one.reason
            for name, one in diaries.of.items()
            if one.ended_at < math.inf
        },
        lives=tuple(diaries.lives(LASTS)),
        nominations=tuple(_nominations(diaries)),
        told=told,
    )


def _is_told(end: End) -> bool:
    return any(candidate.type is CandidateType.SERVER_REFLEXIVE for candidate in end.agent.local_candidates)


def _nominations(diaries: Diaries) -> Iterator[bool]:
    """Of those whose time was in the storm, before either end was over."""
    ends_at = min(LASTS, *(diary.ended_at for diary in diaries.of.values()))
    for diary in diaries.of.values():
        for transaction_id, asked in diary.end.asked.items():
            until = asked.at + NOMINATED
            if asked.nominates and until < ends_at:
                yield diaries.confirmed.get(transaction_id, math.inf) < until
