"""What a scene says of relays, and what it cannot say."""

import attrs
import pytest

from sansice import Transport
from sansice.simulation import AgentSpec, HostSpec, RelayCallSpec, Scene, TurnServerSpec
from simulation._scenes import two_homes

TURN = TurnServerSpec("turn", ("192.0.2.10", "2001:db8::10"), tls_port=443)


def relayed(**parts):
    """Two homes that can only be connected by a relay."""
    return two_homes(**{"servers": (), "agents": (), "turn_servers": (TURN,), "calls": (RelayCallSpec("alice", "bob"),), **parts})


@pytest.mark.parametrize(
    ("transport", "uri"),
    [
        (Transport.UDP, "turn:192.0.2.10:3478?transport=udp"),
        (Transport.TCP, "turn:192.0.2.10:3478?transport=tcp"),
        (Transport.TLS, "turns:192.0.2.10:443?transport=tcp"),
        (Transport.DTLS, "turns:192.0.2.10:443?transport=udp"),
    ],
)
def test_server_has_a_uri_for_each_transport(transport, uri):
    assert TURN.uri(transport) == uri


def test_server_has_uris_of_both_families_as_far_as_it_has_addresses():
    assert TURN.uri(Transport.UDP, ipv6=True) == "turn:[2001:db8::10]:3478?transport=udp"
    with pytest.raises(ValueError, match=r"^'turn' has no address of IPv6"):
        TurnServerSpec("turn", "192.0.2.10").uri(Transport.UDP, ipv6=True)


def test_transport_is_a_word_or_a_value():
    assert RelayCallSpec("alice", "bob", transport="tls") == RelayCallSpec("alice", "bob", transport=Transport.TLS)
    with pytest.raises(ValueError, match="'sctp' is not a valid Transport"):
        RelayCallSpec("alice", "bob", transport="sctp")


def test_scene_with_relays_survives_json():
    scene = relayed(calls=(RelayCallSpec("alice", "bob", transport="dtls", mobility=True, name="a call", start=2.0),))
    assert Scene.from_json(scene.to_json()) == scene
    assert '"transport": "dtls"' in scene.to_json()


def test_servers_are_services_and_calls_have_starts():
    scene = relayed(calls=(RelayCallSpec("alice", "bob", name="call", start=3.0),), agents=two_homes().agents)
    assert [spec.name for spec in scene.services] == ["turn"]
    assert scene.starts == (0.0, 0.0, 3.0)


IMPOSSIBLE = {
    "a call from nowhere": ((RelayCallSpec("carol", "bob"),), "calls[0] 'carol': there is no host 'carol'"),
    "a call to nowhere": ((RelayCallSpec("alice", "carol"),), "calls[0] 'alice': there is no host 'carol'"),
    "a call to oneself": ((RelayCallSpec("alice", "alice"),), "calls[0] 'alice': 'alice' calls itself"),
    "a call through nothing": (
        (RelayCallSpec("alice", "bob", "stun"),),
        "calls[0] 'alice': there is no TURN server 'stun'",
    ),
    "two calls of one name": (
        (RelayCallSpec("alice", "bob"), RelayCallSpec("bob", "alice", name="alice")),
        "calls[1] 'alice': calls[0] has this name; give one of them a name of its own",
    ),
}


@pytest.mark.parametrize(("calls", "text"), IMPOSSIBLE.values(), ids=IMPOSSIBLE)
def test_call_that_cannot_be_is_refused_with_its_place(calls, text):
    with pytest.raises(ValueError) as refused:  # noqa: PT011  # the text is compared below
        relayed(calls=calls)
    assert str(refused.value) == text


def test_call_and_agent_of_one_name_are_refused():
    with pytest.raises(ValueError, match=r"^calls\[0\] 'alice': agents\[0\] has this name"):
        relayed(agents=two_homes().agents)
    assert relayed(agents=(AgentSpec("alice", name="a", peer="b"), AgentSpec("bob", name="b", peer="a"))).agents


@pytest.mark.parametrize("name", ["alice", "bob"])
def test_both_ends_have_a_family_in_common_with_the_server(name):
    hosts = tuple(HostSpec(host.name, "2001:db8:1::1") if host.name == name else host for host in two_homes().hosts)
    with pytest.raises(ValueError, match=rf"^calls\[0\] 'alice': '{name}' and 'turn' have no family of addresses in common"):
        relayed(hosts=hosts, turn_servers=(attrs.evolve(TURN, addresses="192.0.2.10"),))


def test_name_of_a_turn_server_is_one_of_the_scene():
    with pytest.raises(ValueError, match=r"^turn_servers\[0\] 'alice': the name is taken by hosts\[0\] 'alice'"):
        relayed(turn_servers=(TurnServerSpec("alice", "192.0.2.10"),))
