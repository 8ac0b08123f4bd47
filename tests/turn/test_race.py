import math

import pytest

from _turn_client_scene import (
    DTLS,
    GRANT,
    KEY,
    LOCAL,
    MAPPED,
    OTHER,
    RELAYED,
    RELAYED6,
    SENDS,
    SERVER,
    SERVER6,
    TCP,
    TLS,
    UDP,
    Scene,
)
from sansice.machine import (
    ANY_IPV4,
    Address,
    AddressRecord,
    IcmpError,
    OpenSocket,
    ProxyOptions,
    RecordKind,
    Resolve,
    ResolveError,
)
from sansice.stun import (
    ADDITIONAL_ADDRESS_FAMILY,
    ADDRESS_ERROR_CODE,
    ALPN_TURN,
    ALTERNATE_SERVER,
    DONT_FRAGMENT,
    EVEN_PORT,
    LIFETIME,
    REQUESTED_ADDRESS_FAMILY,
    REQUESTED_TRANSPORT,
    RESERVATION_TOKEN,
    UNKNOWN_ATTRIBUTES,
    USERNAME,
    XOR_MAPPED_ADDRESS,
    XOR_RELAYED_ADDRESS,
    AddressErrorCode,
    Method,
    ServerTarget,
)
from sansice.turn import (
    AllocateAttempt,
    AllocationCreated,
    AllocationFailed,
    TurnClientConfig,
    TurnClientState,
    TurnServerMemory,
    TurnStep,
)

ALLOCATE = Method.ALLOCATE
IDLE, ALLOCATED = TurnClientState.IDLE, TurnClientState.ALLOCATED
V4 = ServerTarget(UDP, SERVER)
V6 = ServerTarget(UDP, SERVER6)
OVER_TCP = ServerTarget(TCP, SERVER)
TOKEN = bytes(range(8))


class Several(Scene):
    """Scenes with several servers, which are those of one name."""

    def __init__(self, *addresses, transports=(UDP,), scheme="turn", options=None, **settings):
        super().__init__(f"{scheme}:turn.example:3478", options={"transports": transports, **(options or {})}, **settings)
        self.addresses = addresses

    def allocate_from(self, **wish):
        self.do("allocate", **wish)
        for query in [action for action in self.actions if isinstance(action, Resolve)]:
            ipv6 = query.kind is RecordKind.AAAA
            answer = tuple(AddressRecord(one.host) for one in self.addresses if one.is_ipv6 is ipv6)
            self.do("handle_resolved", query.query, answer or ResolveError.NOT_FOUND)
        self.actions = [action for action in self.actions if not isinstance(action, Resolve)]


def failure(scene):
    (event,) = scene.told(AllocationFailed)
    return event


# One server


@pytest.mark.req("RFC8656-003", "RFC8656-019", "RFC8656-046")
def test_a_relayed_address_takes_an_unauthenticated_request_a_challenge_and_an_authenticated_one():
    scene = Scene()
    scene.do("allocate")
    assert scene.actions == [OpenSocket(1, UDP, Address(ANY_IPV4, 0), SERVER)]
    scene.open()
    ((_, bare),) = scene.asked(ALLOCATE)
    assert (bare.get(REQUESTED_TRANSPORT), bare.has_integrity) == (17, False)
    assert bare.data[20:] == bytes.fromhex("0019 0004 11000000")
    scene.challenge()
    (_, _), (_, protected) = scene.asked(ALLOCATE)
    assert protected.get(USERNAME) == "user"
    assert protected.verify(KEY)
    scene.now = 0.25
    scene.answer(*GRANT)
    created = AllocationCreated((RELAYED,), MAPPED, 600, None, V4, LOCAL)
    assert scene.events == [(0.25, created)]
    client = scene.client
    assert (client.state, client.relayed, client.mapped, client.local, client.lifetime) == (
        ALLOCATED,
        (RELAYED,),
        MAPPED,
        LOCAL,
        600,
    )
    assert client.path.remote == SERVER


def test_a_server_without_users_is_asked_once_and_never_challenged():
    scene = Scene(credentials=None)
    scene.allocate()
    assert len(scene.sent) == 1


def test_a_silent_server_is_asked_by_the_schedule_and_given_up():
    scene = Scene()
    scene.do("allocate")
    scene.open()
    scene.run(60.0)
    assert [time for time, _ in scene.asked(ALLOCATE)] == SENDS
    attempt = AllocateAttempt(V4, TurnStep.ALLOCATE, "the server does not answer")
    reason = "192.0.2.1:3478 (udp): the server does not answer"
    assert scene.events == [(39.5, AllocationFailed(TurnStep.ALLOCATE, reason, None, (attempt,)))]
    assert scene.client.state is IDLE
    assert not scene.opened()


def test_a_server_that_answers_after_all_is_asked_within_one_limit_for_everything():
    scene = Scene(allocate_timeout=10.0)
    scene.do("allocate")
    scene.open()
    scene.run(20.0)
    assert scene.events[0][0] == 10.0
    assert failure(scene).attempts == (AllocateAttempt(V4, TurnStep.ALLOCATE, "no answer in time"),)


def test_a_connection_that_does_not_open_in_time_is_told_as_such():
    scene = Scene(transport=TCP, allocate_timeout=10.0)
    scene.do("allocate")
    scene.run(20.0)
    assert failure(scene) == AllocationFailed(
        TurnStep.OPEN,
        "192.0.2.1:3478 (tcp): not connected in time",
        None,
        (AllocateAttempt(OVER_TCP, TurnStep.OPEN, "not connected in time"),),
    )
    assert not scene.opened()


def test_a_proxy_that_says_nothing_in_time_is_named():
    proxied = ServerTarget(TCP, SERVER, None, ProxyOptions(Address("10.1.0.10", 3128), "alice", "secret"))
    scene = Scene(proxied, allocate_timeout=10.0)
    scene.do("allocate")
    scene.run(20.0)
    assert failure(scene).reason.endswith(": not connected through the proxy 10.1.0.10:3128 in time")


def test_a_refused_connection_is_told_in_the_words_of_the_system():
    scene = Scene(transport=TCP)
    scene.do("allocate")
    scene.lose(text="connection refused by 192.0.2.1")
    assert failure(scene).step is TurnStep.OPEN
    assert "connection refused by 192.0.2.1" in failure(scene).reason


def test_a_port_unreachable_ends_the_wait():
    scene = Scene()
    scene.do("allocate")
    scene.open()
    scene.do("handle_icmp", 1, SERVER, IcmpError(3, 3))
    assert (failure(scene).step, failure(scene).code) == (TurnStep.ALLOCATE, None)


@pytest.mark.parametrize(("alpn", "offered"), [((), ()), ((ALPN_TURN,), (ALPN_TURN,))])
@pytest.mark.parametrize("transport", [TLS, DTLS])
def test_a_secure_server_must_show_its_name_and_is_offered_what_is_configured(transport, alpn, offered):
    scene = Scene(transport=transport, alpn=alpn)
    scene.do("allocate")
    tls = scene.actions[0].options.tls
    assert (tls.server_hostname, tls.alpn) == ("turn.example", offered)


def test_cleartext_sockets_are_offered_no_protocols():
    scene = Scene(transport=TCP, alpn=(ALPN_TURN,))
    scene.do("allocate")
    assert scene.actions[0].options.tls is None


# What it refuses


@pytest.mark.req("RFC8656-049")
def test_a_401_to_right_credentials_is_the_end_and_this_user_asks_this_server_no_more():
    scene = Scene()
    scene.do("allocate")
    scene.open()
    scene.challenge()
    scene.challenge()
    event = failure(scene)
    assert (event.step, event.code, event.retry_after) == (TurnStep.AUTHENTICATE, 401, math.inf)
    assert "refuses the user name or the password" in event.reason
    sent = len(scene.sent)
    scene.now = 1e6
    scene.do("allocate")
    assert (scene.told(AllocationFailed)[-1].step, scene.told(AllocationFailed)[-1].code) == (TurnStep.WAIT, 401)
    assert len(scene.sent) == sent
    scene.client.memory.forget(SERVER)
    scene.do("allocate")
    scene.open()
    assert len(scene.sent) == sent + 1


@pytest.mark.req("RFC8656-053", "RFC8656-052")
@pytest.mark.parametrize("code", [400, 403, 440, 441, 442])
def test_what_a_server_will_never_grant_is_not_asked_for_again_there_or_elsewhere(code):
    scene = Several(SERVER, OTHER)
    scene.allocate_from()
    scene.open()
    scene.challenge()
    scene.refuse(code)
    event = failure(scene)
    assert (event.step, event.code) == (TurnStep.ALLOCATE, code)
    scene.run(200.0)
    assert len(scene.asked(ALLOCATE)) == 2
    assert not scene.opened()


@pytest.mark.req("RFC8656-052")
def test_after_440_that_family_is_not_asked_for_again_and_the_other_is():
    scene = Scene()
    scene.do("allocate", family=6)
    scene.open()
    scene.challenge()
    scene.refuse(440)
    assert failure(scene).retry_after == math.inf
    scene.do("allocate", family=6)
    assert scene.told(AllocationFailed)[-1].step is TurnStep.WAIT
    assert len(scene.asked(ALLOCATE)) == 2
    scene.allocate(family=4)


@pytest.mark.req("RFC8656-050")
def test_a_server_that_does_not_know_dont_fragment_is_asked_without_it():
    scene = Scene()
    scene.do("allocate", dont_fragment=True)
    scene.open()
    scene.challenge()
    assert DONT_FRAGMENT in scene.find()[1]
    scene.refuse(420, (UNKNOWN_ATTRIBUTES, (DONT_FRAGMENT.code,)))
    assert DONT_FRAGMENT not in scene.find()[1]
    scene.answer(*GRANT)
    (created,) = scene.told(AllocationCreated)
    assert not created.dont_fragment


def test_a_server_without_users_may_refuse_dont_fragment_as_well():
    scene = Scene(credentials=None)
    scene.do("allocate", dont_fragment=True)
    scene.open()
    scene.refuse(420, (UNKNOWN_ATTRIBUTES, (DONT_FRAGMENT.code,)))
    scene.answer(*GRANT)
    assert scene.told(AllocationCreated)


def test_without_relaxing_a_420_is_the_end():
    scene = Scene(relax=False)
    scene.do("allocate", dont_fragment=True)
    scene.open()
    scene.challenge()
    scene.refuse(420, (UNKNOWN_ATTRIBUTES, (DONT_FRAGMENT.code,)))
    assert failure(scene).code == 420


@pytest.mark.req("RFC8656-055")
@pytest.mark.parametrize(
    ("wish", "attribute"),
    [
        ({"even_port": True}, EVEN_PORT),
        ({"even_port": True, "reserve_next": True}, EVEN_PORT),
        ({"reservation_token": TOKEN}, RESERVATION_TOKEN),
    ],
)
def test_a_server_without_the_special_port_is_asked_for_any_at_once(wish, attribute):
    scene = Scene()
    scene.do("allocate", **wish)
    scene.open()
    scene.challenge()
    assert attribute in scene.find()[1]
    scene.refuse(508)
    assert attribute not in scene.find()[1]
    scene.answer(*GRANT)
    assert scene.told(AllocationCreated)


@pytest.mark.req("RFC8656-054", "RFC8656-055")
@pytest.mark.parametrize("code", [486, 508])
def test_a_server_that_is_full_is_left_alone_for_a_minute(code):
    scene = Scene()
    scene.do("allocate")
    scene.open()
    scene.challenge()
    scene.now = 1.0
    scene.refuse(code)
    event = failure(scene)
    assert (event.code, event.retry_after) == (code, 60.0)
    for now, asks in ((60.9, False), (61.0, True)):
        sent, scene.now = len(scene.sent), now
        scene.do("allocate")
        assert bool(scene.opened()) is asks
        assert len(scene.sent) == sent
    assert scene.told(AllocationFailed)[1].retry_after == pytest.approx(0.1)


@pytest.mark.req("RFC8656-051")
def test_after_437_other_local_addresses_are_tried_three_in_all_and_then_none_for_two_minutes():
    scene = Scene()
    scene.do("allocate")
    for number in range(3):
        assert len([one for one in scene.actions if isinstance(one, OpenSocket)]) == number + 1
        scene.open()
        if number == 0:
            scene.challenge()
        scene.refuse(437)
    assert (failure(scene).code, failure(scene).retry_after) == (437, 120.0)
    assert len([one for one in scene.actions if isinstance(one, OpenSocket)]) == 3
    assert not scene.opened()
    scene.now = 119.9
    scene.do("allocate")
    assert not scene.opened()
    scene.now = 120.0
    scene.do("allocate")
    assert scene.opened()


def test_after_437_a_fixed_port_is_given_up_and_the_fixed_host_is_not():
    scene = Scene(options={"local": LOCAL})
    scene.do("allocate")
    assert scene.actions[-1].bind == LOCAL
    scene.open()
    scene.challenge()
    scene.refuse(437)
    assert scene.actions[-1].bind == Address(LOCAL.host, 0)


def test_a_server_that_answers_437_in_one_go_and_grants_in_the_next_gives_an_allocation():
    scene = Scene()
    scene.do("allocate")
    scene.open()
    scene.challenge()
    scene.refuse(437)
    scene.open()
    scene.answer(*GRANT)
    assert scene.told(AllocationCreated)


@pytest.mark.parametrize("code", [500, 599])
def test_a_server_with_a_passing_problem_is_asked_again(code):
    scene = Scene()
    scene.do("allocate")
    scene.open()
    scene.challenge()
    scene.refuse(code)
    scene.run(0.6)
    scene.answer(*GRANT)
    assert scene.told(AllocationCreated)


# Answers that are of no use


@pytest.mark.req("RFC8656-045")
@pytest.mark.parametrize(
    ("grant", "words"),
    [
        (((XOR_RELAYED_ADDRESS, RELAYED6), *GRANT[1:]), "was not asked for"),
        ((GRANT[0], (XOR_MAPPED_ADDRESS, RELAYED6), GRANT[2]), "not understood"),
    ],
)
def test_an_address_of_a_family_of_no_use_is_given_back_and_the_server_left_alone(grant, words):
    scene = Scene(understood=(4,))
    scene.do("allocate")
    scene.open()
    scene.challenge()
    scene.answer(*grant)
    event = failure(scene)
    assert (event.step, event.retry_after) == (TurnStep.ALLOCATE, math.inf)
    assert words in event.reason
    ((_, refresh),) = scene.asked(Method.REFRESH)
    assert refresh.get(LIFETIME) == 0
    scene.answer((LIFETIME, 0))
    assert not scene.opened()
    sent, scene.now = len(scene.sent), 1e6
    scene.do("allocate")
    assert len(scene.sent) == sent
    assert not scene.opened()


@pytest.mark.parametrize("missing", range(3))
def test_an_answer_that_lacks_something_is_no_allocation_and_is_taken_back(missing):
    scene = Scene()
    scene.do("allocate")
    scene.open()
    scene.challenge()
    scene.answer(*(one for index, one in enumerate(GRANT) if index != missing))
    assert "lacks" in failure(scene).reason
    assert failure(scene).retry_after == 0
    assert scene.asked(Method.REFRESH)


def test_a_lost_answer_to_credentials_may_hide_an_allocation_so_it_is_deleted():
    scene = Scene()
    scene.do("allocate")
    scene.open()
    scene.challenge()
    scene.run(38.0)
    assert not scene.told(AllocationFailed)
    scene.run(45.0)
    assert scene.told(AllocationFailed)
    (_, refresh), *_ = scene.asked(Method.REFRESH)
    assert refresh.get(LIFETIME) == 0
    scene.run(100.0)
    assert not scene.opened()


# Both families, and families refused


@pytest.mark.req("RFC8656-047", "RFC8656-048")
@pytest.mark.parametrize(("code", "seconds"), [(440, math.inf), (508, 60.0)])
def test_a_family_that_was_refused_beside_the_other_is_left_out_for_as_long_as_the_rule_says(code, seconds):
    scene = Scene()
    refused = AddressErrorCode(2, code, "no IPv6")
    created = scene.allocate((*GRANT, (ADDRESS_ERROR_CODE, refused)), family="both")
    assert (created.relayed, created.refused) == ((RELAYED,), refused)
    assert scene.find(ALLOCATE)[1].get(ADDITIONAL_ADDRESS_FAMILY) == 2
    scene.do("close")
    again = Scene(options={"memory": scene.client.memory})
    for now, asks in ((59.0, False), (60.0, seconds == 60.0)):
        again.now = now
        again.do("allocate", family="both")
        again.open()
        if now == 59.0:
            again.challenge(to=ALLOCATE)
        request = again.find(ALLOCATE)[1]
        assert (ADDITIONAL_ADDRESS_FAMILY in request) is asks
        assert request.get(REQUESTED_ADDRESS_FAMILY) == (None if asks else 1)
        again.refuse(442, to=ALLOCATE)
        again.do("allocate", family=6)
        assert bool(again.opened()) is asks
        if asks:
            again.client._search.stop(now)


def test_where_ipv4_was_refused_both_means_ipv6():
    memory = TurnServerMemory()
    memory.refused_family(SERVER, 4, 440, now=0.0)
    scene = Scene(options={"memory": memory})
    scene.do("allocate", family="both")
    scene.open()
    assert scene.find()[1].get(REQUESTED_ADDRESS_FAMILY) == 2


# Several servers


@pytest.mark.req("RFC8656-001")
def test_over_udp_both_families_are_asked_and_the_first_that_challenges_is_the_one():
    scene = Several(SERVER6, SERVER)
    scene.allocate_from()
    scene.open()
    scene.run(0.25)
    scene.open()
    assert [(time, message.has_integrity) for time, message in scene.asked(ALLOCATE)] == [(0.0, False), (0.25, False)]
    scene.challenge(index=1)
    assert len(scene.asked(ALLOCATE)) == 3
    scene.challenge(index=0)  # of the other one, too late
    assert len(scene.asked(ALLOCATE)) == 3
    assert [one.remote for one in scene.opened()] == [SERVER]
    scene.answer(*GRANT)
    assert scene.told(AllocationCreated)[0].target == V4
    scene.run(30.0)
    assert len(scene.asked(Method.REFRESH)) == 0


@pytest.mark.req("RFC8656-001")
def test_where_both_families_allocate_without_credentials_the_second_is_given_back():
    scene = Several(SERVER6, SERVER, credentials=None)
    scene.allocate_from()
    scene.open()
    scene.run(0.25)
    scene.open()
    scene.answer(*GRANT, index=0)
    assert scene.told(AllocationCreated)[0].target == V6
    scene.answer(*GRANT, index=1)
    (action, refresh) = scene.find(Method.REFRESH)
    assert (action.destination, refresh.get(LIFETIME)) == (SERVER, 0)
    scene.answer((LIFETIME, 0))
    assert [one.remote for one in scene.opened()] == [SERVER6]


@pytest.mark.parametrize("code", [400, 486])
def test_what_the_loser_answers_does_not_matter(code):
    scene = Several(SERVER6, SERVER)
    scene.allocate_from()
    scene.open()
    scene.run(0.25)
    scene.open()
    scene.challenge(index=0)
    scene.refuse(code, index=1)
    assert not scene.events
    assert [one.remote for one in scene.opened()] == [SERVER6]


@pytest.mark.parametrize("transport", [TCP, TLS, DTLS])
def test_over_connections_the_first_that_is_open_is_the_one(transport):
    scene = Several(SERVER6, SERVER, transports=(transport,), scheme="turn" if transport is TCP else "turns")
    scene.allocate_from()
    scene.run(0.25)
    assert len(scene.opened()) == 2
    scene.open()
    assert [one.remote for one in scene.opened()] == [SERVER]
    scene.run(10.0)
    assert [one.remote for one in scene.opened()] == [SERVER]
    assert {action.socket for _, action, _ in scene.sent} == {scene.opened()[0].socket}


@pytest.mark.parametrize("faster", [0, 1])
@pytest.mark.parametrize("transport", [TCP, TLS])
def test_a_stream_that_does_not_open_gets_one_more_beside_it_and_the_first_that_is_open_is_the_one(transport, faster):
    scene = Scene(transport=transport)
    scene.do("allocate")
    scene.run(0.49)
    assert len(scene.opened()) == 1
    scene.run(5.0)
    both = [one.socket for one in scene.opened()]
    assert len(both) == 2
    scene.open(index=faster)
    assert [one.socket for one in scene.opened()] == [both[faster]]
    scene.challenge()
    scene.answer(*GRANT)
    assert scene.told(AllocationCreated)[0].target.address == SERVER


def test_a_stream_that_opens_in_time_stays_alone():
    scene = Scene(transport=TCP)
    scene.do("allocate")
    scene.run(0.4)
    scene.open()
    scene.run(5.0)
    assert len([one for one in scene.actions if isinstance(one, OpenSocket)]) == 1


def test_a_stream_that_is_refused_gets_no_other():
    scene = Several(SERVER, OTHER, transports=(TCP,))
    scene.allocate_from()
    scene.run(0.1)
    scene.lose()
    scene.run(0.55)
    assert [one.remote for one in scene.opened()] == [OTHER]
    scene.run(0.6)
    assert [one.remote for one in scene.opened()] == [OTHER, OTHER]


def test_two_streams_to_one_server_that_refuses_both_are_told_once_and_it_is_not_asked_a_third_time():
    scene = Scene(transport=TCP)
    scene.do("allocate")
    scene.run(0.5)
    scene.lose(text="refused")
    assert not scene.events
    scene.lose(text="refused")
    assert len(failure(scene).attempts) == 1
    assert not scene.opened()


def test_the_other_streams_are_no_other_servers_when_the_one_that_was_open_is_lost():
    scene = Several(SERVER, OTHER, transports=(TCP,))
    scene.allocate_from()
    scene.run(5.0)
    assert [one.remote for one in scene.opened()] == [SERVER, OTHER, SERVER, OTHER]
    scene.open(index=0)
    scene.lose()
    assert [one.remote for one in scene.opened()] == [OTHER]
    scene.lose()
    assert [attempt.target.address for attempt in failure(scene).attempts] == [SERVER, OTHER]
    assert not scene.opened()


@pytest.mark.parametrize("transport", [UDP, DTLS])
def test_what_repeats_its_own_datagrams_needs_no_other_socket(transport):
    scene = Scene(transport=transport)
    scene.do("allocate")
    scene.run(5.0)
    assert len(scene.opened()) == 1


def test_with_a_fixed_port_there_is_no_second_stream():
    scene = Scene(transport=TCP, options={"local": LOCAL})
    scene.do("allocate")
    scene.run(5.0)
    assert len(scene.opened()) == 1


def test_while_one_server_is_still_asked_the_failure_of_another_is_not_the_end():
    scene = Several(SERVER6, SERVER)
    scene.allocate_from()
    scene.run(0.25)
    scene.lose(index=1)
    assert not scene.events
    scene.lose()
    assert len(failure(scene).attempts) == 2


def test_another_transport_is_tried_later_than_another_address():
    scene = Several(SERVER6, SERVER, transports=(UDP, TCP))
    scene.allocate_from()
    opened = []
    for now in (0.0, 0.24, 0.25, 1.74, 1.75):
        scene.run(now)
        opened.append(len(scene.opened()))
    assert opened == [1, 1, 2, 2, 3]


def test_a_failed_server_is_followed_by_the_next_at_once():
    scene = Several(SERVER, transports=(UDP, TCP))
    scene.allocate_from()
    scene.lose()
    assert [one.transport for one in scene.opened()] == [TCP]


@pytest.mark.parametrize("code", [486, 508])
def test_a_full_server_is_followed_by_the_next_and_the_loser_of_the_race_is_asked_after_all(code):
    scene = Several(SERVER6, SERVER)
    scene.allocate_from()
    scene.open()
    scene.run(0.25)
    scene.open()
    scene.challenge(index=0)
    scene.refuse(code)
    assert [one.remote for one in scene.opened()][-1] == SERVER
    scene.open()
    scene.challenge()
    scene.answer(*GRANT)
    assert scene.told(AllocationCreated)[0].target == V4
    assert not scene.told(AllocationFailed)


def test_servers_that_are_to_be_left_alone_are_passed_over():
    memory = TurnServerMemory()
    memory.refused(SERVER6, 486, "full", families=(4,), username="user", now=0.0)
    scene = Several(SERVER6, SERVER, options={"memory": memory})
    scene.allocate_from()
    assert [one.remote for one in scene.opened()] == [SERVER]
    scene.lose()
    event = failure(scene)
    assert [attempt.step for attempt in event.attempts] == [TurnStep.WAIT, TurnStep.OPEN]
    assert (event.step, event.code, event.retry_after) == (TurnStep.WAIT, 486, 60.0)
    assert "left alone, because it said: full" in event.reason


def test_with_a_fixed_port_servers_are_asked_one_after_the_other():
    scene = Several(SERVER, OTHER, options={"local": LOCAL})
    scene.allocate_from()
    scene.run(5.0)
    assert len(scene.opened()) == 1
    scene.lose()
    assert [one.remote for one in scene.opened()] == [OTHER]


def test_a_server_of_the_other_family_than_the_socket_is_passed_over():
    scene = Several(SERVER6, SERVER, options={"local": LOCAL})
    scene.allocate_from()
    assert [one.remote for one in scene.opened()] == [SERVER]
    scene = Scene(ServerTarget(UDP, SERVER6), options={"local": LOCAL})
    scene.do("allocate")
    assert "different families" in failure(scene).attempts[0].reason


def test_a_request_too_long_for_a_datagram_is_a_failure_of_that_server():
    scene = Several(
        SERVER,
        transports=(UDP, TCP),
        config=TurnClientConfig(stun=TurnClientConfig().stun.__class__(software="é" * 127, mtu=200)),
    )
    scene.allocate_from()
    assert [one.transport for one in scene.opened()] == [TCP]
    scene.lose()
    assert "bytes" in failure(scene).attempts[0].reason


# 300


@pytest.mark.req("RFC8656-056")
@pytest.mark.parametrize("transport", [UDP, TCP])
def test_an_alternate_server_is_asked_before_any_other(transport):
    scene = Several(SERVER, SERVER6, transports=(transport,), families=(4, 6))
    scene.allocate_from()
    scene.open()
    scene.challenge()
    scene.refuse(300, (ALTERNATE_SERVER, OTHER))
    if transport is TCP:
        assert [one.remote for one in scene.opened()] == [OTHER]
        scene.open()
    else:
        assert scene.find()[0].destination == OTHER
    scene.challenge()
    scene.answer(*GRANT)
    (created,) = scene.told(AllocationCreated)
    assert created.target == ServerTarget(transport, OTHER)
    assert scene.client.path.remote == OTHER


def test_a_300_that_nobody_vouches_for_is_not_followed():
    scene = Scene()
    scene.do("allocate")
    scene.open()
    scene.refuse(300, (ALTERNATE_SERVER, OTHER), key=None)
    assert failure(scene).code == 300
    assert all(action.destination == SERVER for _, action, _ in scene.sent)


# Stopping


def test_close_during_the_race_waits_for_what_may_yet_be_allocated_and_gives_it_back():
    scene = Scene()
    scene.do("allocate")
    scene.open()
    scene.challenge()
    scene.do("close")
    assert scene.client.state is TurnClientState.CLOSING
    scene.answer(*GRANT, to=ALLOCATE)
    assert scene.find()[1].get(LIFETIME) == 0
    assert not scene.told(AllocationCreated)
    scene.answer((LIFETIME, 0))
    assert scene.client.state is TurnClientState.CLOSED


def test_close_before_a_socket_is_open_has_nothing_to_wait_for():
    scene = Scene()
    scene.do("allocate")
    scene.do("close")
    assert scene.client.state is TurnClientState.CLOSED
    assert not scene.opened()
    scene.do("handle_socket_opened", 1, LOCAL)
    assert not scene.sent


def test_close_after_an_unanswered_request_tells_the_server_no_password():
    scene = Scene()
    scene.do("allocate")
    scene.open()
    scene.do("close")
    scene.challenge()
    assert scene.client.state is TurnClientState.CLOSED
    assert len(scene.sent) == 1


@pytest.mark.req("RFC8656-049")
def test_where_one_address_refuses_the_user_the_others_are_not_asked():
    scene = Several(SERVER, OTHER)
    scene.allocate_from()
    scene.open()
    scene.challenge()
    scene.challenge()
    assert failure(scene).code == 401
    assert not scene.opened()


@pytest.mark.parametrize("before", [False, True])
def test_a_lost_answer_of_a_server_that_needs_no_more_than_it_was_told_may_hide_an_allocation(before):
    scene = Scene(credentials=Scene().credentials if before else None)
    if before:
        scene.allocate()
        scene.do("refresh")
        scene.refuse(437)
    scene.do("allocate")
    scene.open()
    asked = len(scene.asked(Method.REFRESH))
    scene.run(39.5)
    assert scene.told(AllocationFailed)
    assert [message.get(LIFETIME) for _, message in scene.asked(Method.REFRESH)[asked:]] == [0]
    scene.run(100.0)
    assert not scene.opened()


def test_once_a_server_has_answered_nobody_else_is_asked():
    scene = Several(SERVER, OTHER)
    scene.allocate_from()
    scene.open()
    scene.run(0.1)
    scene.challenge()
    scene.run(10.0)
    assert [one.remote for one in scene.opened()] == [SERVER]


def test_where_one_server_of_several_forbids_nothing_there_is_no_time_to_wait():
    memory = TurnServerMemory()
    memory.refused(SERVER, 486, "full", families=(4,), username="user", now=0.0)
    scene = Several(SERVER, OTHER, options={"memory": memory})
    scene.allocate_from()
    scene.open()
    scene.challenge()
    scene.answer(*GRANT[:2])
    assert failure(scene).retry_after == 0


def test_of_several_servers_that_want_to_be_left_alone_the_sooner_counts():
    memory = TurnServerMemory()
    memory.refused(SERVER, 486, "full", families=(4,), username="user", now=0.0)
    memory.refused(OTHER, 437, "no", families=(4,), username="user", now=0.0)
    scene = Several(SERVER, OTHER, options={"memory": memory})
    scene.allocate_from()
    assert failure(scene).retry_after == 60.0
