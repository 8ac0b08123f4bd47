import math

import pytest
from hypothesis import strategies as st

from _turn_client_scene import (
    CREDENTIALS,
    GRANT,
    KEY,
    LOCAL,
    PEER,
    PEER6,
    RELAYED,
    SERVER,
    TCP,
    TLS,
    UDP,
    Scene,
)
from sansice.machine import Address, LocalProtocolError, Resolve, ResolveError, Transport
from sansice.simulation import check_machine
from sansice.stun import (
    ACCESS_TOKEN,
    ADDRESS_ERROR_CODE,
    ERROR_CODE,
    LIFETIME,
    NONCE,
    PASSWORD_ALGORITHM,
    PASSWORD_ALGORITHMS,
    PASSWORD_MD5,
    PASSWORD_SHA256,
    REALM,
    THIRD_PARTY_AUTHORIZATION,
    USERNAME,
    AccessToken,
    AddressErrorCode,
    ErrorCode,
    IntegrityKey,
    LongTermCredentials,
    MessageClass,
    Method,
    SecurityFeatures,
    ServerTarget,
    ServerUri,
    decode_untrusted,
    encode,
    long_term_key,
    nonce_cookie,
)
from sansice.turn import (
    AllocationFailed,
    Closed,
    TurnClient,
    TurnClientConfig,
    TurnClientState,
    TurnServerMemory,
    TurnStep,
)
from sansice.turn._client._states import (
    HOLD_TRANSITIONS,
    TURN_CLIENT_TRANSITIONS,
    HoldInput,
    HoldState,
    TurnClientInput,
)

TARGET = ServerTarget(UDP, SERVER)


# Whom to ask


@pytest.mark.req("RFC8656-002")
@pytest.mark.parametrize(
    ("uri", "transport", "port"),
    [
        ("turn:192.0.2.1?transport=udp", UDP, 3478),
        ("turn:192.0.2.1?transport=tcp", TCP, 3478),
        ("turn:192.0.2.1:99?transport=tcp", TCP, 99),
        ("turns:192.0.2.1?transport=tcp", TLS, 5349),
        ("turns:192.0.2.1?transport=udp", Transport.DTLS, 5349),
        ("turns:192.0.2.1:443?transport=tcp", TLS, 443),
    ],
)
def test_a_uri_says_transport_and_port(uri, transport, port):
    scene = Scene(uri, options={"verify_name": "turn.example"})
    scene.do("allocate")
    (action,) = scene.opened()
    assert (action.transport, action.remote) == (transport, Address("192.0.2.1", port))
    assert (action.options.tls is not None) is transport.is_secure


def test_a_uri_may_be_parsed_already_and_transports_are_the_callers_where_it_leaves_a_choice():
    scene = Scene(ServerUri.parse("turn:192.0.2.1"), options={"transports": [TCP]})
    scene.do("allocate")
    assert [action.transport for action in scene.opened()] == [TCP]


@pytest.mark.parametrize("uri", ["stun:192.0.2.1", "stuns:turn.example", "http://turn.example", "turn.example"])
def test_what_is_no_turn_servers_uri_is_refused(uri):
    with pytest.raises(ValueError, match="turn"):
        TurnClient(uri)


def test_a_name_that_no_certificate_can_carry_is_refused():
    with pytest.raises(LocalProtocolError, match="verify_name"):
        TurnClient("turns:192.0.2.1", verify_name="-")


def test_a_name_that_is_not_found_is_a_failure_to_resolve():
    scene = Scene("turn:turn.example?transport=udp")
    scene.do("allocate")
    assert scene.client.state is TurnClientState.RESOLVING
    while queries := [action for action in scene.actions if isinstance(action, Resolve)]:
        scene.actions = []
        for query in queries:
            scene.do("handle_resolved", query.query, ResolveError.NOT_FOUND)
    (event,) = scene.told(AllocationFailed)
    assert event.step is TurnStep.RESOLVE
    assert "no such name" in event.reason
    assert scene.client.state is TurnClientState.IDLE


def test_a_name_service_that_is_silent_is_given_up():
    scene = Scene("turn:turn.example?transport=udp")
    scene.do("allocate")
    scene.run(20.0)
    assert scene.events[0][0] == 6.0  # the SRV record, then the addresses, three seconds each
    assert scene.told(AllocationFailed)[0].step is TurnStep.RESOLVE
    scene.do("handle_resolved", 1, ResolveError.NOT_FOUND)
    assert len(scene.events) == 1


def test_a_secure_uri_of_an_address_without_a_name_leads_to_no_connection_at_once():
    scene = Scene("turns:192.0.2.1")
    scene.do("allocate")
    assert scene.told(AllocationFailed)[0].step is TurnStep.OPEN
    scene.do("allocate")
    assert len(scene.told(AllocationFailed)) == 2


def test_close_while_a_name_is_looked_up_ends_that():
    scene = Scene("turn:turn.example")
    scene.do("allocate")
    scene.do("close")
    assert [event for _, event in scene.events] == [Closed()]
    assert scene.client.deadline() == math.inf


def test_close_of_a_client_that_has_done_nothing():
    scene = Scene()
    scene.do("close")
    assert [event for _, event in scene.events] == [Closed()]


@pytest.mark.req("RFC8656-016")
def test_of_the_password_algorithms_that_a_server_lists_the_strongest_is_used_not_the_first():
    scene = Scene()
    scene.do("allocate")
    scene.open()
    offered = (PASSWORD_MD5, PASSWORD_SHA256)
    nonce = nonce_cookie(SecurityFeatures.PASSWORD_ALGORITHMS)
    scene.refuse(401, (REALM, "realm"), (NONCE, nonce), (PASSWORD_ALGORITHMS, offered), key=None)
    request = scene.find()[1]
    assert request.get(PASSWORD_ALGORITHM) == PASSWORD_SHA256
    assert request.verify(long_term_key("user", "realm", "password", sha256=True))


@pytest.mark.req("RFC7635-011")
def test_a_new_token_is_shown_at_once_by_a_refresh_and_opens_what_was_closed_to_its_user():
    memory = TurnServerMemory()
    scene = Scene(credentials=AccessToken("kid", b"old", b"k" * 20), options={"memory": memory})
    scene.do("allocate")
    scene.open()
    scene.refuse(401, (REALM, "realm"), (NONCE, "nonce"), (THIRD_PARTY_AUTHORIZATION, "turn.example"), key=None)
    scene.answer(*GRANT, key=IntegrityKey(b"k" * 20))
    memory.refused(SERVER, 401, "no", families=(4,), username="new", now=0.0)
    scene.do("renew", AccessToken("new", b"fresh", b"n" * 20))
    ((_, request),) = scene.asked(Method.REFRESH)
    assert (request.get(ACCESS_TOKEN), request.get(USERNAME)) == (b"fresh", "new")
    assert memory.wait(SERVER, families=(4,), username="new", now=0.0) is None


# Commands at the wrong time


def test_one_allocation_at_a_time():
    scene = Scene()
    scene.do("allocate")
    for _ in range(2):
        with pytest.raises(LocalProtocolError, match="one allocation at a time"):
            scene.do("allocate")
        if not scene.sent:
            scene.open()
            scene.challenge()
            scene.answer(*GRANT)
    assert scene.client.relayed == (RELAYED,)


def test_options_that_exclude_each_other_leave_the_client_idle():
    scene = Scene()
    with pytest.raises(LocalProtocolError, match="even_port"):
        scene.do("allocate", reserve_next=True)
    assert scene.client.state is TurnClientState.IDLE


def test_what_needs_an_allocation_says_so():
    scene = Scene()
    for command, arguments in (("create_permission", (PEER,)), ("bind_channel", (PEER,)), ("send", (PEER, b""))):
        with pytest.raises(LocalProtocolError, match="there is no allocation; the client is in state: no allocation"):
            scene.do(command, *arguments)
    assert not scene.client.is_permitted(PEER.host)
    assert scene.client.channel(PEER) is None


# What it says of itself


def test_it_explains_an_allocation():
    scene = Scene()
    scene.allocate((*GRANT, (ADDRESS_ERROR_CODE, AddressErrorCode(2, 440, "IPv4 only"))), family="both")
    scene.bind(PEER)
    scene.do("send", PEER, b"four")
    scene.give(b"\x4f\xff\0\0")
    assert scene.client.explain(now=100.0).splitlines() == [
        "192.0.2.1:3478: relaying",
        "  server 192.0.2.1:3478 over udp",
        "  from 10.0.0.7:40000, which it sees as 203.0.113.7:50000",
        "  relayed 198.51.100.1:49152, for 500 s more unless refreshed",
        "  1 permissions, 1 channels",
        "  no IPv6 address: 440 IPv4 only",
        "  sent 1 datagrams (4 bytes), received 0 (0 bytes), 0 not sent",
        "  dropped, channel that is not bound: 1",
    ]


def test_it_explains_an_allocation_of_which_nothing_was_refused():
    scene = Scene()
    scene.allocate()
    assert scene.client.explain(now=0.0).splitlines()[4:] == [
        "  0 permissions, 0 channels",
        "  sent 0 datagrams (0 bytes), received 0 (0 bytes), 0 not sent",
    ]


def test_it_explains_a_failure_and_a_loss():
    scene = Scene("turn:192.0.2.1?transport=udp")
    assert scene.client.explain(now=0.0).splitlines()[0] == "turn:192.0.2.1?transport=udp: no allocation"
    scene.do("allocate")
    scene.open()
    scene.challenge()
    scene.refuse(486)
    told = scene.client.explain(now=0.0)
    assert "  no allocation (allocate, 486): 192.0.2.1:3478 (udp): no" in told
    assert "left alone for 60 s" in told
    scene.run(60.0)
    scene.allocate()
    scene.do("refresh")
    scene.refuse(437)
    assert "the last allocation was lost: the server does not know" in scene.client.explain(now=60.0)
    scene.do("allocate")
    scene.lose()
    assert "  no allocation (open): 192.0.2.1:3478 (udp): gone" in scene.client.explain(now=60.0)
    assert "left alone" not in scene.client.explain(now=60.0)


def test_a_memory_may_be_shared():
    memory = TurnServerMemory()
    first, second = (Scene(options={"memory": memory}) for _ in range(2))
    first.do("allocate")
    first.open()
    first.challenge()
    first.refuse(508)
    second.do("allocate")
    assert second.told(AllocationFailed)[0].step is TurnStep.WAIT
    assert first.client.memory is memory


def test_the_counters_are_those_of_all_allocations():
    scene = Scene()
    for _ in range(2):
        scene.allocate()
        scene.permit()
        scene.do("send", PEER, b"123")
        scene.do("refresh")
        scene.refuse(437)
    stats = scene.client.stats
    assert (stats.allocations, stats.sent_packets, stats.sent_bytes) == (2, 2, 6)


# Tables


def test_every_state_of_a_client_can_be_closed_from_and_none_leads_out_of_closed():
    for state in TurnClientState:
        closes = (state, TurnClientInput.CLOSE) in TURN_CLIENT_TRANSITIONS
        assert closes is (state not in (TurnClientState.CLOSING, TurnClientState.CLOSED))
    assert not any(state is TurnClientState.CLOSED for state, _ in TURN_CLIENT_TRANSITIONS)


def test_what_was_lost_is_had_again_only_by_asking():
    assert {step for state, step in HOLD_TRANSITIONS if state is HoldState.LOST} == {HoldInput.ASK}


# The contract


def serve(action):
    """A server that means well, and remembers nothing."""
    try:
        request = decode_untrusted(action.data)
    except ValueError:
        return None
    if request.message_class is not MessageClass.REQUEST:
        return None
    if not request.has_integrity:
        refused = [(ERROR_CODE, ErrorCode(401)), (REALM, "realm"), (NONCE, "nonce")]
        return encode(request.method, MessageClass.ERROR, request.transaction_id, refused)
    attributes = GRANT if request.method is Method.ALLOCATE else [(LIFETIME, request.get(LIFETIME) or 0)]
    return encode(request.method, MessageClass.SUCCESS, request.transaction_id, attributes, key=KEY)


def brought_up(client, now):
    client.allocate(now=now)
    socket = next(output.socket for output in client.take_outputs() if hasattr(output, "bind"))
    client.handle_socket_opened(socket, LOCAL, now=now)
    for _ in range(2):
        for output in client.take_outputs():
            answer = serve(output)
            client.handle_datagrams(socket, [(SERVER, answer)], now=now)
    client.take_outputs()


PEERS = st.sampled_from([PEER, Address("198.51.100.10", 6000), Address("198.51.100.10", 6001), PEER6, Address(PEER.host, 0)])
COMMANDS = {
    "allocate": st.fixed_dictionaries(
        {"family": st.sampled_from([None, 4, 6, "both"]), "even_port": st.booleans(), "dont_fragment": st.booleans()}
    ),
    "create_permission": st.lists(PEERS, max_size=3).map(tuple),
    "bind_channel": st.tuples(PEERS),
    "forget": st.tuples(PEERS),
    "send": st.tuples(PEERS, st.binary(max_size=8)),
    "refresh": st.fixed_dictionaries({"lifetime": st.sampled_from([None, 0, 1200]), "family": st.sampled_from([None, 4, 6])}),
    "close": [()],
}
FROM_SERVER = st.one_of(
    st.tuples(st.integers(0x3FFE, 0x4003), st.binary(max_size=8)).map(
        lambda given: given[0].to_bytes(2, "big") + len(given[1]).to_bytes(2, "big") + given[1]
    ),
    st.binary(max_size=40).map(lambda data: b"\0\x17" + data),
)


def test_it_keeps_the_contract_from_the_first_look_up_on():
    check_machine(
        lambda entropy: TurnClient("turn:turn.example", credentials=CREDENTIALS, entropy=entropy),
        setup=lambda client, now: client.allocate(now=now),
        commands=COMMANDS,
        answers=serve,
        secrets=lambda _: ["password"],
        max_examples=60,
    )


def test_it_keeps_the_contract_with_an_allocation_whatever_the_server_says():
    config = TurnClientConfig(max_permissions=4, max_channels=4)
    check_machine(
        lambda entropy: TurnClient(TARGET, credentials=CREDENTIALS, config=config, entropy=entropy),
        setup=brought_up,
        commands=COMMANDS,
        datagrams=FROM_SERVER,
        answers=serve,
        secrets=lambda _: ["password"],
        max_examples=100,
    )


def test_it_keeps_the_contract_over_a_stream():
    check_machine(
        lambda entropy: TurnClient(ServerTarget(TCP, SERVER), credentials=CREDENTIALS, entropy=entropy),
        setup=lambda client, now: client.allocate(now=now),
        commands=COMMANDS,
        datagrams=FROM_SERVER,
        answers=serve,
        max_examples=60,
    )


def test_no_secret_shows_in_what_it_tells():
    scene = Scene(credentials=LongTermCredentials("user", "pass word"))
    scene.do("allocate")
    scene.open()
    scene.challenge()
    assert "pass word" not in repr(scene.sent) + repr(scene.events) + scene.client.explain(now=0.0)
