"""Agents against the oracle: on random topologies, on every scene of the library, and with a fault planted."""

import random
from collections import Counter

import attrs
import pytest
from hypothesis import find, given, settings, strategies as st

from sansice.simulation import (
    FIREWALL_PRESETS,
    NAT_PRESETS,
    HostSpec,
    NatSpec,
    OracleRule,
    Prediction,
    Scene,
    SceneRun,
    disagreement,
    predict,
    random_scene,
    scene,
    scenes,
    simulate,
)
from sansice.simulation._nat._translator import Translator


@st.composite
def topologies(draw: st.DrawFn) -> Scene:
    def choose(options):
        return draw(st.sampled_from(list(options)))

    return random_scene(choose)


@given(topologies(), st.integers(0, 2**16))
def test_agents_do_what_the_oracle_says(topology, seed):
    assert disagreement(predict(topology), simulate(topology, seed=seed)) == ""


@pytest.mark.parametrize("first", range(0, 400, 100))
def test_agents_do_what_the_oracle_says_of_a_fixed_sample(first):
    """`python tests/oracle --runs 5000` is the whole."""
    for seed in range(first, first + 100):
        topology = random_scene(random.Random(seed).choice)
        assert disagreement(predict(topology), simulate(topology, seed=seed)) == "", seed


@pytest.mark.parametrize("first", range(0, 150, 50))
def test_agents_with_relays_do_what_the_oracle_says_of_a_fixed_sample(first):
    for seed in range(first, first + 50):
        topology = random_scene(random.Random(seed).choice, relays=True)
        assert disagreement(predict(topology), simulate(topology, seed=seed)) == "", seed


def test_chase_of_new_addresses_does_not_keep_agents_from_their_relays():
    """Two NATs that map by destination and let anyone in: each check that arrives comes from an address that is new."""
    chase = random_scene(random.Random(1275).choice, relays=True)
    [couple] = predict(chase).couples
    assert (couple.connected, OracleRule.CHASE in couple.rules) == (True, True)
    run = simulate(chase, seed=1275)
    assert disagreement(predict(chase), run) == ""
    assert run.setup_ms is not None and run.setup_ms < 6000


def test_most_predictions_leave_nothing_open():
    verdicts: Counter[bool | None] = Counter()
    exact = 0
    for seed in range(300):
        [couple] = predict(random_scene(random.Random(seed).choice)).couples
        verdicts[couple.connected] += 1
        exact += all(len(outcome.pair_types) <= 1 for outcome in couple.outcomes)
    assert min(verdicts[True], verdicts[False]) >= 20
    assert verdicts[None] <= 6
    assert exact >= 225


@pytest.mark.parametrize("name", scenes())
def test_oracle_agrees_with_every_scene_that_has_a_name(name):
    judged = scene(name)
    prediction = predict(judged)
    if any("TCP" in text for text in prediction.ignored):  # what UDP cannot connect TCP may
        assert prediction.connected in (False, judged.expect.connected)
        return
    assert prediction.connected in (None, judged.expect.connected)
    if not any("lost" in text for text in prediction.ignored):
        assert disagreement(prediction, simulate(judged)) == ""


def test_prediction_is_made_without_a_network(monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a machine was run")

    monkeypatch.setattr("sansice.simulation._network.Network.__init__", refuse)
    monkeypatch.setattr("sansice.ice.IceAgent.__init__", refuse)
    monkeypatch.setattr(Translator, "__init__", refuse)
    assert predict(scene("double-nat")).connected is True


def test_prediction_is_the_same_every_time():
    for seed in range(50):
        first, second = (random_scene(random.Random(seed).choice) for _ in range(2))
        assert first == second
        assert predict(first) == predict(second)


QUICK = settings(max_examples=2000, database=None, deadline=None)


def disagrees(topology: Scene) -> bool:
    return disagreement(predict(topology), simulate(topology)) != ""


def test_agents_that_learn_nothing_from_checks_are_found_and_the_topology_shrinks(monkeypatch):
    monkeypatch.setattr("sansice.ice._agent._pairing.Pairing.discover", lambda *_: None)
    smallest = find(topologies(), disagrees, settings=QUICK, random=random.Random(1))
    assert len(smallest.nats) + len(smallest.firewalls) == 1
    assert [len(host.all_interfaces) for host in smallest.hosts] == [1, 1]


# ------------------------------------------------------------- what counts as a disagreement


def run_of(*presets: str) -> tuple[Prediction, SceneRun]:
    nats = tuple(NatSpec(f"home {number}", f"203.0.113.{number}", preset) for number, preset in enumerate(presets, 1))
    hosts = tuple(HostSpec(name, "10.0.0.2", behind=nat.name) for name, nat in zip(("alice", "bob"), nats, strict=True))
    homes = attrs.evolve(scene("two-homes"), nats=nats, hosts=hosts)
    return predict(homes), simulate(homes)


def test_every_kind_of_disagreement_is_said():
    connects, connected = run_of("full-cone", "full-cone")
    fails, failed = run_of("symmetric", "symmetric")
    other, _ = run_of("symmetric", "full-cone")
    may, _ = run_of("linux-masquerade-open-input", "port-restricted")
    assert disagreement(connects, connected) == disagreement(fails, failed) == ""
    assert disagreement(may, failed) == disagreement(may, connected) == ""
    assert disagreement(connects, failed) == "alice and bob do not connect, and must"
    assert disagreement(fails, connected) == "alice and bob connect, and cannot"
    assert disagreement(other, connected) == "alice and bob, alice controlling, select srflx-srflx and not prflx-srflx"


def test_disagreement_looks_at_the_agent_that_controls_in_the_end():
    homes = scene("two-homes")
    swapped = attrs.evolve(homes, agents=tuple(attrs.evolve(agent, controlling=not agent.controlling) for agent in homes.agents))
    text = disagreement(predict(homes), simulate(swapped))
    assert text == "alice and bob, bob controlling, select srflx-srflx and not nothing"


# ------------------------------------------------------------- random scenes


def test_simplest_random_scene_is_two_public_hosts():
    simple = random_scene(lambda options: options[0])
    assert (simple.name, simple.nats, simple.firewalls, simple.segments) == ("random", (), (), ())
    assert [host.all_interfaces[0].behind for host in simple.hosts] == ["internet", "internet"]
    assert len(simple.servers) == 1


def test_random_scenes_have_every_feature_now_and_then():
    drawn = [random_scene(random.Random(seed).choice, name=str(seed)) for seed in range(500)]
    nats = [nat for topology in drawn for nat in topology.nats]
    assert {nat.preset for nat in nats} == set(NAT_PRESETS)
    assert len({(nat.mapping, nat.filtering, nat.hairpinning) for nat in nats if nat.mapping is not None}) == 27
    assert {firewall.preset for topology in drawn for firewall in topology.firewalls} == set(FIREWALL_PRESETS)
    assert all(any(has(nat) for nat in nats) for has in (lambda nat: nat.forwards, lambda nat: nat.firewall))
    assert any(len([one for one in nat.outside if ":" not in one]) == 2 for nat in nats)
    assert any(nat.behind != "internet" for nat in nats)
    assert any(topology.segments for topology in drawn)
    assert {len(topology.servers) for topology in drawn} == {0, 1, 2}
    assert {tuple(agent.controlling for agent in topology.agents) for topology in drawn} == {
        (True, False),
        (False, True),
        (True, True),
        (False, False),
    }


def test_nat_of_a_random_scene_is_there_for_somebody():
    for seed in range(100):
        topology = random_scene(random.Random(seed).choice)
        used = {interface.behind for host in topology.hosts for interface in host.all_interfaces}
        used |= {gate.behind for gate in (*topology.nats, *topology.firewalls)}
        assert {gate.name for gate in (*topology.nats, *topology.firewalls)} <= used
