"""One random topology: what the oracle says of it, and what agents do in it."""

from __future__ import annotations

import random

import attrs

from sansice.simulation import Filtering, Scene, disagreement, predict, random_scene, simulate


@attrs.frozen
class Trial:
    """What became of one topology.

    Attributes:
        seed: of the topology and of the run.
        verdict: ``connects``, ``fails`` or ``open``.
        connected: whether both agents selected a pair.
        best: whether it is of the type of the best pair that works, or costs no more: relays first, then translations.
        relayed: whether it needs a relay.
        exact: whether the oracle named one type of pair at most for each agent that may nominate.
        rules: that leave something open.
        difference: between prediction and run; empty if there is none.
    """

    seed: int
    verdict: str
    connected: bool
    best: bool
    relayed: bool
    exact: bool
    rules: tuple[str, ...]
    difference: str


def topology_of(seed: int) -> Scene:
    """One in three has no TURN servers."""
    return random_scene(random.Random(seed).choice, name=f"random {seed}", relays=seed % 3 != 0)


def let_in_anyone(topology: Scene) -> Scene:
    nats = (attrs.evolve(nat, filtering=Filtering.ENDPOINT_INDEPENDENT) if nat.filtering else nat for nat in topology.nats)
    return attrs.evolve(topology, nats=tuple(nats))


def run_trial(seed: int, plant: bool) -> Trial:
    topology = topology_of(seed)
    prediction = predict(topology)
    run = simulate(let_in_anyone(topology) if plant else topology, seed=seed)
    [couple] = prediction.couples
    best = max((_cost(types) for outcome in couple.outcomes for types in outcome.pair_types[:1]), default=(0, 0))
    return Trial(
        seed=seed,
        verdict={True: "connects", False: "fails", None: "open"}[prediction.connected],
        connected=run.connected,
        best=all(_cost(type) <= best for type in run.pair_types),
        relayed=any("relay" in type for type in run.pair_types),
        exact=all(len(outcome.pair_types) <= 1 for outcome in couple.outcomes),
        rules=tuple(rule.name.lower().replace("_", "-") for rule in couple.rules),
        difference=disagreement(prediction, run),
    )


def _cost(pair_type: str) -> tuple[int, int]:
    """How many relays are on the way, and how many translations, whoever has told of them."""
    return pair_type.count("relay"), pair_type.count("srflx") + pair_type.count("prflx")
