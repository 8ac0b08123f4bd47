"""From passages to journeys."""

from sansice import Address, IcmpError
from sansice.simulation import Fate, Fragment, Packet, Passage
from sansice.simulation._records._journey import End, Stop
from sansice.simulation._records._tracker import Tracker
from simulation._passages import OUTER, A, B, delivered, inward, outward


def track(*passages):
    journeys = []
    tracker = Tracker(journeys.append)
    for passage in passages:
        tracker(passage)
    return journeys, tracker


def places(journey):
    return [stop.place for stop in journey.stops]


def fates(journey):
    return [end.fate for end in journey.ends]


def test_packet_is_followed_through_translation_to_the_socket_that_it_reaches():
    (journey,), tracker = track(*outward(), *delivered())
    assert (journey.time, journey.origin, journey.packet) == (0.0, "alice", Packet(A, B, b"x"))
    assert journey.stops == [Stop(0.0, "alice"), Stop(0.0, "home")]
    assert journey.ends == [End(0.02, "bob", Fate.DELIVERED, False)]
    assert journey.paths == [["alice", "home", "bob"]]
    assert tracker.reached == {B: "bob"}


def test_packet_without_an_end_is_under_way():
    (journey,), _ = track(*outward())
    assert (journey.ends, journey.paths) == ([], [["alice", "home"]])


def test_packet_that_a_nat_drops_ends_there():
    lost = Passage(0.02, "home", Fate.FILTERED, Packet(B, OUTER, b"y"), "home outside")
    (journey,), _ = track(*inward(), lost)
    assert journey.ends == [End(0.02, "home", Fate.FILTERED, False)]


def test_packet_lost_on_a_link_ends_at_no_place():
    (journey,), _ = track(*outward(), Passage(0.0, "Internet", Fate.LOST, Packet(OUTER, B, b"x")))
    assert journey.ends == [End(0.0, "Internet", Fate.LOST, True)]
    assert journey.paths == [["alice", "home"]]


def test_of_equal_packets_the_first_arrives_first_and_a_link_loses_the_last():
    first, second = outward(0.0), outward(0.01)
    journeys, _ = track(*first, *second, Passage(0.01, "Internet", Fate.LOST, Packet(OUTER, B, b"x")), *delivered(0.02))
    assert [fates(one) for one in journeys] == [[Fate.DELIVERED], [Fate.LOST]]
    journeys, _ = track(
        *first, *second, *delivered(0.02), Passage(0.03, "bob", Fate.CLOSED_PORT, Packet(OUTER, B, b"x"), "bob 1")
    )
    assert [fates(one) for one in journeys] == [[Fate.DELIVERED], [Fate.CLOSED_PORT]]


def test_packet_refused_by_a_nat_that_is_down_ends_there_though_no_interface_is_named():
    packet = Packet(B, OUTER, b"y")
    (journey,), _ = track(*inward(), Passage(0.02, "home", Fate.INTERFACE_DOWN, packet))
    assert journey.ends == [End(0.02, "home", Fate.INTERFACE_DOWN, False)]


def test_packet_that_its_own_host_cannot_send_ends_where_it_began():
    (journey,), _ = track(Passage(0.0, "alice", Fate.UNROUTABLE, Packet(A, B, b"x")), *outward(1.0)[3:])
    assert journey.ends[0].place == "alice" and journey.origin == ""
    packet = Packet(A, B, b"x")
    sent = Passage(0.0, "alice", Fate.SENT, packet, "alice 10.0.0.2")
    (journey,), _ = track(sent, Passage(0.0, "alice", Fate.UNROUTABLE, packet))
    assert journey.ends == [End(0.0, "alice", Fate.UNROUTABLE, False)]


def test_copy_has_a_journey_of_its_own_from_where_the_link_made_it():
    packet = Packet(OUTER, B, b"x")
    passages = [*outward(), Passage(0.0, "Internet", Fate.DUPLICATED, packet), *delivered(0.02), *delivered(0.03)]
    (journey, copy), _ = track(*passages)
    assert (journey.is_copy, copy.is_copy) == (False, True)
    assert places(copy) == places(journey) == ["alice", "home"]
    assert [one.ends[0].time for one in (journey, copy)] == [0.02, 0.03]


def test_of_equal_packets_the_last_to_leave_is_doubled():
    again = Passage(0.01, "Internet", Fate.DUPLICATED, Packet(OUTER, B, b"x"))
    (first, second, copy), _ = track(*outward(0.0), *outward(0.01), again)
    assert (first.is_copy, second.is_copy, copy.is_copy) == (False, False, True)
    assert copy.stops == second.stops != first.stops


def test_packets_that_begin_alike_are_told_apart():
    one, other = bytes(39) + b"1", bytes(39) + b"2"
    journeys, _ = track(*outward(0.0, one), *outward(0.0, other), *delivered(0.02, other))
    assert [fates(journey) for journey in journeys] == [[], [Fate.DELIVERED]]


def test_an_address_stays_its_hosts_where_a_router_passes_its_packets_on():
    packet = Packet(A, B, b"x")
    passages = [
        Passage(0.0, "alice", Fate.SENT, packet, "alice 10.0.0.2"),
        Passage(0.0, "far", Fate.ARRIVED, packet, "far inside"),
        Passage(0.0, "far", Fate.FORWARDED, packet, "far outside"),
        Passage(0.5, "bob", Fate.DELIVERED, packet._replace(data=b"unseen"), "bob 198.51.100.2"),
    ]
    journeys, _ = track(*passages)
    assert [journey.origin for journey in journeys] == ["alice", "alice"]


def test_copy_of_what_nobody_saw_is_not_known():
    assert track(Passage(0.0, "Internet", Fate.DUPLICATED, Packet(OUTER, B, b"x")))[0] == []


def test_fragmented_datagram_is_followed_by_its_first_fragment():
    data = bytes(range(200)) * 8
    first = Packet(OUTER, B, data[:1272], fragment=Fragment(1, 0, True, 1608))
    second = Packet(Address(OUTER.host, 0), Address(B.host, 0), data[1272:], fragment=Fragment(1, 1280, False, 1608))
    passages = [
        *outward(data=data),
        Passage(0.0, "Internet", Fate.FRAGMENTED, Packet(OUTER, B, data)),
        Passage(0.02, "far", Fate.ARRIVED, first, "far outside"),
        Passage(0.02, "far", Fate.FORWARDED, first._replace(hops=63), "far inside"),
        Passage(0.03, "far", Fate.ARRIVED, second, "far outside"),
        Passage(0.03, "far", Fate.FORWARDED, second, "far inside"),
        *delivered(0.03, data),
    ]
    (journey,), _ = track(*passages)
    assert places(journey) == ["alice", "home", "far"]
    assert fates(journey) == [Fate.DELIVERED]


def test_datagram_is_put_together_by_the_host_that_it_reaches():
    data = bytes(range(200)) * 8
    first = Packet(OUTER, B, data[:1272], fragment=Fragment(1, 0, True, 1608))
    arrived = Passage(0.02, "bob", Fate.ARRIVED, first, "bob 198.51.100.2")
    passages = [*outward(data=data), arrived, *delivered(0.03, data), *outward(1.0, data), *delivered(1.03, data)]
    journeys, _ = track(*passages)
    assert [(fates(one), places(one)) for one in journeys] == [([Fate.DELIVERED], ["alice", "home"])] * 2
    (lost,), _ = track(*outward(data=data), arrived, Passage(60.0, "bob", Fate.INCOMPLETE, first, "bob 198.51.100.2"))
    assert fates(lost) == [Fate.INCOMPLETE]


def test_nat_that_waits_for_fragments_passes_on_others_meanwhile():
    held = Packet(A, B, b"held" * 100, fragment=Fragment(1, 0, True, 808))
    passages = [
        Passage(0.0, "alice", Fate.SENT, held, "alice 10.0.0.2"),
        Passage(0.0, "home", Fate.ARRIVED, held, "home inside"),
        *outward(0.1),
        Passage(0.2, "home", Fate.TRANSLATED, held._replace(source=OUTER), "home outside"),
        *delivered(0.3),
        Passage(0.4, "bob", Fate.CLOSED_PORT, held._replace(source=OUTER), "bob 198.51.100.2"),
    ]
    journeys, _ = track(*passages)
    assert [fates(one) for one in journeys] == [[Fate.CLOSED_PORT], [Fate.DELIVERED]]


def test_gateway_that_changes_what_it_passes_on_is_followed():
    changed = Packet(OUTER, B, b"another")
    arrival = outward()[:2]
    out = Passage(0.0, "home", Fate.TRANSLATED, changed, "home outside")
    (journey,), _ = track(*arrival, out, *delivered(data=b"another"))
    assert journey.paths == [["alice", "home", "bob"]]


def test_packet_to_a_group_arrives_wherever_somebody_listens():
    group = Packet(Address("192.168.1.2", 5353), Address("224.0.0.251", 5353), b"?")
    passages = [Passage(0.0, "alice", Fate.SENT, group, "alice 192.168.1.2")]
    passages += [Passage(0.0, name, Fate.DELIVERED, group, f"{name} 1") for name in ("bob", "printer")]
    (journey,), _ = track(*passages)
    assert journey.paths == [["alice", "bob"], ["alice", "printer"]]


def test_what_nobody_saw_leave_comes_from_whoever_had_its_address():
    answer = Packet(Address(OUTER.host, 0), B, b"", IcmpError(3, 3), A)
    _, unknown = track(*outward()), track(Passage(0.0, "bob", Fate.DELIVERED, answer, "bob 1"))
    assert unknown[0][0].origin == ""
    journeys, _ = track(*outward(), Passage(0.1, "bob", Fate.DELIVERED, answer, "bob 1"))
    assert journeys[1].origin == "home"


def test_what_a_router_sends_on_without_having_got_it_begins_there():
    (journey,), _ = track(outward()[2], *delivered())
    assert journey.paths == [["home", "bob"]]
