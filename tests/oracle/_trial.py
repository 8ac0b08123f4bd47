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
        exact: whether the oracle named one type of pair at most for each agent that may nominate.
        rules: that leave something open.
        difference: between prediction and run; empty if there is none.
    """

    seed: int
    verdict: str
    exact: bool
    rules: tuple[str, ...]
    difference: str


def topology_of(seed: int) -> Scene:
    return random_scene(random.Random(seed).choice, name=f"random {seed}")


def let_in_anyone(topology: Scene) -> Scene:
    nats = (attrs.evolve(nat, filtering=Filtering.ENDPOINT_INDEPENDENT) if nat.filtering else nat for nat in topology.nats)
    return attrs.evolve(topology, nats=tuple(nats))


def run_trial(seed: int, plant: bool) -> Trial:
    topology = topology_of(seed)
    prediction = predict(topology)
    run = simulate(let_in_anyone(topology) if plant else topology, seed=seed)
    [couple] = prediction.couples
    return Trial(
        seed=seed,
        verdict={True: "connects", False: "fails", None: "open"}[prediction.connected],
        exact=all(len(outcome.pair_types) <= 1 for outcome in couple.outcomes),
        rules=tuple(rule.name.lower().replace("_", "-") for rule in couple.rules),
        difference=disagreement(prediction, run),
    )
