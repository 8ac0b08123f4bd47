"""From who reaches whom to whether agents connect, and over which type of pair."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias

import attrs

from sansice.ice import CandidateType
from sansice.simulation._nat._kind import Pooling
from sansice.simulation._scene._scene import Scene

from ._ignored import ignored
from ._prediction import OracleRule, PredictedCouple, PredictedOutcome, PredictedPair, Prediction
from ._reach import Path, Reach
from ._sides import PACE
from ._values import Chances

Outcomes: TypeAlias = Mapping[Chances, tuple[PredictedPair, ...]]
_UNTOLD = (CandidateType.PEER_REFLEXIVE, 0)
RELAY_PATIENCE = 1.0  # s: half of what an agent waits for something better than a relay

Types: TypeAlias = dict[str, None]


def predict(scene: Scene) -> Prediction:
    """Say what must become of a scene, from the scene alone.

    Packets are symbols here, and no machine runs: from what NATs and firewalls do by their rules with packets that agents
    would send, follows which pairs of sockets reach each other both ways (RFC 8445 7.2.5.2.1); from the priorities of
    candidates, which of these pairs is the best (6.1.2.3). Where more than reachability decides, the prediction leaves it
    open and names the rule.

    Taken for granted: nothing is lost, no mapping expires, ports are equal only where something makes them so, and agents
    behave as RFC 8445 has it and like their addresses in the order in which a host has them. Of calls through relays it says
    nothing.

    Args:
        scene: what to judge.
    """
    couples: list[PredictedCouple] = []
    seen: list[str] = []
    for spec in scene.agents:
        seen.append(spec.name)
        if scene.peer_of(spec) not in seen:
            couples.append(_Couple(scene, spec.name, scene.peer_of(spec)).predict())
    return Prediction(tuple(couples), tuple(ignored(scene)), tuple(call.name for call in scene.calls))


class _Couple:
    """Two agents of a scene, and every way in which chance may fall between them."""

    def __init__(self, scene: Scene, first: str, second: str) -> None:
        self._scene = scene
        self._names = (first, second)
        lite = {spec.name: spec.lite for spec in scene.agents}
        # Whoever checks nothing nominates nothing (RFC 8445 6.1.1).
        roles = {spec.name: spec.controlling for spec in scene.agents}
        if lite[first] is not lite[second]:
            roles = {name: not is_lite for name, is_lite in lite.items()}
        self._lite = lite[first] and lite[second]
        self._conflict = roles[first] is roles[second]
        self._both_control = roles[first]
        self._controlling = self._names if self._conflict else tuple(name for name in self._names if roles[name])
        self._open_input = any(nat.nat_kind.open_input for nat in scene.nats)
        self._spread = any(nat.nat_kind.pooling is Pooling.ARBITRARY and len(nat.outside) > 1 for nat in scene.nats)
        self._reaches: dict[Chances, Reach] = {}
        self._rules: dict[OracleRule, None] = {}

    def predict(self) -> PredictedCouple:
        outcomes = tuple(self._outcome(name) for name in self._controlling)
        if len({(outcome.connected, outcome.pair_types) for outcome in outcomes}) > 1:
            self._rules[OracleRule.ROLE_CONFLICT] = None
        rules = tuple(rule for rule in OracleRule if rule in self._rules)
        return PredictedCouple(self._names, outcomes, rules, tuple(self._losses()))

    def _outcome(self, controlling: str) -> PredictedOutcome:
        cases = {chances: self._pairs(controlling, chances) for chances in self._cases(controlling)}
        types = dict.fromkeys(type for pairs in cases.values() for type in self._selectable(pairs))
        if any(len(self._selectable(pairs)) > 1 for pairs in cases.values()):
            self._rules[OracleRule.ACCEPTANCE_WAIT] = None
        self._note_chances(cases)
        if all("relay" in type for type in types) and self._pacing >= 2 * RELAY_PATIENCE:
            types = self._widened(types, (pair.type for pairs in cases.values() for pair in pairs), OracleRule.MANY_PAIRS)
        if any(chances.crowded for chances in cases):
            types = self._widened(types, (pair.type for pairs in cases.values() for pair in pairs), OracleRule.CHASE)
        types = self._widened(types, self._as_checked_early(types), OracleRule.UNEVEN_GATHERING)
        if self._lite:
            types = self._widened(types, ["host-host"], OracleRule.LITE)
        verdicts = [bool(pairs) for pairs in cases.values()]
        return PredictedOutcome(
            controlling=controlling,
            connected=verdicts[0] if len(set(verdicts)) == 1 and not self._lite else None,
            pair_types=tuple(types),
            pairs=next(iter(cases.values())),
        )

    def _cases(self, controlling: str) -> Iterator[Chances]:
        """Everything that may happen, the best first."""
        # Of two that control, the one that refuses goes on to; of two that do not, it is the one that goes on not to.
        other = next(name for name in self._names if name != controlling)
        refusing = ("", controlling if self._both_control else other) if self._conflict else ("",)
        outside_first = (False, True) if self._open_input else (False,)
        spread = (False, True) if self._spread else (False,)
        for one, two, three in itertools.product(refusing, outside_first, spread):
            chances = Chances(refusing=one, outside_first=two, spread=three)
            yield chances
            if self._is_chase(chances):
                yield attrs.evolve(chances, crowded=True)

    def _is_chase(self, chances: Chances) -> bool:
        return any(not side.room for side in self._reach(chances).sides.values())

    def _note_chances(self, cases: Outcomes) -> None:
        """Name the rules that make a difference."""
        fields = {
            "refusing": OracleRule.ROLE_CONFLICT,
            "crowded": OracleRule.CHASE,
            "outside_first": OracleRule.OPEN_INPUT,
            "spread": OracleRule.POOLING,
        }
        for chances, pairs in cases.items():
            for field, rule in fields.items():
                better = attrs.evolve(chances, **{field: getattr(Chances(), field)})
                if self._selectable(pairs) != self._selectable(cases.get(better, pairs)):
                    self._rules[rule] = None

    def _widened(self, types: Types, more: Iterable[str], rule: OracleRule) -> Types:
        """All of these types; the rule that adds some is named."""
        widened = {**types, **dict.fromkeys(more)}
        if len(widened) > len(types):
            self._rules[rule] = None
        return widened

    def _as_checked_early(self, types: Iterable[str]) -> Iterator[str]:
        """What types also may be where one agent checks before all its servers have answered."""
        late = self._late
        if not late or abs(late) < self._scene.signalling:
            return
        for type in types:
            local, remote = type.split("-")
            if late > 0 and local == "srflx":
                yield f"prflx-{remote}"
            elif late < 0 and remote == "srflx":
                yield f"{local}-prflx"

    @property
    def _late(self) -> float:
        """How much later the first agent has asked all servers than the second, seconds."""
        first, second = (self._reach(Chances()).sides[name] for name in self._names)
        return first.gathered_at - second.gathered_at

    @property
    def _pacing(self) -> float:
        """How long the longer checklist takes to be gone through, seconds."""
        sides = (self._reach(Chances()).sides[name] for name in self._names)
        return PACE * max(sum(map(len, side.targets.values())) for side in sides)

    def _selectable(self, pairs: Sequence[PredictedPair]) -> list[str]:
        """The types of the pairs that may be selected, the best first.

        For something better than a relay an agent waits so long that only a peer which is much later may miss it.
        """
        types = _selectable(pairs)
        direct = [type for type in types if "relay" not in type]
        return direct if direct and abs(self._late) < RELAY_PATIENCE else types

    def _pairs(self, controlling: str, chances: Chances) -> tuple[PredictedPair, ...]:
        peer = next(name for name in self._names if name != controlling)
        reach = self._reach(chances)
        alone = self._reach(attrs.evolve(chances, silent=peer))
        prompt = [self._pair(alone, controlling, path) for path in alone.paths(alone.sides[controlling], alone.sides[peer])]
        pairs = [self._pair(reach, controlling, path) for path in reach.paths(reach.sides[controlling], reach.sides[peer])]
        # Who has answered all its servers long before the other was told nothing, and its relays let nobody in so far.
        untold = abs(self._late) >= RELAY_PATIENCE
        prompt = [pair for pair in prompt if not (untold and "relay" in pair.type)]
        marked = (attrs.evolve(pair, is_prompt=pair in prompt) for pair in pairs)
        return tuple(sorted(marked, key=lambda pair: -pair.priority))

    def _pair(self, reach: Reach, name: str, path: Path) -> PredictedPair:
        controlling = reach.sides[name]
        ours, theirs = controlling.bases[path.ours].priority, controlling.known[path.remote][1]
        first, here, there, mapped, remote = controlling, path.ours, path.theirs, path.mapped, path.remote
        if name != self._names[0]:  # the other way round
            first, here, there, mapped, remote = reach.sides[self._names[0]], there, here, remote, mapped
        return PredictedPair(
            local=first.type_of(here, mapped),
            remote=first.known.get(remote, _UNTOLD)[0],
            local_address=here.local.host,
            remote_address=there.local.host,
            priority=2**32 * min(ours, theirs) + 2 * max(ours, theirs) + (ours > theirs),
            is_prompt=False,
        )

    def _losses(self) -> Iterator[str]:
        reach = self._reach(Chances())
        for name, peer in (self._names, self._names[::-1]):
            for socket, target, loss in reach.losses(reach.sides[name], reach.sides[peer]):
                type = reach.sides[name].known[target][0].value
                yield f"{name} from {socket.local.host} to {peer}'s {type} {target.host}: {loss.place}: {loss.fate.value}"

    def _reach(self, chances: Chances) -> Reach:
        if chances not in self._reaches:
            self._reaches[chances] = Reach(self._scene, chances)
        return self._reaches[chances]


def _selectable(pairs: Iterable[PredictedPair]) -> list[str]:
    """The types of the pairs that may be selected, the best first."""
    types: dict[str, None] = {}
    waiting = True
    for pair in pairs:
        if waiting or pair.type == "host-host":
            types[pair.type] = None
        waiting = waiting and not pair.is_prompt
    return list(types)
