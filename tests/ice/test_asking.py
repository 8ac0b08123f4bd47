"""Who is asked what through which socket, and what is said of it (RFC 8445 5.1.1.2)."""

import math

import pytest

from ice._relay_bench import KEY, MAPPED, OTHER, RELAYED, SERVER, Counting
from ice._wire import at, make_local
from sansice.ice import CandidatePolicy, GatheringOptions, IceConfig, IceServer, ServerAnswered, ServerFailed
from sansice.ice._gathering._asking import Asking, QuestionEnded, ReflexiveFound
from sansice.ice._gathering._fallbacks import OPENING_DELAY, STREAM_DELAY
from sansice.ice._gathering._relay import Relayed, RelayLost
from sansice.ice._server import read_servers
from sansice.machine import (
    Action,
    Address,
    AddressRecord,
    CloseSocket,
    IcmpError,
    Ids,
    OpenSocket,
    RecordKind,
    Resolve,
    ResolveError,
    SendDatagram,
    SendStream,
    SocketError,
    SocketErrorKind,
)
from sansice.stun import (
    ERROR_CODE,
    LIFETIME,
    NONCE,
    REALM,
    XOR_MAPPED_ADDRESS,
    XOR_RELAYED_ADDRESS,
    ErrorCode,
    MessageClass,
    Method,
    decode_untrusted,
    encode,
)

ONE, TWO = make_local("192.0.2.1", 1), make_local("192.0.2.2", 2, preference=65534)
SIX = make_local("2001:db8::1", 3, preference=65533)
STUN, OTHER_STUN = "stun:198.51.100.53", "stun:198.51.100.54"
TURN = IceServer("turn:198.51.100.53?transport=udp", "user", "secret")
OTHER_TURN = IceServer("turn:198.51.100.54?transport=udp", "user", "secret")
LOST = SocketError(SocketErrorKind.OTHER, "interface gone")


class Bench:
    def __init__(self, *servers, hosts=(ONE,), policy=CandidatePolicy.ALL, config=None, **options):
        self.now = 0.0
        self.asking = Asking(
            read_servers(servers),
            ids=Ids(),
            config=config or IceConfig(),
            entropy=Counting(),
            options=GatheringOptions(relayed_family=None, **options),
            policy=policy,
            drop=lambda reason, count: None,
        )
        self.sent, self.actions, self.events = [], [], []
        self.do("start")
        for host in hosts:
            self.do("add_host", host)

    def take(self):
        for output in self.asking.take_outputs():
            kind = self.sent if isinstance(output, SendDatagram) else self.actions if isinstance(output, Action) else self.events
            kind.append(output)

    def do(self, command, *arguments):
        result = getattr(self.asking, command)(*arguments, now=self.now)
        self.take()
        return result

    def ask_all(self):
        while self.do("start_next"):
            pass

    def run(self, until):
        while (due := self.asking.deadline()) <= until:
            self.now = max(due, self.now)
            self.do("handle_timer")
        self.now = until

    def told(self, *kinds):
        return [event for event in self.events if isinstance(event, kinds)]

    @property
    def asked(self):
        """(host, server, method) of the first transmission of each request."""
        seen = {}
        for one in self.sent:
            message = decode_untrusted(one.data)
            seen.setdefault(message.transaction_id, (one.socket, one.destination, message.method))
        return list(seen.values())

    def answer(self, *attributes, code=None, index=-1):
        action = self.sent[index]
        request = decode_untrusted(action.data)
        content = [] if code is None else [(ERROR_CODE, ErrorCode(code, "No"))]
        kind = MessageClass.SUCCESS if code is None else MessageClass.ERROR
        key = KEY if request.has_integrity else None
        data = encode(request.method, kind, request.transaction_id, [*content, *attributes], key=key)
        if request.method is Method.BINDING:
            return self.do("handle_response", action.socket, action.destination, decode_untrusted(data))
        found = self.asking.relays.unwrap(action.socket, [(action.destination, data)], now=self.now)
        self.asking.absorb_relays(self.now)
        self.take()
        return found

    def challenge(self):
        self.answer((REALM, "realm"), (NONCE, "nonce"), code=401)

    def grant(self):
        self.answer((XOR_RELAYED_ADDRESS, RELAYED), (XOR_MAPPED_ADDRESS, MAPPED), (LIFETIME, 600))


# ------------------------------------------------------------- who is asked


@pytest.mark.req("RFC8445-008")
def test_every_host_asks_every_server_of_its_family_and_kinds_take_turns():
    bench = Bench(STUN, OTHER_STUN, TURN, OTHER_TURN, hosts=(ONE, SIX))
    bench.ask_all()
    assert [(server, method) for _, server, method in bench.asked] == [
        (SERVER, Method.BINDING),
        (SERVER, Method.ALLOCATE),
        (OTHER, Method.BINDING),
        (OTHER, Method.ALLOCATE),
    ]
    assert {socket for socket, _, _ in bench.asked} == {ONE.socket}
    assert bench.told(QuestionEnded) == [QuestionEnded(SIX, number) for number in range(4)]


def test_one_server_of_two_urls_gives_one_allocation_from_a_socket_whether_it_was_asked_or_waits_for_its_turn():
    same = IceServer("turn:198.51.100.53:3478?transport=udp", "user", "secret")
    waiting = Bench(TURN, same, every_url=True)
    waiting.ask_all()
    assert len(waiting.asked) == 1
    assert waiting.told(QuestionEnded) == [QuestionEnded(ONE, 1)]
    over_both = Bench(TURN, IceServer("turn:198.51.100.53", "user", "secret"), every_url=True)
    over_both.ask_all()
    assert [one.transport.value for one in over_both.actions if isinstance(one, OpenSocket)] == ["tcp"]


def test_of_two_sockets_of_an_address_one_asks_for_a_relay_and_both_how_they_are_seen():
    twin, component = make_local("192.0.2.1", 5, preference=65533), make_local("192.0.2.1", 6, preference=65532, component=2)
    bench = Bench(STUN, TURN, hosts=(ONE, twin, component))
    bench.ask_all()
    assert [(socket, method) for socket, _, method in bench.asked] == [
        (ONE.socket, Method.BINDING),
        (ONE.socket, Method.ALLOCATE),
        (twin.socket, Method.BINDING),
        (component.socket, Method.ALLOCATE),
        (component.socket, Method.BINDING),
    ]
    assert bench.told(QuestionEnded) == [QuestionEnded(twin, 1)]


def test_number_of_relays_is_bounded():
    bench = Bench(TURN, OTHER_TURN, hosts=(ONE, TWO), max_relays=3)
    bench.ask_all()
    assert len(bench.asked) == 3
    (failed,) = bench.told(ServerFailed)
    assert "3 relays" in failed.text and failed.local == "192.0.2.2"


def test_with_relays_alone_no_binding_is_asked_for():
    bench = Bench(STUN, TURN, policy=CandidatePolicy.RELAY)
    bench.ask_all()
    assert [method for _, _, method in bench.asked] == [Method.ALLOCATE]
    bench.challenge()
    bench.answer(code=486)
    assert [method for _, _, method in bench.asked] == [Method.ALLOCATE, Method.ALLOCATE]
    assert bench.asking.is_idle


@pytest.mark.req("RFC8445-008")
def test_server_that_is_found_later_is_asked_through_all_hosts():
    bench = Bench("stun:stun.example:3478", hosts=(ONE, TWO))
    assert not bench.asking.has_next() and not bench.asking.is_idle
    queries = {one.kind: one.query for one in bench.actions if isinstance(one, Resolve)}
    bench.do("handle_resolved", queries[RecordKind.A], (AddressRecord(SERVER.host),))
    bench.do("handle_resolved", queries[RecordKind.AAAA], ())
    bench.ask_all()
    assert [socket for socket, _, _ in bench.asked] == [ONE.socket, TWO.socket]


def test_server_that_is_not_found_ends_the_question_of_every_host():
    bench = Bench("stun:stun.example:3478", hosts=(ONE, TWO))
    for one in [one for one in bench.actions if isinstance(one, Resolve)]:
        bench.do("handle_resolved", one.query, ResolveError.NOT_FOUND)
    (failed,) = bench.told(ServerFailed)
    assert (failed.url, failed.local) == ("stun:stun.example:3478", "")
    assert bench.told(QuestionEnded) == [QuestionEnded(ONE, 0), QuestionEnded(TWO, 0)]
    assert bench.asking.is_idle


# ------------------------------------------------------------- what they say


def test_binding_answer_is_told_with_the_time_that_it_took():
    bench = Bench(STUN)
    bench.ask_all()
    bench.now = 0.25
    bench.answer((XOR_MAPPED_ADDRESS, MAPPED))
    assert bench.events == [
        ReflexiveFound(ONE, 0, MAPPED, SERVER),
        ServerAnswered(STUN, "192.0.2.1", 0.25, MAPPED),
        QuestionEnded(ONE, 0),
    ]


@pytest.mark.req("RFC8445-011")
def test_allocation_tells_the_mapped_address_and_the_relayed_one():
    bench = Bench(TURN)
    bench.ask_all()
    bench.challenge()
    bench.grant()
    reflexive, relayed, answered, ended = bench.events
    assert reflexive == ReflexiveFound(ONE, 0, MAPPED, SERVER)
    assert isinstance(relayed, Relayed)
    assert answered == ServerAnswered(TURN.urls[0], "192.0.2.1", 0.0, MAPPED, (RELAYED,))
    assert ended == QuestionEnded(ONE, 0)


@pytest.mark.req("RFC8445-012")
@pytest.mark.parametrize("code", [486, 508])
def test_server_without_room_is_asked_for_a_binding_instead_and_fails_once(code):
    bench = Bench(TURN)
    bench.ask_all()
    bench.challenge()
    bench.answer(code=code)
    assert not bench.asking.is_idle and bench.told(QuestionEnded) == []
    bench.ask_all()
    assert bench.asked[-1] == (ONE.socket, SERVER, Method.BINDING)
    bench.answer((XOR_MAPPED_ADDRESS, MAPPED))
    (failed,) = bench.told(ServerFailed)
    assert failed.code == code
    assert bench.told(ReflexiveFound) == [ReflexiveFound(ONE, 0, MAPPED, SERVER)]
    assert bench.told(ServerAnswered) == []
    assert bench.told(QuestionEnded) == [QuestionEnded(ONE, 0)]


def test_refusal_of_the_binding_too_is_not_told_again():
    bench = Bench(TURN)
    bench.ask_all()
    bench.challenge()
    bench.answer(code=486)
    bench.ask_all()
    bench.answer(code=400)
    assert len(bench.told(ServerFailed)) == 1
    assert bench.told(QuestionEnded) == [QuestionEnded(ONE, 0)]


def test_server_that_has_refused_one_host_for_want_of_room_is_left_alone_by_the_others():
    bench = Bench(TURN, hosts=(ONE, TWO))
    bench.do("start_next")
    bench.challenge()
    bench.answer(code=508)
    bench.ask_all()
    assert [method for _, _, method in bench.asked].count(Method.ALLOCATE) == 2  # a bare one and one with credentials
    assert [one.code for one in bench.told(ServerFailed)] == [508, 508]


def test_relay_that_is_lost_is_told_as_a_failure_of_its_server():
    bench = Bench(TURN)
    bench.ask_all()
    bench.challenge()
    bench.grant()
    bench.do("handle_socket_failed", ONE.socket, LOST)
    assert [type(event) for event in bench.events[-2:]] == [ServerFailed, RelayLost]


def test_port_unreachable_ends_a_question_at_once():
    bench = Bench(STUN, OTHER_TURN)
    bench.ask_all()
    bench.do("handle_icmp", ONE.socket, SERVER, IcmpError(3, 3))
    bench.do("handle_icmp", ONE.socket, OTHER, IcmpError(3, 3))
    assert len(bench.told(ServerFailed)) == 2
    assert bench.asking.is_idle


# ------------------------------------------------------------- ends


def test_who_is_silent_is_given_up_and_who_has_begun_to_answer_is_not():
    bench = Bench(STUN, TURN, OTHER_TURN, "stun:198.51.100.55")
    for _ in range(3):
        bench.do("start_next")
    bench.answer((REALM, "realm"), (NONCE, "nonce"), code=401, index=1)
    bench.now = 3.0
    assert bench.do("give_up") is True
    assert [(one.url, one.text) for one in bench.told(ServerFailed)] == [
        (STUN, "no answer within 3 s"),
        ("stun:198.51.100.55", "no answer within 3 s"),
        (OTHER_TURN.urls[0], "no answer within 3 s"),
    ]
    assert not bench.asking.is_idle
    bench.do("give_up_relays")
    assert bench.told(ServerFailed)[-1].url == TURN.urls[0]
    assert bench.asking.is_idle
    assert len(bench.told(QuestionEnded)) == 4


def test_stop_keeps_what_relays_and_asks_no_more():
    bench = Bench(TURN, OTHER_TURN, STUN)
    bench.do("start_next")
    bench.do("start_next")
    bench.answer((REALM, "realm"), (NONCE, "nonce"), code=401, index=1)
    bench.grant()
    bench.do("start_next")
    assert len(bench.asking.relays.live) == 2
    bench.do("stop")
    assert not bench.asking.has_next() and bench.asking.is_idle
    assert len(bench.asking.relays.live) == 1
    assert bench.asking.deadline() < math.inf


def test_host_that_is_removed_is_asked_through_no_more():
    bench = Bench(STUN, TURN, hosts=(ONE, TWO))
    bench.asking.remove_host(ONE.socket)
    bench.ask_all()
    assert {socket for socket, _, _ in bench.asked} == {TWO.socket}


def test_refusal_through_a_socket_that_is_gone_needs_no_binding():
    bench = Bench(TURN)
    bench.ask_all()
    bench.challenge()
    bench.asking.remove_host(ONE.socket)
    bench.answer(code=486)
    assert bench.asking.is_idle and bench.told(QuestionEnded) == [QuestionEnded(ONE, 0)]


def test_another_generation_asks_again_but_not_whom_it_has():
    bench = Bench(STUN, TURN)
    bench.ask_all()
    bench.answer((XOR_MAPPED_ADDRESS, MAPPED), index=0)
    bench.challenge()
    bench.grant()
    sent = len(bench.asked)
    bench.do("start")
    bench.do("add_host", ONE)
    bench.ask_all()
    assert bench.asked[sent:] == [(ONE.socket, SERVER, Method.BINDING)]


def test_another_generation_does_not_ask_again_whom_it_has_over_a_stream():
    bench = Bench(IceServer("turn:198.51.100.53?transport=tcp", "user", "secret"))
    bench.ask_all()
    assert len(bench.asking.relays) == 1
    bench.do("start")
    bench.do("add_host", ONE)
    bench.ask_all()
    assert len(bench.asking.relays) == 1


def test_two_urls_of_one_server_over_streams_are_two_relays_for_each_has_a_connection_of_its_own():
    urls = [f"turn:198.51.100.53{port}?transport=tcp" for port in ("", ":3478")]
    bench = Bench(IceServer(urls, "user", "secret"), every_url=True)
    bench.ask_all()
    assert len(bench.asking.relays) == 2
    assert len([one for one in bench.actions if isinstance(one, OpenSocket)]) == 2


def test_a_relay_that_was_asked_for_through_a_host_that_is_gone_may_still_come():
    bench = Bench(TURN)
    bench.ask_all()
    bench.asking.remove_host(ONE.socket)
    bench.challenge()
    bench.grant()
    assert len(bench.told(Relayed)) == 1


def test_what_waits_for_its_turn_or_for_the_pace_is_spared_by_one_that_relays():
    urls = [f"turn:198.51.100.53{rest}" for rest in ("?transport=udp", ":80?transport=udp", "?transport=tcp")]
    bench = Bench(IceServer(urls, "user", "secret"))
    bench.do("start_next")
    bench.now = 0.3
    bench.do("handle_timer")  # the others are due, at least to be opened, and wait for the pace
    assert bench.asking.has_next()
    bench.challenge()
    bench.grant()
    assert not bench.asking.has_next()
    assert bench.asking.is_idle
    assert [one.number for one in bench.told(QuestionEnded)] == [0, 1, 2]


def test_what_waits_for_its_turn_at_the_end_is_told_as_silent():
    bench = Bench(IceServer(["turn:198.51.100.53?transport=udp", "turn:198.51.100.53?transport=tcp"], "user", "secret"))
    bench.do("start_next")
    bench.do("give_up")
    assert next(iter(bench.told(ServerFailed))).url.endswith("tcp")
    assert bench.asking.is_idle


def test_a_host_that_comes_after_the_end_asks_nobody_before_the_next_start():
    bench = Bench(STUN)
    bench.ask_all()
    bench.do("stop")
    bench.do("add_host", TWO)
    assert not bench.asking.has_next()
    bench.do("start")
    assert bench.asking.has_next()


def test_relays_over_streams_open_their_sockets_and_may_lose_them():
    bench = Bench(IceServer("turn:198.51.100.53?transport=tcp", "user", "secret"))
    bench.ask_all()
    (opened,) = [one for one in bench.actions if isinstance(one, OpenSocket)]
    bench.do("handle_socket_opened", opened.socket, at("192.0.2.1", 41000))
    bench.do("handle_socket_failed", opened.socket, LOST)
    (failed,) = bench.told(ServerFailed)
    assert "interface gone" in failed.text
    assert bench.asking.is_idle


def test_time_is_needed_by_each_part():
    bench = Bench(STUN, OTHER_TURN, "stun:stun.example:3478")
    bench.ask_all()
    bench.run(4.0)
    assert len([one for one in bench.sent if one.destination == SERVER]) == 4
    assert len([one for one in bench.sent if one.destination == OTHER]) == 4
    assert [one.url for one in bench.told(ServerFailed)] == ["stun:stun.example:3478"]


def test_answer_to_nothing_is_nobodys():
    bench = Bench(STUN)
    bench.ask_all()
    stranger = Address("192.0.2.99", 9)
    message = decode_untrusted(
        encode(Method.BINDING, MessageClass.SUCCESS, decode_untrusted(bench.sent[0].data).transaction_id, [])
    )
    assert bench.do("handle_response", ONE.socket, stranger, message) is False


# ------------------------------------------------------------- whether UDP is let out


def test_servers_are_silent_from_the_first_question_over_udp_on():
    bench = Bench(STUN, TURN, OTHER_TURN)
    assert bench.asking.silent_since == math.inf
    bench.now = 1.0
    bench.do("start_next")
    bench.now = 2.0
    bench.ask_all()
    assert bench.asking.silent_since == 1.0


def test_what_is_asked_over_streams_says_nothing_of_udp():
    bench = Bench(IceServer("turn:198.51.100.53?transport=tcp", "user", "secret"))
    bench.ask_all()
    assert bench.asking.silent_since == math.inf


@pytest.mark.parametrize("server", [STUN, TURN])
def test_any_answer_over_udp_ends_the_silence_until_all_are_asked_again(server):
    bench = Bench(server, OTHER_TURN)
    bench.do("start_next")
    assert bench.asking.silent_since == 0.0
    if server is TURN:
        bench.challenge()
    else:
        bench.answer((XOR_MAPPED_ADDRESS, MAPPED))
    assert bench.asking.silent_since == math.inf
    bench.ask_all()
    assert bench.asking.silent_since == math.inf
    bench.now = 5.0
    bench.do("give_up_relays")
    bench.do("start")
    bench.do("add_host", TWO)
    bench.ask_all()
    assert bench.asking.silent_since == 5.0


def test_a_relay_over_udp_ends_the_silence():
    bench = Bench(TURN)
    bench.ask_all()
    bench.grant()
    assert bench.asking.silent_since == math.inf


@pytest.mark.parametrize("server", [STUN, TURN])
def test_a_refusal_ends_the_silence_and_giving_up_does_not(server):
    bench = Bench(server)
    bench.ask_all()
    bench.do("give_up")
    assert bench.asking.silent_since == 0.0
    bench = Bench(server)
    bench.ask_all()
    bench.answer(code=500)
    assert bench.asking.silent_since == math.inf


def open_relays(bench):
    """The relays whose streams are open, and that have sent nothing."""
    return [relay.question.number for relay in bench.asking.relays.pending if relay.is_held]


def test_a_stream_is_opened_where_udp_is_silent_and_nothing_is_sent_on_it_before_its_turn():
    bench = Bench(IceServer([TURN.urls[0], "turn:198.51.100.53?transport=tcp"], "user", "secret"))
    bench.ask_all()
    bench.run(OPENING_DELAY)
    bench.ask_all()
    (stream,) = [one for one in bench.actions if isinstance(one, OpenSocket)]
    bench.do("handle_socket_opened", stream.socket, Address("192.0.2.1", 41000))
    bench.run(STREAM_DELAY - 0.001)
    assert open_relays(bench) == [1]
    assert not [one for one in bench.actions if isinstance(one, SendStream)]
    bench.run(STREAM_DELAY)
    assert open_relays(bench) == []
    assert [one.socket for one in bench.actions if isinstance(one, SendStream)] == [stream.socket]


def test_a_stream_whose_turn_has_come_before_the_pace_allowed_to_open_it_is_not_held():
    bench = Bench(IceServer([TURN.urls[0], "turn:198.51.100.53?transport=tcp"], "user", "secret"))
    bench.ask_all()
    bench.run(STREAM_DELAY)
    bench.ask_all()
    assert open_relays(bench) == []
    (stream,) = [one for one in bench.actions if isinstance(one, OpenSocket)]
    bench.do("handle_socket_opened", stream.socket, Address("192.0.2.1", 41000))
    assert [one.socket for one in bench.actions if isinstance(one, SendStream)] == [stream.socket]


def test_what_is_held_when_all_are_given_up_was_not_asked():
    bench = Bench(IceServer([TURN.urls[0], "turn:198.51.100.53?transport=tcp"], "user", "secret"))
    bench.ask_all()
    bench.run(OPENING_DELAY)
    bench.ask_all()
    (stream,) = [one for one in bench.actions if isinstance(one, OpenSocket)]
    bench.do("handle_socket_opened", stream.socket, Address("192.0.2.1", 41000))
    assert bench.do("give_up") is False
    assert [one.is_silent for one in bench.told(ServerFailed)] == [True, True]
    assert [one.socket for one in bench.actions if isinstance(one, CloseSocket)] == [stream.socket]
