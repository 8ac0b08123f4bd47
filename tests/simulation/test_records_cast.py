"""Names of both ends, in worlds with real agents."""

import pytest

from sansice import Address, IcmpError
from sansice.simulation import Packet, Story, scene, simulate
from sansice.simulation._records._cast import Cast
from sansice.simulation._records._journey import Journey, Stop
from sansice.simulation._records._tracker import Tracker
from simulation._passages import A, B, delivered, outward


class Ran:
    """A scene that ran, its journeys, and who is who in it."""

    def __init__(self, name):
        self.journeys = []
        tracker = Tracker(self.journeys.append)
        self.run = simulate(scene(name), observers=[tracker])
        self.cast = Cast(self.run.world.nodes, tracker.reached)
        self.pairs = [(self.cast.sender(one), self.cast.receiver(one)) for one in self.journeys]


@pytest.fixture(scope="module")
def hotel():
    return Ran("hotel")


def test_addresses_are_called_by_agent_and_type(hotel):
    assert hotel.pairs[0] == ("alice:host", "stun")
    assert ("stun", "alice:srflx") in hotel.pairs
    assert ("alice:host", "bob:host") in hotel.pairs
    assert ("alice:host", "bob:srflx") in hotel.pairs


def test_address_that_only_packets_showed_is_peer_reflexive(hotel):
    assert ("bob:host", "alice:prflx") in hotel.pairs


def test_host_for_which_a_packet_is_meant_is_known_by_its_agent_or_its_server(hotel):
    assert {hotel.cast.host_of(one) for one in hotel.journeys} == {"alice", "bob", "stun"}


def test_where_both_ends_have_an_address_in_common_the_peer_is_meant():
    ran = Ran("overlapping-homes")
    meant = [pair for one, pair in zip(ran.journeys, ran.pairs, strict=True) if one.ends[0].place == "printer A"]
    assert meant and set(meant) == {("alice:host", "bob:host")}


def test_several_candidates_of_a_type_are_told_apart_by_their_address():
    ran = Ran("many-interfaces")
    senders = {sender for sender, _ in ran.pairs if sender.startswith("developer:host ")}
    assert len(senders) == 5


def test_system_that_speaks_for_itself_is_no_candidate(hotel):
    error = Journey(Packet(Address("192.168.1.2", 0), A, b"", IcmpError(3, 3), B), [Stop(0.0, "alice")])
    assert hotel.cast.sender(error) == "alice"


def test_without_agents_hosts_are_called_by_name_and_unknown_addresses_by_themselves():
    journeys = []
    tracker = Tracker(journeys.append)
    for passage in [*outward(), *delivered()]:
        tracker(passage)
    cast = Cast({}, tracker.reached)
    (journey,) = journeys
    assert (cast.sender(journey), cast.receiver(journey), cast.host_of(journey)) == ("alice", "bob", "bob")
    stranger = Journey(Packet(Address("192.0.2.77", 1), Address("192.0.2.78", 2), b""), [Stop(0.0, "")])
    assert (cast.sender(stranger), cast.receiver(stranger)) == ("192.0.2.77:1", "192.0.2.78:2")


def test_nodes_that_run_no_agent_are_no_agents():
    world = scene("two-homes").build()
    cast = Cast(world.servers, {})
    assert cast.sender(Journey(Packet(A, B, b""), [Stop(0.0, "stun")])) == "stun"
    assert Story().packets == 0
