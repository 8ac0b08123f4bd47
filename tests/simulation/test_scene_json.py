"""Scenes as JSON: there and back, and what a person gets wrong in it."""

import json
import math
import re

import attrs
import pytest

from sansice.simulation import (
    At,
    Bursts,
    Filtering,
    FirewallKind,
    FirewallSpec,
    Forward,
    HostSlept,
    HostSpec,
    InterfaceDown,
    InterfaceReaddressed,
    InterfaceSpec,
    InterfaceUp,
    Link,
    LinkChanged,
    NameSpec,
    NatKind,
    NatRebooted,
    NatSpec,
    ProxySpec,
    RouterSpec,
    Rule,
    Scene,
    SegmentSpec,
    ServerRebooted,
    TcpTimeouts,
    TrafficSpec,
    scenes,
)
from simulation._scenes import two_homes


def everything():
    """A scene with something in every field."""
    return two_homes(
        about="Alles ist möglich.",
        internet=Link(latency=0.03, jitter=0.01),
        segments=(
            SegmentSpec("tunnel", link=Link(loss=0.5, bursts=Bursts(enter=0.1, leave=0.5), bandwidth=1e6, mtu=1280)),
            SegmentSpec("first floor", "10.1.0.0/16", behind="core"),
        ),
        routers=(RouterSpec("core", behind="home A", link=Link(latency=0.01)),),
        firewalls=(FirewallSpec("gate", "udp-blocked", link=Link(latency=0.02)), FirewallSpec("wall", kind=FirewallKind())),
        proxies=(ProxySpec("proxy", "192.0.2.80", ports=(443, 5349)),),
        traffic=(TrafficSpec("alice", "bob", 1e6, stop=9.0), TrafficSpec("bob", "alice", 1000.0)),
        nats=(
            NatSpec("home A", "203.0.113.1", "symmetric", filtering=Filtering.ADDRESS_DEPENDENT, lifetime=math.inf),
            NatSpec(
                "office",
                ("192.0.2.100", "192.0.2.101"),
                kind=NatKind(port_range=(2000, 3000), pooling="paired", tcp=TcpTimeouts(opening=9.0), refresh="both"),
                forwards=(Forward(("192.0.2.101", 0), ("10.0.0.2", 0)), Forward(("192.0.2.100", 443), ("10.0.0.3", 8443))),
                firewall=FirewallKind(rules=(Rule("drop", "udp", ports=(53, (5000, 6000)), outside="2001:db8::/32"),)),
            ),
            NatSpec("carrier", "192.0.2.102", "cgnat", nat64="64:ff9b::/96", firewall="stateful"),
            NatSpec("home B", "198.51.100.1", hairpinning=True, alg=True, link=Link(latency=0.01), lan=Link(latency=0.001)),
        ),
        hosts=(
            HostSpec("alice", ("192.168.1.2", "2001:db8::2"), behind="home A"),
            HostSpec("bob", interfaces=(InterfaceSpec("192.168.1.2", "home B"), InterfaceSpec("10.8.0.1", "tunnel", up=False))),
        ),
        names=(NameSpec("stun.example.org", "192.0.2.9"),),
        signalling=1.0,
        payload=1200,
        duration=90.0,
        changes=(
            At(1.0, InterfaceDown("alice", "192.168.1.2")),
            At(2.0, InterfaceUp("alice", "192.168.1.2")),
            At(3.0, InterfaceReaddressed("alice", "192.168.1.2", "192.168.1.9")),
            At(4.0, NatRebooted("home A")),
            At(5.0, LinkChanged("internet", Link(loss=1.0))),
            At(6.0, ServerRebooted("stun", 3.0)),
            At(7.0, HostSlept("bob", 20.0)),
        ),
    )


def test_scene_survives_json():
    assert Scene.from_json(everything().to_json()) == everything()


def test_every_scene_of_the_library_survives_json():
    assert [Scene.from_json(scene.to_json()) for scene in scenes().values()] == list(scenes().values())


def test_what_has_its_default_is_left_out():
    assert json.loads(two_homes().to_json())["hosts"] == [
        {"name": "alice", "addresses": ["192.168.1.2"], "behind": "home A"},
        {"name": "bob", "addresses": ["192.168.1.2"], "behind": "home B"},
    ]


def test_changes_say_of_what_kind_they_are():
    assert json.loads(everything().to_json())["changes"][5] == {
        "time": 6.0,
        "change": {"is": "server-rebooted", "server": "stun", "seconds": 3.0},
    }


def test_endless_times_are_never_over():
    assert json.loads(everything().to_json())["nats"][0]["lifetime"] == "never"


def test_addresses_with_ports_are_one_text():
    forwards = json.loads(everything().to_json())["nats"][1]["forwards"]
    assert forwards[1] == {"outer": "192.0.2.100:443", "inner": "10.0.0.3:8443"}


def test_one_text_does_for_a_list_of_one():
    values = json.loads(two_homes().to_json())
    values["hosts"][0]["addresses"] = "192.168.1.2"
    assert Scene.from_json(json.dumps(values)) == two_homes()


def edited(path, value):
    """The JSON of `everything` with another value at a path such as ``hosts.1.name``; ``...`` removes it."""
    values = json.loads(everything().to_json())
    *parents, last = (int(part) if part.isdigit() else part for part in path.split("."))
    at = values
    for part in parents:
        at = at[part]
    if value is ...:
        del at[last]
    else:
        at[last] = value
    return json.dumps(values)


WRONG = {
    "a key that is not known": (
        "hosts.1.adresses",
        ["10.0.0.1"],
        "hosts[1].adresses: unknown; there are name, addresses, behind",
    ),
    "a key of the scene that is not known": ("host", [], "host: unknown; there are name, about"),
    "a key that is missing": ("hosts.0.name", ..., "hosts[0].name: missing"),
    "no name of the scene": ("name", ..., "name: missing"),
    "no version": ("scene_version", ..., "scene_version: None, and only 1 can be read"),
    "a newer version": ("scene_version", 2, "scene_version: 2, and only 1 can be read"),
    "a negative latency": ("nats.3.link.latency", -0.1, "nats[3].link: latency"),
    "an endless latency": ("internet.latency", "never", "internet: latency"),
    "a probability above 1": ("segments.0.link.loss", 1.5, "segments[0].link: loss"),
    "a number that is a text": ("internet.latency", "fast", "internet.latency: 'fast' is not a number"),
    "a number that is a bool": ("internet.latency", True, "internet.latency: True is not a number"),
    "a bool that is a number": ("nats.3.alg", 1, "nats[3].alg: 1 is not true or false"),
    "a text that is a number": ("hosts.0.name", 7, "hosts[0].name: 7 is not a text"),
    "a whole number that is none": ("payload", 1.5, "payload: 1.5 is not a whole number"),
    "a payload above all datagrams": ("payload", 70000, "payload: 70000 is outside 1..65507"),
    "an empty name": ("hosts.0.name", "", "hosts[0]: name: '' is no name"),
    "a list that is none": ("hosts", {}, "hosts: not a list"),
    "an object that is none": ("hosts.1", "bob", "hosts[1]: not a JSON object"),
    "a word that is none": ("nats.0.filtering", "tight", "nats[0].filtering: 'tight' is none of endpoint-independent, address-"),
    "a word that is a list": ("nats.0.filtering", [], "nats[0].filtering: [] is none of endpoint-independent, address-"),
    "nothing where something must be": ("internet", None, "internet: not a JSON object"),
    "an address that is none": ("hosts.0.addresses.1", "192.168.1.999", "hosts[0]: "),
    "a port that is none": ("servers.0.port", 70000, "servers[0]: port: 70000 is outside 1..65535"),
    "an empty pool": ("nats.0.outside", [], "nats[0]: outside: the pool of 'home A' is empty"),
    "a preset that is none": ("nats.0.preset", "strange", "nats[0]: no kind of NAT is called 'strange'; there are "),
    "a range of one": ("nats.1.kind.port_range", [2000], "nats[1].kind.port_range: 1 values, not 2"),
    "an empty range": ("nats.1.kind.port_range", [3000, 2000], "nats[1].kind: port_range must be "),
    "an address without a port": (
        "nats.1.forwards.0.outer",
        "192.0.2.1",
        "nats[1].forwards[0].outer: '192.0.2.1' is not ADDRESS",
    ),
    "an address that is a number": ("nats.1.forwards.0.outer", 7, "nats[1].forwards[0].outer: 7 is not a text"),
    "a kind of firewall that is none": ("nats.2.firewall", "great", "nats[2]: no kind of firewall is called 'great'"),
    "a kind of firewall of a wrong kind": ("nats.2.firewall", 7, "nats[2].firewall: 7 is not a text"),
    "a rule that is wrong in itself": (
        "nats.1.firewall.rules.0.ports.1",
        [6000, 5000],
        "nats[1].firewall.rules[0]: ports: 6000..5000 is no range",
    ),
    "a change of no kind": ("changes.0.change", {}, "changes[0].change: not an object whose 'is' is one of interface-down, "),
    "a change of another kind": ("changes.0.change.is", "flood", "changes[0].change: not an object whose 'is' is one of "),
    "a change whose kind is a list": ("changes.0.change.is", [], "changes[0].change: not an object whose 'is' is one of "),
    "a number that no float can be": ("internet.latency", 10**400, "internet.latency: 1000000000000000000000000000"),
    "a change that is none": ("changes.0.change", "interface-down", "changes[0].change: not an object whose 'is' is one of "),
    "a change with another's key": ("changes.0.change.nat", "home A", "changes[0].change.nat: unknown; there are host, address"),
    "a change in the past": ("changes.0.time", -1, "changes[0]: time: -1 is not a number of seconds from 0 on"),
    "an expectation that contradicts itself": (
        "expect",
        {"connected": False, "lasts": True},
        "expect: lasts: what never connects does not last",
    ),
    "a scene that cannot be built": ("hosts.0.behind", "home C", "hosts[0] 'alice': there is no place 'home C'"),
}


@pytest.mark.parametrize(("path", "value", "text"), WRONG.values(), ids=WRONG)
def test_wrong_json_is_refused_with_its_path(path, value, text):
    with pytest.raises(ValueError, match=f"^{re.escape(text)}"):
        Scene.from_json(edited(path, value))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        ("[]", "not a JSON object"),
        ('{"name": "a", "name": "b"}', "not JSON: the key 'name' twice in one object"),
        ('{"scene_version": 1, "name": "a", "signalling": NaN}', "not JSON: NaN is no number"),
        ('{"scene_version": 1, "name": "a", "signalling": Infinity}', "not JSON: Infinity is no number"),
        ("[" * 100_000, "not JSON"),
    ],
)
def test_what_is_no_scene_at_all_is_refused(text, why):
    with pytest.raises(ValueError, match=f"^{why}"):
        Scene.from_json(text)


def test_null_stands_for_a_link_that_is_not_there():
    values = json.loads(two_homes().to_json())
    values["nats"][0]["link"] = None
    assert Scene.from_json(json.dumps(values)) == two_homes()


def test_default_that_depends_on_another_field_is_left_out():
    scene = two_homes()
    assert "name" not in json.loads(scene.to_json())["agents"][0]
    renamed = attrs.evolve(scene.agents[0], name="caller")
    scene = two_homes(agents=(renamed, scene.agents[1]))
    assert json.loads(scene.to_json())["agents"][0]["name"] == "caller"
    assert Scene.from_json(scene.to_json()) == scene
