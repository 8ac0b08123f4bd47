"""Servers that lie to an agent: what they say makes no candidate that nobody can reach, takes nothing away, and costs a bound."""

import pytest

from ice._victim import FULL, MAPPED, PEER, RELAY_ADDRESS, RELAYED, SERVER, TurnServer, Victim, growth
from ice._wire import at, candidate
from sansice.ice import (
    CandidateType,
    Credentials,
    DataReceived,
    GatheringCompleted,
    IceConfig,
    IceServer,
    ServerFailed,
)
from sansice.machine import DropReason
from sansice.stun import (
    ALTERNATE_SERVER,
    DATA,
    ERROR_CODE,
    LIFETIME,
    XOR_MAPPED_ADDRESS,
    XOR_PEER_ADDRESS,
    XOR_RELAYED_ADDRESS,
    ErrorCode,
    MessageClass,
    Method,
    TransactionId,
    encode,
)

LIES = [
    at("0.0.0.0", 5000),
    at("255.255.255.255", 5000),
    at("224.0.0.1", 5000),
    at("239.255.255.250", 1900),
    at("127.0.0.1", 5000),
    at("203.0.113.7", 0),
    at("::", 5000),
    at("::1", 5000),
    at("ff02::1", 5000),
    at("2001:db8::7", 5000),
]
STUN = (IceServer("stun:198.51.100.53"),)


class Lying(TurnServer):
    """Sees every socket at ``mapped``, and relays at ``relayed`` for ``lifetime`` seconds."""

    def __init__(self, mapped=MAPPED, relayed=RELAY_ADDRESS, lifetime=600):
        super().__init__()
        self.mapped, self.relayed, self.lifetime = mapped, relayed, lifetime

    def allocate(self):
        return [(XOR_RELAYED_ADDRESS, self.relayed), (XOR_MAPPED_ADDRESS, self.mapped), (LIFETIME, self.lifetime)]

    def refresh(self, lifetime):
        return [(LIFETIME, self.lifetime if lifetime is None else lifetime)]

    def binding(self):
        return [(XOR_MAPPED_ADDRESS, self.mapped)]


class Redirecting(TurnServer):
    """Says 300 to every Allocate, each time with another address, or with ``target``."""

    def __init__(self, target=None):
        super().__init__()
        self.target = target
        self.count = 0

    def allocate(self):
        self.count += 1
        named = self.target or at(f"203.0.{self.count // 250}.{self.count % 250 + 1}", 3478)
        return [(ERROR_CODE, ErrorCode(300, "")), (ALTERNATE_SERVER, named)]


def types(victim):
    return [one.type for one in victim.agent.local_candidates]


@pytest.mark.parametrize("mapped", LIES, ids=str)
def test_stun_server_that_sees_a_socket_where_nobody_can_send_to_has_failed(mapped):
    victim = Victim.of(FULL, server=Lying(mapped), servers=STUN)
    assert types(victim) == [CandidateType.HOST]
    (failed,) = [event for event in victim.events if isinstance(event, ServerFailed)]
    assert str(mapped) in failed.text
    assert len([event for event in victim.events if isinstance(event, GatheringCompleted)]) == 1
    assert victim.connects()


@pytest.mark.parametrize("mapped", LIES, ids=str)
def test_relay_that_sees_a_socket_where_nobody_can_send_to_gives_no_reflexive_candidate(mapped):
    victim = Victim.of(RELAYED, server=Lying(mapped))
    assert CandidateType.SERVER_REFLEXIVE not in types(victim)
    assert victim.connects()


@pytest.mark.parametrize(
    "relayed", [at("0.0.0.0", 5000), at("224.0.0.1", 5000), at("203.0.113.9", 0), at("2001:db8::7")], ids=str
)
def test_relayed_address_where_nobody_can_send_to_is_no_candidate(relayed):
    victim = Victim.of(RELAYED, server=Lying(relayed=relayed))
    assert CandidateType.RELAYED not in types(victim)
    assert victim.connects()


def test_server_that_sees_another_port_each_time_makes_one_candidate_and_no_more():
    class Moving(TurnServer):
        def binding(self):
            return [(XOR_MAPPED_ADDRESS, at("203.0.113.7", 1000 + len(self.asked)))]

    victim = Victim.of(FULL, server=Moving(), servers=STUN)
    victim.run(300.0)  # keepalives ask again and again
    assert types(victim) == [CandidateType.HOST, CandidateType.SERVER_REFLEXIVE]
    assert len(victim.server.asked) > 15


def test_server_that_says_that_we_are_the_peer_takes_nothing_from_it():
    peer = at(PEER.host, PEER.port + 1)
    victim = Victim.of(RELAYED, server=Lying(mapped=peer, relayed=at(PEER.host, 7777)))
    assert victim.connects()
    assert victim.agent.selected_pair.remote.address == peer
    assert victim.agent.selected_pair.local.type is CandidateType.HOST


@pytest.mark.parametrize("lifetime", [1, 599, 2**31, 2**32 - 1])
def test_lifetime_that_no_server_means_is_kept_within_what_the_relay_can_be_kept_alive_for(lifetime):
    victim = Victim.of(RELAYED, server=Lying(lifetime=lifetime), policy="relay", known=False)
    victim.forget()
    victim.server.asked.clear()
    victim.run(600.0)
    refreshes = [one for one in victim.server.asked if one.method is Method.REFRESH]
    assert len(refreshes) <= 2 * 600  # each second two at most, however short it is
    assert victim.bytes_out < 600 * 400
    assert types(victim) == [CandidateType.RELAYED]


def test_thousand_redirections_end_soon_and_send_little():
    victim = Victim.of(RELAYED, server=Redirecting())
    victim.run(30.0)
    assert CandidateType.RELAYED not in types(victim)
    assert victim.server.count < 20
    assert sum(1 for _, one in victim.sent if one.destination != SERVER and one.destination.host.startswith("203.0.")) < 20
    assert victim.connects()


def test_server_that_redirects_to_itself_is_asked_a_few_times():
    victim = Victim.of(RELAYED, server=Redirecting(SERVER))
    victim.run(30.0)
    assert victim.server.count < 20
    assert victim.connects()


def test_server_that_redirects_to_the_peer_takes_none_of_the_peers_data():
    peer = at(PEER.host, PEER.port + 1)
    victim = Victim.of(RELAYED, server=Redirecting(peer))
    assert victim.connects()
    before = len([event for event in victim.events if isinstance(event, DataReceived)])
    for number in range(10):
        victim.arrive(peer, bytes([0x80 + number]) * 50)
        victim.arrive(peer, bytes([0x40]) + b"\x01\x00\x02hi")  # looks like a channel's; the application may use it all the same
    after = len([event for event in victim.events if isinstance(event, DataReceived)])
    assert after == before + 20


def brought(peer, data):
    tid = TransactionId(b"indication..")
    return encode(Method.DATA, MessageClass.INDICATION, tid, [(XOR_PEER_ADDRESS, peer), (DATA, data)])


def test_data_of_a_peer_that_has_no_permission_is_dropped():
    victim = Victim.of(RELAYED)
    before = victim.agent.stats.dropped.total()
    for number in range(1, 200):
        victim.arrive(SERVER, brought(at(f"10.1.0.{number}", 5), b"\x80data"))
        victim.arrive(SERVER, brought(at(f"10.1.0.{number}", 5), victim.check(nominate=True)))
    assert victim.agent.stats.dropped.total() == before + 2 * 199
    assert not [event for event in victim.events if isinstance(event, DataReceived)]
    assert len(victim.agent.remote_candidates) == 1
    assert victim.connects()


def test_data_that_a_relay_invents_for_a_permitted_peer_is_taken_only_after_a_check_of_the_peers():
    victim = Victim.of(RELAYED)
    victim.run(0.2)
    victim.arrive(SERVER, brought(at(PEER.host, 1234), b"\x80data"))
    assert not [event for event in victim.events if isinstance(event, DataReceived)]
    assert victim.agent.stats.dropped[DropReason.UNVALIDATED_SOURCE] == 1


def test_relay_that_wraps_its_own_messages_in_messages_is_unwrapped_once():
    victim = Victim.of(RELAYED)
    inner = victim.check()
    for _ in range(50):
        inner = brought(at(PEER.host, 9), inner)
    victim.arrive(SERVER, inner)
    assert len(victim.agent.remote_candidates) == 1
    assert victim.connects()


@pytest.mark.long
def test_flood_of_a_relays_indications_leaves_nothing():
    victim = Victim.of(RELAYED)
    victim.run(0.2)

    def flood():
        for number in range(1, 500):
            victim.arrive(SERVER, brought(at(PEER.host, number), victim.check(tid=number)))
            victim.arrive(SERVER, brought(at("10.1.0.1", number), b"\x80data"))

    flood()
    assert growth(victim, flood) < 4000
    assert len(victim.agent.remote_candidates) <= 2 + IceConfig().max_peer_reflexive


def test_permissions_follow_the_peer_and_do_not_add_up():
    victim = Victim.of(RELAYED)
    for number in range(1, 150):
        victim.tell(candidate(f"10.7.0.{number}"), credentials=Credentials(f"n{number:04}", f"passwordOfSomeLength{number:04}"))
        victim.run(0.5)
    victim.run(1.0)
    victim.server.asked.clear()
    victim.run(290.0)  # every permission is renewed in this time (RFC 8656 9)
    renewed = {
        XOR_PEER_ADDRESS.unpack(value, request.transaction_id).host
        for request in victim.server.asked
        if request.method is Method.CREATE_PERMISSION
        for code, value in request.attributes()
        if code == XOR_PEER_ADDRESS.code
    }
    assert renewed == {PEER.host, "10.7.0.149"}


def test_servers_that_see_ten_thousand_sockets_hold_no_more_questions_than_there_are():
    """With many servers keepalives may come due again before all have had their turn."""
    many = tuple(IceServer(f"stun:198.51.100.53:{3478 + number}") for number in range(100))
    config = IceConfig(ta=1.0, gathering_timeout=500.0)
    victim = Victim.of(FULL, servers=many, config=config)
    victim.run(400.0)
    bindings = victim.agent._gatherer._asking._bindings
    victim.run(600.0)
    assert len(bindings.queue) <= 2 * len(many)


def test_server_that_redirects_to_another_of_ours_does_not_keep_us_from_asking_that_one():
    other = at("198.51.100.53", 3479)
    honest = TurnServer()

    servers = [IceServer(f"turn:198.51.100.53:{port}?transport=udp", "user", "secret") for port in (3478, 3479)]
    victim = Victim.of(RELAYED, server=Redirecting(other), servers=servers, known=False, others={other: honest})
    assert CandidateType.RELAYED in types(victim)


def test_server_that_redirects_to_another_that_relays_is_followed_and_data_comes_from_there():
    other = at("198.51.100.53", 3479)
    victim = Victim.of(RELAYED, server=Redirecting(other), others={other: TurnServer()})
    victim.run(0.5)
    before = len(victim.agent.remote_candidates)
    victim.arrive(other, brought(at(PEER.host, 9), victim.check()))
    assert len(victim.agent.remote_candidates) == before + 1
    assert victim.connects()
