"""Discovery as a whole, in simulated networks: against our own server, and against servers that do as they please."""

import itertools
import json

import pytest

from _behavior_world import COOKIE_BYTES, HOSTS, HOSTS_IPV6, INSIDE, NAT_HOST, PORTS, Ways, World, real_server
from sansice.machine import (
    Address,
    AddressRecord,
    CloseSocket,
    DropReason,
    LocalProtocolError,
    OpenSocket,
    RecordKind,
    Resolve,
    SendDatagram,
    SocketError,
    SocketErrorKind,
    SocketId,
    SrvRecord,
)
from sansice.simulation import Fate, Filtering, Mapping, check_machine
from sansice.stun import (
    ALTERNATE_SERVER,
    CHANGE_REQUEST,
    MAPPED_ADDRESS,
    OTHER_ADDRESS,
    PADDING,
    RESPONSE_PORT,
    XOR_MAPPED_ADDRESS,
    AlgDetected,
    BehaviorConfig,
    BehaviorDiscovered,
    BehaviorDiscovery,
    BehaviorFailed,
    BehaviorProgressed,
    BehaviorState,
    BehaviorTest,
    ClassicType,
    ErrorCode,
    FilteringBehavior,
    FilteringDiscovered,
    FragmentHandling,
    FragmentsDiscovered,
    HairpinningDiscovered,
    LifetimeDiscovered,
    LifetimeNarrowed,
    LookupStep,
    MappingBehavior,
    MappingDiscovered,
    MessageClass,
    Method,
    Schedule,
    ServerKind,
    ServerUri,
    TestUnavailable,
    decode_untrusted,
    encode,
)
from sansice.stun._behavior._discovery import BEHAVIOR_TRANSITIONS

PRIMARY = Address(HOSTS[0], PORTS[0])
ALTERNATE = Address(HOSTS[1], PORTS[1])
KINDS = list(itertools.product(Mapping, Filtering))
BASIC = (BehaviorTest.FILTERING, BehaviorTest.MAPPING)
SILENCE = 8.5  # seconds: the default schedule, before its spread


def names(kind):
    return f"{kind[0].value}+{kind[1].value}"


# Nine kinds of NAT


@pytest.mark.parametrize("loss", [0.0, 0.1])
@pytest.mark.parametrize("kind", KINDS, ids=names)
@pytest.mark.req("RFC5780-001", "RFC5780-003")
def test_every_kind_of_nat_is_named_correctly(kind, loss):
    mapping, filtering = kind
    world = World(server=real_server(), nat={"mapping": mapping, "filtering": filtering}, loss=loss)
    found = world.discover()
    assert (found.mapping.value, found.filtering.value) == (mapping.value, filtering.value)
    assert (found.hairpinning, found.alg, found.unavailable) == (False, False, ())
    assert found.fragments == FragmentHandling(outgoing=True, incoming=True)
    assert found.mapped.host == NAT_HOST
    assert found.local.host == INSIDE
    assert found.natted
    assert not found.blocked
    assert found.kind is ServerKind.RFC5780


@pytest.mark.parametrize("kind", KINDS, ids=names)
def test_what_twenty_networks_lose_does_not_change_the_answer(kind):
    mapping, filtering = kind
    config = BehaviorConfig(schedule=Schedule(rc=7))
    for seed in range(20):
        world = World(nat={"mapping": mapping, "filtering": filtering}, loss=0.1, seed=seed, tests=BASIC, config=config)
        found = world.discover()
        assert (found.mapping.value, found.filtering.value) == (mapping.value, filtering.value), seed


@pytest.mark.parametrize(("hosts", "address"), [(HOSTS, "198.51.100.2"), (HOSTS_IPV6, "2001:db8:1::2")])
def test_without_a_nat_and_a_firewall_the_internet_is_open(hosts, address):
    world = World(server=real_server(), hosts=hosts, addresses=[address])
    found = world.discover()
    assert (found.mapping, found.filtering) == (MappingBehavior.NONE, FilteringBehavior.ENDPOINT_INDEPENDENT)
    assert found.classic is ClassicType.OPEN
    assert found.local == found.mapped
    assert not found.natted
    assert found.unavailable == ((BehaviorTest.HAIRPINNING, "there is no NAT that could turn packets round"),)


@pytest.mark.parametrize(
    ("admitted", "filtering"),
    [
        (lambda known, source: source[0] in {host for host, _ in known}, FilteringBehavior.ADDRESS_DEPENDENT),
        (lambda known, source: source in known, FilteringBehavior.ADDRESS_AND_PORT_DEPENDENT),
    ],
)
def test_a_firewall_without_a_nat_is_seen_by_its_filtering(admitted, filtering):
    world = World(server=real_server())
    known = set()

    def firewall(packet):
        if packet.source[0] == "198.51.100.2":
            known.add(packet.destination)
            return False
        return not admitted(known, packet.source)

    world.net.drop = firewall
    found = world.discover()
    assert (found.mapping, found.filtering) == (MappingBehavior.NONE, filtering)
    assert found.classic is ClassicType.FIREWALL
    assert found.verdict.startswith("No NAT, but a firewall")


@pytest.mark.req("RFC5780-003")
def test_a_firewall_that_remembers_hosts_for_all_ports_is_asked_before_the_alternate_is_sent_to():
    world = World(tests=BASIC[::-1])
    contacted = set()

    def firewall(packet):
        if packet.source[0] == "198.51.100.2":
            contacted.add(packet.destination[0])
        return packet.destination[0] == "198.51.100.2" and packet.source[0] not in contacted

    world.net.drop = firewall
    found = world.discover()
    assert found.filtering is FilteringBehavior.ADDRESS_DEPENDENT
    assert [event.test for event in world.events(BehaviorProgressed)] == list(BASIC)


def test_where_everything_is_dropped_udp_is_blocked():
    world = World()
    world.net.drop = lambda packet: packet.destination[0] == HOSTS[0]
    found = world.discover()
    assert found.blocked
    assert found.classic is ClassicType.BLOCKED
    assert found.verdict.startswith("Nothing came back over UDP")
    reason = "no answer over UDP: 192.0.2.10:3478 did not answer"
    assert dict(found.unavailable) == {test: reason for test in BehaviorTest if test is not BehaviorTest.LIFETIME}
    assert world.events(TestUnavailable) == [TestUnavailable(*pair) for pair in found.unavailable]
    assert world.discovery.stats.requests == 1


# Events


def test_events_come_in_the_order_of_the_tests_and_one_ends_it():
    world = World(nat={"filtering": Filtering.ENDPOINT_INDEPENDENT, "hairpinning": True}, tests=list(BehaviorTest))
    found = world.discover()
    narrowed = world.events(LifetimeNarrowed)
    seen = [event for _, event in world.node.events if type(event) is not LifetimeNarrowed]
    assert seen == [
        BehaviorProgressed(BehaviorTest.FILTERING, 0, 5),
        FilteringDiscovered(FilteringBehavior.ENDPOINT_INDEPENDENT),
        BehaviorProgressed(BehaviorTest.MAPPING, 1, 5),
        MappingDiscovered(MappingBehavior.ENDPOINT_INDEPENDENT, found.local, found.mapped),
        BehaviorProgressed(BehaviorTest.HAIRPINNING, 2, 5),
        HairpinningDiscovered(True),
        BehaviorProgressed(BehaviorTest.FRAGMENTS, 3, 5),
        FragmentsDiscovered(FragmentHandling(outgoing=True, incoming=True)),
        BehaviorProgressed(BehaviorTest.LIFETIME, 4, 5),
        LifetimeDiscovered(300.0, None),
        BehaviorDiscovered(found),
    ]
    assert narrowed[-1] == LifetimeNarrowed(300.0, None)
    assert (found.lifetime_s, found.expired_s) == (300.0, None)
    assert world.node.sockets == {}
    assert world.discovery.state is BehaviorState.DONE
    world.net.run(until=10_000)
    assert type(world.node.events[-1][1]) is BehaviorDiscovered


@pytest.mark.parametrize("life", [30.0, 120.0])
@pytest.mark.parametrize("loss", [0.0, 0.1])
@pytest.mark.req("RFC5780-004")
def test_the_lifetime_of_a_mapping_is_found_within_the_precision(life, loss):
    world = World(server=real_server(), nat={"lifetime": life}, loss=loss, tests=[BehaviorTest.LIFETIME])
    found = world.discover()
    assert found.lifetime_s < life <= found.expired_s + 0.001
    assert found.expired_s - found.lifetime_s <= 5.0


@pytest.mark.parametrize("hairpinning", [True, False])
@pytest.mark.parametrize("filtering", Filtering)
@pytest.mark.req("RFC5780-005")
def test_hairpinning_is_seen_when_a_request_of_ours_comes_back(hairpinning, filtering):
    nat = {"filtering": filtering, "hairpinning": hairpinning}
    found = World(server=real_server(), nat=nat, tests=[BehaviorTest.HAIRPINNING]).discover()
    assert found.hairpinning is hairpinning


@pytest.mark.req("RFC5780-006")
def test_a_nat_that_rewrites_what_is_inside_packets_is_detected_once():
    world = World(server=real_server(), nat={"alg": True})
    found = world.discover()
    assert found.alg is True
    [event] = world.events(AlgDetected)
    assert event.mapped_address.host == INSIDE
    assert event.xor_mapped_address.host == NAT_HOST
    assert found.mapping is MappingBehavior.ENDPOINT_INDEPENDENT


@pytest.mark.req("RFC5780-006")
@pytest.mark.parametrize("lie", [{"host": "10.9.9.9"}, {"port": 9}, {"host": "10.9.9.9", "port": 9}], ids=str)
def test_a_difference_of_the_two_attributes_in_any_part_is_an_alg_and_their_equality_none(lie):
    seen = Address("203.0.113.9", 40000)
    assert World(ways=Ways(seen=seen, mapped=seen._replace(**lie)), tests=BASIC).discover().alg is True
    assert World(ways=Ways(seen=seen, mapped=seen), tests=BASIC).discover().alg is False


@pytest.mark.parametrize(
    ("outwards", "inwards", "handling"),
    [
        (False, False, FragmentHandling(outgoing=True, incoming=True)),
        (False, True, FragmentHandling(outgoing=True, incoming=False)),
        (True, False, FragmentHandling(outgoing=False, incoming=None)),
    ],
)
def test_what_becomes_of_fragments_is_told_for_each_direction(outwards, inwards, handling):
    world = World(server=real_server(), nat={}, tests=[BehaviorTest.FRAGMENTS])
    world.net.drop = lambda packet: len(packet.data) > 1472 and (outwards if packet.destination[0] in HOSTS else inwards)
    assert world.discover().fragments == handling


# Servers that know less


@pytest.mark.req("RFC5780-002")
def test_without_other_address_mapping_and_filtering_are_not_available_and_say_why():
    world = World(ways=Ways(other=None), nat={})
    found = world.discover()
    reason = "the server has no second address: it sends no OTHER-ADDRESS"
    assert dict(found.unavailable) == {BehaviorTest.FILTERING: reason, BehaviorTest.MAPPING: reason}
    assert (found.mapping, found.filtering, found.classic) == (None, None, None)
    assert found.verdict.startswith("There is a NAT, but the server could not tell")
    assert found.fragments == FragmentHandling(outgoing=True, incoming=True)
    assert {corner for _, corner, _, _ in world.server.asked} == {PRIMARY}
    assert not any(CHANGE_REQUEST in request for *_, request in world.server.asked)


def test_without_other_address_it_is_still_certain_that_there_is_no_nat():
    found = World(ways=Ways(other=None), tests=BASIC).discover()
    assert found.mapping is MappingBehavior.NONE
    assert [test for test, _ in found.unavailable] == [BehaviorTest.FILTERING]
    assert found.verdict.startswith("No NAT; what a firewall lets in could not be tested")


def test_a_server_is_not_asked_by_rfc_3489_where_nothing_needs_its_second_address_or_it_is_switched_off():
    for options in ({"tests": [BehaviorTest.FRAGMENTS]}, {"tests": BASIC, "config": BehaviorConfig(classic=False)}):
        world = World(ways=Ways(other=None, answers_classic=True), nat={}, **options)
        assert world.discover().kind is ServerKind.RFC5780
        assert {request.data[4:8] for *_, request in world.server.asked} == {COOKIE_BYTES}


@pytest.mark.parametrize("kind", KINDS, ids=names)
@pytest.mark.parametrize("ways", [Ways(classic=True), Ways(other=None, answers_classic=True)], ids=["old", "both"])
def test_a_server_of_rfc_3489_names_every_kind_of_nat_too(kind, ways):
    mapping, filtering = kind
    world = World(ways=ways, nat={"mapping": mapping, "filtering": filtering}, tests=BASIC)
    found = world.discover()
    assert found.kind is ServerKind.RFC3489
    assert (found.mapping.value, found.filtering.value) == (mapping.value, filtering.value)
    cones = [ClassicType.FULL_CONE, ClassicType.RESTRICTED_CONE, ClassicType.PORT_RESTRICTED_CONE]
    cone = dict(zip(Filtering, cones, strict=True))[filtering]
    assert found.classic is (cone if mapping is Mapping.ENDPOINT_INDEPENDENT else ClassicType.SYMMETRIC)


@pytest.mark.parametrize(
    ("ways", "reason"),
    [
        (Ways(classic=True, changed=None), "the server has no second address: it sends no OTHER-ADDRESS"),
        (
            Ways(classic=True, changed=Address(HOSTS[0], 3479)),
            "CHANGED-ADDRESS is refused: 192.0.2.10:3479 does not differ from 192.0.2.10:3478 in both address and port",
        ),
        (
            Ways(other=Address("127.0.0.1", 80)),
            "OTHER-ADDRESS is refused: 127.0.0.1:80 is not of the same kind as 192.0.2.10: "
            "one is loopback, link-local or private",
        ),
    ],
)
def test_a_second_address_that_is_missing_or_cannot_be_right_makes_tests_unavailable_and_is_not_sent_to(ways, reason):
    world = World(ways=ways, nat={}, tests=BASIC, trace=1000)
    found = world.discover()
    assert {text for _, text in found.unavailable} == {reason}
    assert {passage.packet.destination[0] for passage in world.net.packets if passage.fate is Fate.SENT} <= {HOSTS[0], NAT_HOST}


@pytest.mark.parametrize(
    ("ways", "times"),
    [
        (Ways(other=Address("198.51.100.99", 7)), 1),
        (Ways(seen=Address("198.51.100.99", 8)), 2),
        (Ways(other=Address("198.51.100.99", 7), seen=Address("198.51.100.99", 8)), 3),
    ],
    ids=["other", "mapped", "both"],
)
def test_a_lying_server_has_a_stranger_sent_to_no_more_often_than_is_said(ways, times):
    victim = "198.51.100.99"
    world = World(ways=ways, nat={}, tests=list(BehaviorTest), trace=100_000)
    world.net.host("victim", victim)
    world.net.drop = lambda packet: packet.source[0] == victim
    found = world.discover()
    left = [passage.packet for passage in world.net.packets if passage.place == "client"]
    sent = [packet for packet in left if packet.destination[0] == victim]
    assert len(sent) == times * BehaviorConfig().schedule.rc  # the mapping test ends with the first silence
    assert {len(packet.data) for packet in sent} == {20}
    if ways.other != "right":
        assert dict(found.unavailable)[BehaviorTest.MAPPING] == "198.51.100.99:3478 did not answer"


@pytest.mark.parametrize("classic", [False, True])
@pytest.mark.req("RFC5780-007")
def test_420_for_change_request_makes_filtering_unavailable_and_leaves_the_rest(classic):
    found = World(ways=Ways(unknown=(CHANGE_REQUEST,), classic=classic), nat={}, tests=BASIC).discover()
    reason = "192.0.2.10:3478 answered with an error (420 Unknown Attribute)"
    assert found.unavailable == ((BehaviorTest.FILTERING, reason),)
    assert found.mapping is MappingBehavior.ENDPOINT_INDEPENDENT


@pytest.mark.req("RFC5780-007")
def test_420_for_response_port_makes_the_lifetime_unavailable():
    found = World(ways=Ways(unknown=(RESPONSE_PORT,)), nat={}, tests=[BehaviorTest.LIFETIME]).discover()
    reason = "192.0.2.10:3478 answered with an error (420 Unknown Attribute)"
    assert found.unavailable == ((BehaviorTest.LIFETIME, reason),)


def test_420_for_padding_shows_that_it_arrived():
    found = World(ways=Ways(unknown=(PADDING,)), tests=[BehaviorTest.FRAGMENTS]).discover()
    assert found.fragments == FragmentHandling(outgoing=True, incoming=None)


@pytest.mark.req("RFC5780-009")
def test_alternate_server_is_ignored_in_a_success_and_not_followed_in_an_error():
    elsewhere = Address("198.51.100.77", 3478)
    world = World(ways=Ways(extra=((ALTERNATE_SERVER, elsewhere),)), nat={}, tests=BASIC, trace=1000)
    assert world.discover().mapping is MappingBehavior.ENDPOINT_INDEPENDENT
    redirecting = World(ways=Ways(error=ErrorCode(300, "Try Alternate"), extra=((ALTERNATE_SERVER, elsewhere),)), trace=1000)
    failed = redirecting.discover()
    assert failed == BehaviorFailed(
        "192.0.2.10:3478", LookupStep.REQUEST, "192.0.2.10:3478 answered with an error (300 Try Alternate)"
    )
    for one in (world, redirecting):
        assert not [passage for passage in one.net.packets if passage.packet.destination == elsewhere]


def test_a_server_that_wants_credentials_is_a_failure_that_says_so():
    failed = World(ways=Ways(error=ErrorCode(401, "Unauthenticated"))).discover()
    assert failed.reason == "192.0.2.10:3478 answered with an error (401 Unauthenticated)"


def test_a_port_where_nobody_listens_is_a_failure_and_not_a_firewall():
    world = World(target=Address(HOSTS[0], 9))
    assert world.discover() == BehaviorFailed(
        "192.0.2.10:9", LookupStep.REQUEST, "192.0.2.10:9 is not reachable (the network said that nobody is there)"
    )
    assert world.net.now < 1.0


def test_a_socket_that_cannot_be_opened_is_a_failure_that_says_why():
    world = World(local=Address("198.51.100.200", 0))
    assert "has no address 198.51.100.200" in world.discover().reason


# Pace


@pytest.mark.req("RFC5780-008")
def test_at_most_ten_transactions_begin_in_a_second_and_retransmissions_do_not_coincide():
    world = World(nat={}, tests=list(BehaviorTest), trace=100_000)
    world.discover()
    first, every = {}, []
    for passage in world.net.packets:
        if passage.fate is Fate.SENT and passage.place == "client":
            every.append(passage.time)
            first.setdefault(decode_untrusted(passage.packet.data).transaction_id, passage.time)
    starts = sorted(first.values())
    assert len(starts) == world.discovery.stats.requests > 20
    assert all(later - earlier >= 0.1 - 1e-9 for earlier, later in itertools.pairwise(starts))
    assert len(set(every)) == len(every)


@pytest.mark.req("RFC5780-008")
def test_two_transactions_begun_at_any_distance_retransmit_by_schedules_of_their_own():
    world = World(nat={}, tests=BASIC, trace=10_000)
    world.net.drop = lambda packet: packet.destination[0] != HOSTS[0] and packet.source != PRIMARY
    world.discover()
    times = {}
    for passage in world.net.packets:
        if passage.fate is Fate.SENT and passage.place == "client":
            message = decode_untrusted(passage.packet.data)
            if CHANGE_REQUEST in message:
                times.setdefault(message.transaction_id, []).append(passage.time)
    one, other = times.values()
    assert len(one) == len(other) == 5
    ratios = [(later[1] - later[0]) / 0.5 for later in (one, other)]
    assert ratios[0] != ratios[1]
    assert all(1.0 <= ratio <= 1.1 for ratio in ratios)


# Whom to ask


@pytest.mark.req("RFC5780-010")
def test_the_name_is_looked_up_by_the_service_stun_behavior():
    world = World(server=real_server(), nat={}, target="stun:example.org", tests=BASIC, families=(4,))
    world.net.resolve("_stun-behavior._udp.example.org", [SrvRecord(0, 0, 3478, "b.example.org")])
    world.net.resolve("b.example.org", [AddressRecord(HOSTS[0])])
    assert world.discover().mapping is MappingBehavior.ENDPOINT_INDEPENDENT
    discovery = BehaviorDiscovery("stun:example.org")
    discovery.start(now=0.0)
    asked = [output for output in discovery.take_outputs() if isinstance(output, Resolve)]
    assert [(query.name, query.kind) for query in asked] == [("_stun-behavior._udp.example.org", RecordKind.SRV)]


def test_a_name_that_leads_nowhere_is_a_failure():
    world = World(target="stun:nowhere.example")
    failed = world.discover()
    assert type(failed) is BehaviorFailed
    assert (failed.server, failed.step) == ("stun:nowhere.example", LookupStep.RESOLVE)
    assert failed.reason.startswith("no server found (SRV _stun-behavior._udp.nowhere.example: ")  # whom it is about is `server`


def test_a_failure_says_how_far_it_came():
    assert World(target=Address(HOSTS[0], 9)).discover().step is LookupStep.REQUEST
    discovery = BehaviorDiscovery("stun:192.0.2.1")
    discovery.start(now=0.0)
    [opening] = [output for output in discovery.take_outputs() if isinstance(output, OpenSocket)]
    discovery.handle_socket_failed(opening.socket, SocketError(SocketErrorKind.NO_RESOURCES), now=0.0)
    [failed] = [output for output in discovery.take_outputs() if isinstance(output, BehaviorFailed)]
    assert failed.step is LookupStep.OPEN


@pytest.mark.req("RFC5780-003")
def test_the_next_address_is_tried_when_one_is_silent_and_then_not_trusted_to_be_untouched():
    world = World(nat={}, target="stun:two.example:3478", tests=BASIC, families=(4,))
    world.net.resolve("two.example", [AddressRecord(HOSTS[1]), AddressRecord(HOSTS[0])])
    world.net.drop = lambda packet: packet.source == Address(HOSTS[1], 3478) and world.net.now < 9
    found = world.discover()
    assert found.mapping is MappingBehavior.ENDPOINT_INDEPENDENT
    reason = "192.0.2.20 was asked before, which opens the filter for it"
    assert found.unavailable == ((BehaviorTest.FILTERING, reason),)


def test_no_more_addresses_are_tried_than_configured():
    world = World(target="stun:many.example:3478", families=(4,), config=BehaviorConfig(max_targets=2))
    world.net.resolve("many.example", [AddressRecord(f"198.51.100.{number}") for number in range(10, 20)])
    found = world.discover()
    assert found.blocked
    assert world.discovery.stats.requests == 2
    assert found.unavailable[0][1].count("did not answer") == 2


def test_a_silent_address_outweighs_one_that_refuses():
    world = World(target="stun:two.example:9", families=(4,), tests=BASIC)
    world.net.resolve("two.example", [AddressRecord("198.51.100.10"), AddressRecord(HOSTS[0])])
    assert world.discover().blocked


def test_a_port_given_is_used_for_the_mapping_and_the_host_for_everything():
    local = Address(INSIDE, 50123)
    world = World(nat={}, local=local)
    found = world.discover()
    assert found.local == local
    assert found.mapping is MappingBehavior.ENDPOINT_INDEPENDENT


def test_from_an_address_of_one_family_only_servers_of_that_family_are_asked():
    world = World(local=Address("2001:db8:1::2", 0), addresses=["198.51.100.2", "2001:db8:1::2"], target="stun:two.example:3478")
    world.net.resolve("two.example", [AddressRecord(HOSTS[0]), AddressRecord(HOSTS_IPV6[0])])
    world.discover()
    assert world.discovery.stats.requests == 1
    assert "[2001:db8::10]:3478" in world.node.events[-1][1].behavior.unavailable[0][1]


def test_a_uri_value_an_address_and_text_are_the_same():
    servers = [ServerUri.parse("stun:192.0.2.10:3478"), PRIMARY, "stun:192.0.2.10:3478"]
    found = [World(target=server, tests=BASIC).discover() for server in servers]
    assert len({(one.mapping, one.filtering, one.mapped) for one in found}) == 1
    assert [one.server for one in found] == ["stun:192.0.2.10:3478", "192.0.2.10:3478", "stun:192.0.2.10:3478"]


# Misuse and the end


@pytest.mark.parametrize("uri", ["stuns:example.org", "turn:example.org"])
def test_only_stun_over_udp_can_show_what_a_nat_does(uri):
    with pytest.raises(LocalProtocolError, match="with a stun: URI"):
        BehaviorDiscovery(uri)


@pytest.mark.parametrize(
    ("options", "match"),
    [({"tests": ()}, "no test"), ({"lifetime_limit": 0.0}, "lifetime limit"), ({"lifetime_limit": float("inf")}, "lifetime")],
)
def test_nonsense_is_refused(options, match):
    with pytest.raises(LocalProtocolError, match=match):
        BehaviorDiscovery(PRIMARY, **options)


def test_nonsense_for_a_uri_is_a_value_error():
    with pytest.raises(ValueError, match="begins with stun:"):
        BehaviorDiscovery("http://example.org")


def test_a_discovery_starts_once():
    discovery = BehaviorDiscovery(PRIMARY)
    discovery.start(now=0.0)
    with pytest.raises(LocalProtocolError, match="starts once"):
        discovery.start(now=1.0)


@pytest.mark.parametrize("after", [0.0, 0.01, 0.2, 9.0])
def test_closing_closes_the_sockets_and_nothing_follows(after):
    world = World(nat={})
    world.node.call(world.discovery.start)
    world.net.run(until=after)
    before = len(world.node.events)
    world.node.call(world.discovery.close)
    world.node.call(world.discovery.close)
    world.net.run(until=1000.0)
    assert len(world.node.events) == before
    assert world.node.sockets == {}
    with pytest.raises(LocalProtocolError, match="over"):
        world.node.call(world.discovery.start)


def test_every_transition_ends_in_a_known_state_and_done_is_final():
    assert {state for state, _ in BEHAVIOR_TRANSITIONS} == set(BehaviorState)
    assert {after for (state, _), after in BEHAVIOR_TRANSITIONS.items() if state is BehaviorState.DONE} == {BehaviorState.DONE}


def test_a_socket_that_dies_makes_its_test_unavailable_once_and_the_rest_goes_on():
    discovery = BehaviorDiscovery(PRIMARY, tests=BASIC, local=Address(INSIDE, 0), entropy=Drawn())
    server = Answers(discovery)
    discovery.start(now=0.0)
    server.run(until=0.15)
    opened = [output.socket for output in server.outputs if isinstance(output, OpenSocket)]
    assert len(opened) == 2
    discovery.handle_socket_failed(opened[1], SocketError(SocketErrorKind.OTHER, "pulled"), now=0.35)
    server.run(until=2.0)
    events = [output for output in server.outputs if isinstance(output, TestUnavailable | MappingDiscovered)]
    assert events == [
        TestUnavailable(BehaviorTest.FILTERING, "192.0.2.10:3478 could not be asked (pulled)"),
        MappingDiscovered(MappingBehavior.NONE, Address(INSIDE, 1), Address(INSIDE, 1)),
    ]
    closed = [output.socket for output in server.outputs if isinstance(output, CloseSocket)]
    assert closed == [opened[0]]


def test_what_else_a_socket_takes_with_it_after_the_last_test_is_not_told():
    discovery = BehaviorDiscovery(PRIMARY, tests=[BehaviorTest.FILTERING], local=Address(INSIDE, 0), entropy=Drawn())
    server = Answers(discovery)
    discovery.start(now=0.0)
    server.run(until=0.25)
    opened = [output.socket for output in server.outputs if isinstance(output, OpenSocket)]
    discovery.handle_socket_failed(opened[1], SocketError(SocketErrorKind.OTHER, "pulled"), now=0.35)
    reason = "192.0.2.10:3478 could not be asked (pulled)"
    assert discovery.take_outputs()[:1] == [TestUnavailable(BehaviorTest.FILTERING, reason)]
    assert discovery.state is BehaviorState.DONE
    server.run(until=60.0)
    assert sum(isinstance(output, TestUnavailable) for output in server.outputs) == 0
    assert discovery.take_outputs() == []


def test_noise_is_dropped_and_counted():
    world = World(nat={})
    world.node.call(world.discovery.start)
    world.net.run(until=0.01)
    socket = next(iter(world.node.sockets))
    noise = [(PRIMARY, b""), (PRIMARY, b"noise"), (ALTERNATE, bytes(20))]
    world.discovery.handle_datagrams(socket, noise, now=0.01)
    world.discovery.handle_datagrams(SocketId(999), noise[:1], now=0.01)
    stats = world.discovery.stats
    assert stats.requests == 1
    assert stats.dropped == {DropReason.EMPTY: 1, DropReason.NOT_STUN: 1, DropReason.BAD_COOKIE: 1, DropReason.UNKNOWN_SOCKET: 1}


# The contract


class Drawn:
    """Entropy that never repeats."""

    def __init__(self):
        self.count = 0

    def __call__(self, size):
        self.count += 1
        return self.count.to_bytes(size, "big") if size > 1 else b"\0"


class Answers:
    """Runs a discovery by hand: its sockets open at once, and the primary address answers all but CHANGE-REQUEST."""

    def __init__(self, discovery):
        self.discovery = discovery
        self.outputs = []
        self.ports = {}

    def run(self, *, until):
        now = 0.0
        while True:
            fresh = self.discovery.take_outputs()
            self.outputs += fresh
            for output in fresh:
                if isinstance(output, OpenSocket):
                    local = self.ports[output.socket] = Address(INSIDE, len(self.ports) + 1)
                    self.discovery.handle_socket_opened(output.socket, local, now=now)
                elif isinstance(output, SendDatagram) and (data := answered(output, self.ports.get(output.socket))):
                    self.discovery.handle_datagrams(output.socket, [(output.destination, data)], now=now)
            if fresh:
                continue
            if self.discovery.deadline() > until:
                return
            now = self.discovery.deadline()
            self.discovery.handle_timer(now=now)


def answered(sent, source=None):
    """What a well-meaning server answers to a datagram of a discovery, or ``None`` where it may not come back."""
    request = decode_untrusted(sent.data[:4] + COOKIE_BYTES + sent.data[8:])
    if CHANGE_REQUEST in request:
        return None
    source = source or Address("198.51.100.2", 4000)
    attributes = [(XOR_MAPPED_ADDRESS, source), (MAPPED_ADDRESS, source), (OTHER_ADDRESS, ALTERNATE)]
    return encode(Method.BINDING, MessageClass.SUCCESS, request.transaction_id, attributes)


@pytest.mark.parametrize("started", [False, True])
def test_a_discovery_keeps_the_contract(started):
    check_machine(
        lambda entropy: BehaviorDiscovery(PRIMARY, tests=list(BehaviorTest), entropy=entropy),
        setup=(lambda discovery, now: discovery.start(now=now)) if started else None,
        commands={"start": [()], "close": [()]},
        answers=answered,
        max_examples=60,
    )


def test_a_discovery_by_name_keeps_the_contract():
    check_machine(
        lambda entropy: BehaviorDiscovery("stun:example.org", entropy=entropy),
        commands={"start": [()], "close": [()]},
        answers=answered,
        max_examples=30,
    )


def test_json_has_the_agreed_keys_and_words():
    world = World(server=real_server(), nat={"lifetime": 40.0}, tests=list(BehaviorTest))
    found = json.loads(world.discover().to_json())
    assert list(found)[:5] == ["mapping", "filtering", "hairpinning", "lifetime_s", "verdict"]
    assert (found["mapping"], found["filtering"]) == ("endpoint-independent", "address-and-port-dependent")
    assert 35.0 <= found["lifetime_s"] < 40.0
