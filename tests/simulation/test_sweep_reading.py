"""What a person writes of a sweep."""

import tomllib

import attrs
import pytest

from sansice.simulation import NatCouple, read_sweep, scene
from sansice.simulation._sweep._reading import MAX_VALUES

LEAST = {"name": "x", "seeds": 1, "scenes": ["two-homes"]}


def read(**changes):
    return read_sweep({**LEAST, **changes})


def test_file_is_read_as_it_says():
    sweep = read_sweep(
        tomllib.loads("""
            name = "homes"
            seeds = { first = 1000, count = 20 }
            scenes = "two-homes"

            [couples]
            a = ["open", "symmetric"]
            b = "port-restricted"
            turn = ["none", "udp"]
            family = "ipv6"

            [parameters]
            trickle = [false, true]
            loss = { from = 0.0, to = 0.3, count = 4 }
            latency = 1
            queue = { from = 1000, to = 3000, count = 3 }
            policy = "all"
        """)
    )
    assert sweep.name == "homes"
    assert sweep.seeds == range(1000, 1020)
    assert sweep.scenes == (scene("two-homes"),)
    assert sweep.couples == tuple(
        NatCouple(a, "port-restricted", turn, "ipv6") for a in ("open", "symmetric") for turn in ("none", "udp")
    )
    assert list(sweep.parameters.items()) == [
        ("latency", (1.0,)),
        ("loss", (0.0, 0.1, 0.2, 0.3)),
        ("queue", (1000, 2000, 3000)),
        ("trickle", (False, True)),
        ("policy", ("all",)),
    ]
    assert [type(one) for one in sweep.parameters["latency"]] == [float]


def test_a_scene_of_calls_alone_and_a_range_of_as_many_values_as_the_bound_are_read():
    assert read(scenes=["relay-symmetric"]).scenes == (scene("relay-symmetric"),)
    fine = read(parameters={"loss": {"from": 0, "to": 1, "count": MAX_VALUES}}).parameters["loss"]
    assert (len(fine), fine[0], fine[-1]) == (MAX_VALUES, 0.0, 1.0)


def test_bursts_are_of_the_loss_that_the_sweep_varies_and_not_of_the_scenes_own():
    homes = scene("two-homes")
    lossy = attrs.evolve(homes, internet=attrs.evolve(homes.internet, loss=0.9))
    found = read_sweep({**LEAST, "parameters": {"loss": 0.1, "burst_length": 2}}, find_scene=lambda name: lossy)
    assert found.point(0).scene.internet.bursts is not None


def test_couples_are_without_relays_and_of_ipv4_where_nothing_is_said():
    sweep = read_sweep({"name": "x", "seeds": 3, "couples": {"a": "open", "b": ["symmetric"]}})
    assert sweep.couples == (NatCouple("open", "symmetric", "none", "ipv4"),)
    assert sweep.seeds == range(3)


def test_scenes_are_found_as_the_caller_says():
    found = read_sweep(LEAST, find_scene=lambda word: scene({"two-homes": "hotel"}[word]))
    assert found.scenes == (scene("hotel"),)


WRONG = [
    ({"seed": 1}, "seed: unknown; there are name, seeds, scenes, couples, parameters"),
    ({"name": None}, "name: missing; a text for people"),
    ({"name": ""}, "name: a text for people"),
    ({"name": "a\nb"}, "name: a text for people"),
    ({"name": 3}, "name: a text for people"),
    ({"seeds": None}, "seeds: missing; a number of seeds from 1 on, or a table of first and count"),
    ({"seeds": 0}, "seeds: 0 is not a number of seeds from 1 on"),
    ({"seeds": True}, "seeds: True is not"),
    ({"seeds": 1.5}, "seeds: 1.5 is not"),
    ({"seeds": 10**9}, "1000000000 sessions, and 100000000 are the most"),
    ({"seeds": 2**62}, "seeds: 4611686018427387904 is not"),
    ({"seeds": {"first": 3}}, "seeds.count: missing"),
    ({"seeds": {"count": "3"}}, "seeds.count: '3' is not"),
    ({"seeds": {"first": 0.5, "count": 3}}, "seeds.first: 0.5 is no whole number"),
    ({"seeds": {"first": 2**62, "count": 3}}, "seeds.first: 4611686018427387904 is no whole number of 62 bits"),
    ({"seeds": {"last": 3}}, "seeds.last: unknown; there are first, count"),
    ({"scenes": []}, "scenes, couples: one of them is needed"),
    ({"scenes": 3}, "scenes: 3 is not the name of a scene"),
    ({"scenes": ["two-home"]}, "scenes: there is no scene 'two-home'; there are two-homes"),
    ({"scenes": ["hotel", "hotel"]}, "scenes: 'hotel' twice"),
    ({"couples": []}, r"couples: \[\] is not a table with a, b, turn, family"),
    ({"couples": {"a": "open"}}, "couples.b: missing; one or several of open, full-cone"),
    ({"couples": {"a": [], "b": "open"}}, "couples.a: empty; leave it out, or name one"),
    ({"couples": {"a": "opne", "b": "open"}}, "couples.a: 'opne' is none of open, full-cone"),
    ({"couples": {"a": [["open"]], "b": "open"}}, r"couples.a: \['open'\] is none of open"),
    ({"couples": {"a": "open", "b": "open", "turn": "dtls"}}, "couples.turn: 'dtls' is none of none, udp, tcp, tls"),
    ({"couples": {"a": "open", "b": "open", "family": 4}}, "couples.family: 4 is none of ipv4, ipv6, dual"),
    ({"couples": {"a": "open", "b": "open", "c": 4}}, "couples.c: unknown; there are a, b, turn, family"),
    ({"parameters": 3}, "parameters: 3 is not a table of latency, jitter"),
    ({"parameters": {"los": 0.1}}, "parameters.los: unknown; there are latency, jitter, loss"),
    ({"parameters": {"loss": []}}, "parameters.loss: empty"),
    ({"parameters": {"loss": "high"}}, "parameters.loss: 'high' is not a number, and neither a list nor a range"),
    ({"parameters": {"loss": True}}, "parameters.loss: True is not a number"),
    ({"parameters": {"loss": [0.1, 0.1]}}, "parameters.loss: 0.1 twice"),
    ({"parameters": {"loss": float("nan")}}, "parameters.loss: nan is no number to count with"),
    ({"parameters": {"bandwidth": float("inf")}}, "parameters.bandwidth: inf is no number to count with"),
    ({"parameters": {"bandwidth": 2**70}}, "parameters.bandwidth: 1180591620717411303424 is no number to count with"),
    ({"parameters": {"queue": 2**70}}, "parameters.queue: 1180591620717411303424 is no number to count with"),
    ({"parameters": {"loss": 1.5}}, "parameters.loss: two-homes with loss 1.5: loss must be a probability from 0 to 1"),
    ({"parameters": {"mtu": [1500, 20]}}, "parameters.mtu: two-homes with mtu 20: mtu must be 68 bytes or more"),
    ({"parameters": {"mtu": 1500.0}}, "parameters.mtu: 1500.0 is not a whole number"),
    ({"parameters": {"payload": 0}}, "parameters.payload: two-homes with payload 0: payload: 0 is outside"),
    ({"parameters": {"trickle": 1}}, "parameters.trickle: 1 is not true or false"),
    ({"parameters": {"trickle": {"from": 0, "to": 1, "count": 2}}}, "parameters.trickle: a range is of numbers"),
    ({"parameters": {"policy": "none"}}, "parameters.policy: 'none' is none of all, conceal-host, no-host, relay"),
    ({"parameters": {"nomination": 3}}, "parameters.nomination: 3 is not a text"),
    ({"parameters": {"burst_length": 0.5}}, "parameters.burst_length: .* length must be 1 packet or more"),
    ({"parameters": {"loss": [0.1, 0.9], "burst_length": 2}}, "parameters.burst_length: .*loss must be from 0 to 0.667"),
    ({"parameters": {"loss": {"from": 0, "count": 2}}}, "parameters.loss.to: missing; a range has from, to and count"),
    ({"parameters": {"loss": {"from": 0, "to": 1, "step": 2}}}, "parameters.loss.step: unknown; there are from, to, count"),
    ({"parameters": {"loss": {"from": 0, "to": "1", "count": 2}}}, "parameters.loss.to: '1' is not a number"),
    ({"parameters": {"loss": {"from": 0, "to": 1, "count": 1}}}, f"parameters.loss.count: 1 is not .* from 2 to {MAX_VALUES}"),
    ({"parameters": {"loss": {"from": 0, "to": 1, "count": MAX_VALUES + 1}}}, "parameters.loss.count: 10001 is not"),
    ({"parameters": {"loss": {"from": 0, "to": 1, "count": 2.0}}}, "parameters.loss.count: 2.0 is not"),
    ({"parameters": {"loss": {"from": 0.2, "to": 0.2, "count": 2}}}, "parameters.loss.to: 0.2 is not above 0.2"),
    ({"parameters": {"loss": {"from": 0.0, "to": 1e-12, "count": 9}}}, "parameters.loss: steps below a millionth of a millionth"),
    ({"parameters": {"mtu": {"from": 100, "to": 201, "count": 3}}}, "parameters.mtu.count: 3 values .* are not all whole"),
]


@pytest.mark.parametrize(("changes", "said"), WRONG, ids=lambda value: str(value)[:60])
def test_what_is_wrong_is_named_with_its_key_and_what_is_legal(changes, said):
    with pytest.raises(ValueError, match=said):
        read_sweep({key: value for key, value in {**LEAST, **changes}.items() if value is not None})


def test_two_scenes_of_one_name_are_refused():
    with pytest.raises(ValueError, match="scenes: two are called 'hotel'"):
        read_sweep({**LEAST, "scenes": ["a", "b"]}, find_scene=lambda word: scene("hotel"))


def test_scene_in_which_nobody_connects_is_refused():
    empty = attrs.evolve(scene("hotel"), agents=())
    with pytest.raises(ValueError, match="scenes: 'hotel' has neither agents nor calls"):
        read_sweep(LEAST, find_scene=lambda word: empty)


def test_values_of_couples_are_tried_too():
    with pytest.raises(ValueError, match=r"parameters.mtu: open-open with mtu 20"):
        read_sweep({"name": "x", "seeds": 1, "couples": {"a": "open", "b": "open"}, "parameters": {"mtu": 20}})
