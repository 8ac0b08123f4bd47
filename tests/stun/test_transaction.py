import math

import pytest
from hypothesis import given, strategies as st

from sansice.machine import (
    Address,
    DropReason,
    IcmpError,
    LocalProtocolError,
    SendDatagram,
    SendStream,
    SocketError,
    SocketErrorKind,
    SocketId,
)
from sansice.simulation import check_machine
from sansice.stun import (
    CHANGED_ADDRESS,
    ERROR_CODE,
    MAPPED_ADDRESS,
    NONCE,
    PASSWORD_ALGORITHMS,
    PASSWORD_MD5,
    PRIORITY,
    REFLECTED_FROM,
    RESPONSE_ADDRESS,
    SOFTWARE,
    SOURCE_ADDRESS,
    UNKNOWN_ATTRIBUTES,
    USERNAME,
    XOR_MAPPED_ADDRESS,
    Attribute,
    ErrorCode,
    FailureCause,
    IntegrityAlgorithm,
    MessageClass,
    Method,
    Schedule,
    StunTransaction,
    TransactionFailed,
    TransactionState,
    TransactionSucceeded,
    TransactionTimedOut,
    decode_untrusted,
    encode,
    shapes,
    short_term_key,
)
from sansice.stun._transaction import TRANSACTION_TRANSITIONS, TransactionInput

TID = bytes(range(12))
OTHER_TID = bytes(12)
KEY = short_term_key("password")
WRONG = short_term_key("passw0rd")
SOCKET = SocketId(1)
SERVER = Address("192.0.2.1", 3478)
MAPPED = (XOR_MAPPED_ADDRESS, Address("198.51.100.7", 40000))
UNKNOWN = Attribute(0x7FF0, "UNKNOWN", shapes.FLAG)
REQUEST = encode(Method.BINDING, MessageClass.REQUEST, TID)
PROTECTED = encode(Method.BINDING, MessageClass.REQUEST, TID, [(USERNAME, "a:b"), (PRIORITY, 1)], key=KEY)
SEND = SendDatagram(SOCKET, SERVER, REQUEST)
SENDS = [0.0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5]


def transaction(request=REQUEST, **options):
    return StunTransaction(request, SOCKET, SERVER, **options)


@pytest.mark.parametrize(
    ("options", "algorithm"),
    [({}, IntegrityAlgorithm.SHA1), *(({"key": KEY}, algorithm) for algorithm in IntegrityAlgorithm)],
)
@pytest.mark.parametrize("method", [Method.BINDING, Method.ALLOCATE])
def test_a_request_just_encoded_needs_no_second_look(method, options, algorithm):
    """Whatever is known without decoding is what decoding would have told: both transactions do the same."""
    request = encode(method, MessageClass.REQUEST, TID, algorithm=algorithm, **options)
    answers = [
        response(method=other, **signature)
        for other in (Method.REFRESH, method)
        for signature in ({}, *({"key": KEY, "algorithm": used} for used in (IntegrityAlgorithm.SHA256, algorithm)))
    ]
    answers.insert(-1, error(438, method=method))
    rules = {"long_term": method is Method.ALLOCATE}
    both = (
        StunTransaction(request, SOCKET, SERVER, **rules, **options),
        StunTransaction.of_encoded(request, TID, SOCKET, SERVER, method=method, algorithm=algorithm, **rules, **options),
    )
    histories = []
    for one in both:
        history = [one.id]
        one.start(now=0.0)
        for answer in answers:
            if not one.done:
                history += [one.handle_response(answer, now=1.0), one.refusal]
            history += [one.state, one.deadline(), *one.take_outputs()]
        histories.append(history)
    assert histories[0] == histories[1]
    assert both[0].done


def test_the_mapped_address_comes_with_the_success():
    one = started()
    assert one.handle_response(response(), now=0.25)
    assert one.take_outputs()[-1].mapped == MAPPED[1]
    other = started(encode(Method.ALLOCATE, MessageClass.REQUEST, TID))
    assert other.handle_response(response(method=Method.ALLOCATE), now=0.25)
    assert other.take_outputs()[-1].mapped is None


@pytest.mark.req("RFC5389-002")
def test_in_rfc_3489_compatibility_either_mapped_address_will_do_and_otherwise_not():
    old = response((MAPPED_ADDRESS, MAPPED[1]))
    both = response((MAPPED_ADDRESS, Address("192.0.2.9", 9)), MAPPED)
    for answer in (old, both, response()):
        one = started(classic=True)
        assert one.handle_response(answer, now=0.25)
        assert one.take_outputs()[-1].mapped == MAPPED[1]
    strict = started()
    assert strict.handle_response(old, now=0.25)
    assert strict.take_outputs()[-1].cause is FailureCause.MALFORMED


@pytest.mark.req("RFC5389-003")
@pytest.mark.parametrize("value", [shapes.ADDRESS.pack(SERVER, b""), b"", b"no address"], ids=["right", "empty", "malformed"])
def test_what_only_rfc_3489_servers_send_is_ignored(value):
    """Whatever it says: what is ignored is not read either."""
    reserved = (RESPONSE_ADDRESS, SOURCE_ADDRESS, CHANGED_ADDRESS, REFLECTED_FROM)
    junk = [(Attribute(attribute.code, attribute.name, shapes.OPAQUE), value) for attribute in reserved]
    one = started(classic=True)
    assert one.handle_response(response(*junk, (MAPPED_ADDRESS, MAPPED[1])), now=0.25)
    assert one.take_outputs()[-1].mapped == MAPPED[1]


def started(request=REQUEST, now=0.0, **options):
    one = transaction(request, **options)
    one.start(now=now)
    return one


def response(*attributes, kind=MessageClass.SUCCESS, method=Method.BINDING, tid=TID, **options):
    return decode_untrusted(encode(method, kind, tid, attributes or [MAPPED], **options))


def error(code, *attributes, **options):
    return response((ERROR_CODE, ErrorCode(code, "no")), *attributes, kind=MessageClass.ERROR, **options)


def run(one, until=math.inf):
    """Drive a transaction by its own deadlines; what it puts out from now on, with the time."""
    one.take_outputs()
    log = []
    for _ in range(100):
        if (now := one.deadline()) >= until:
            return log
        one.handle_timer(now=now)
        log += [(now, output) for output in one.take_outputs()]
    raise AssertionError("it never ends")


# ------------------------------------------------------------------- the schedule


@pytest.mark.req("RFC8489-018", "RFC8489-025", "RFC8489-026", "RFC8489-007")
@pytest.mark.parametrize("start", [0.0, 1000.0, 86400.25])
def test_requests_leave_on_the_schedule_of_the_rfc_unchanged_and_fail_at_39_5_seconds(start):
    one = started(now=start)
    assert one.take_outputs() == [SEND]
    log = run(one)
    assert log == [*((start + at, SEND) for at in SENDS[1:]), (start + 39.5, TransactionTimedOut(TID))]
    assert all(output.data is REQUEST for _, output in log[:-1])
    assert one.done
    assert one.deadline() == math.inf


@pytest.mark.req("RFC8489-026")
def test_it_fails_at_39500_milliseconds_and_not_at_39499():
    one = started()
    run(one, until=39.5)
    one.take_outputs()
    one.handle_timer(now=39.499)
    assert one.take_outputs() == []
    one.handle_timer(now=39.5)
    assert one.take_outputs() == [TransactionTimedOut(TID)]


@pytest.mark.req("RFC8489-025", "RFC8489-026")
def test_rto_rc_and_rm_are_configurable():
    one = started(schedule=Schedule(rto=1.0, rc=3, rm=2))
    assert [at for at, _ in run(one)] == [1.0, 3.0, 5.0]
    once = started(schedule=Schedule(rc=1))
    assert run(once) == [(8.0, TransactionTimedOut(TID))]


def test_late_timers_do_not_move_those_that_follow():
    one = started()
    one.take_outputs()
    for late, following in ((0.6, 1.5), (1.9, 3.5), (7.4, 7.5)):
        one.handle_timer(now=late)
        assert one.take_outputs() == [SEND]
        assert one.deadline() == following


def test_after_a_leap_of_the_clock_one_request_makes_up_for_those_that_were_missed():
    one = started()
    one.take_outputs()
    one.handle_timer(now=10.0)
    assert one.take_outputs() == [SEND]
    assert one.deadline() == 15.5
    one.handle_timer(now=1e6)
    assert one.take_outputs() == [TransactionTimedOut(TID)]


def test_an_early_or_spurious_timer_does_nothing():
    one = transaction()
    one.handle_timer(now=5.0)
    assert one.take_outputs() == []
    one.start(now=10.0)
    one.take_outputs()
    one.handle_timer(now=10.499)
    assert (one.take_outputs(), one.deadline()) == ([], 10.5)


@given(start=st.floats(0, 1e12), steps=st.lists(st.floats(0, 50), max_size=20))
def test_after_a_timer_the_deadline_lies_ahead_whatever_the_times(start, steps):
    one = started(now=start)
    now = start
    for step in steps:
        now += step
        one.handle_timer(now=now)
        assert one.deadline() > now
    assert sum(type(output) is SendDatagram for output in one.take_outputs()) <= 7


@pytest.mark.req("RFC8489-016")
def test_several_transactions_run_side_by_side_and_end_in_any_order():
    tids = [bytes([number]) * 12 for number in range(3)]
    running = [started(encode(Method.BINDING, MessageClass.REQUEST, tid)) for tid in tids]
    for index in (2, 0, 1):
        answer = response(tid=tids[index])
        assert [one.handle_response(answer, now=0.1) for one in running] == [index == other for other in range(3)]
    assert all(one.done for one in running)


# ------------------------------------------------------------------- responses


@pytest.mark.parametrize("method", [Method.BINDING, Method.REFRESH])
def test_a_success_response_ends_it(method):
    one = started(encode(method, MessageClass.REQUEST, TID), now=5.0)
    one.take_outputs()
    answer = response(*([MAPPED] if method is Method.BINDING else [(SOFTWARE, "x")]), method=method)
    assert one.handle_response(answer, now=5.25)
    assert one.take_outputs() == [TransactionSucceeded(TID, answer, 0.25)]
    assert (one.done, one.deadline(), one.refusal) == (True, math.inf, None)
    assert not one.handle_response(answer, now=5.5)
    assert one.refusal is DropReason.UNKNOWN_TRANSACTION
    assert one.take_outputs() == []


@pytest.mark.req("RFC8489-022")
def test_there_is_no_round_trip_time_after_a_retransmission():
    one = started()
    one.handle_timer(now=0.5)
    one.take_outputs()
    answer = response()
    one.handle_response(answer, now=0.6)
    assert one.take_outputs() == [TransactionSucceeded(TID, answer, None)]


@pytest.mark.req("RFC8489-040")
@pytest.mark.parametrize(
    "stray",
    [
        response(tid=OTHER_TID),
        response(method=Method.REFRESH),
        decode_untrusted(REQUEST),
        response(kind=MessageClass.INDICATION),
    ],
    ids=["id", "method", "request", "indication"],
)
def test_what_answers_something_else_is_refused_without_effect(stray):
    one = started()
    one.take_outputs()
    assert not one.handle_response(stray, now=0.1)
    assert one.refusal is DropReason.UNKNOWN_TRANSACTION
    assert (one.take_outputs(), one.deadline()) == ([], 0.5)
    assert one.handle_response(response(), now=0.2)


@pytest.mark.req("RFC8489-009")
def test_an_incoming_request_of_the_same_id_is_somebody_elses():
    one = started()
    theirs = decode_untrusted(encode(Method.BINDING, MessageClass.REQUEST, TID, [(PRIORITY, 1)]))
    assert not one.handle_response(theirs, now=0.1)
    assert one.handle_response(response(), now=0.2)


def test_nothing_is_taken_before_the_start():
    one = transaction()
    assert not one.handle_response(response(), now=0.0)
    assert one.refusal is DropReason.UNKNOWN_TRANSACTION
    assert one.deadline() == math.inf


def failure(one, answer, now=0.1):
    one.take_outputs()
    assert one.handle_response(answer, now=now)
    (event,) = one.take_outputs()
    assert type(event) is TransactionFailed
    assert one.done
    assert (event.id, event.response) == (TID, answer)
    return event


@pytest.mark.req("RFC8489-062", "RFC8489-061")
@pytest.mark.parametrize("code", [300, 400, 401, 487, 500, 699])
def test_an_error_response_fails_it_with_its_code(code):
    event = failure(started(), error(code))
    assert (event.code, event.reason, event.cause) == (code, "no", FailureCause.ERROR_RESPONSE)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (b"", ""),
        (b"\x1b]0;mine\x07\r\n\xe2\x80\xae", "\\x1b]0;mine\\x07\\r\\n\\u202e"),
    ],
)
def test_what_a_server_writes_beside_the_code_cannot_act_on_a_terminal(written, read):
    code = Attribute(ERROR_CODE.code, "raw", shapes.OPAQUE)
    event = failure(started(), response((code, b"\0\0\4\1" + written), kind=MessageClass.ERROR))
    assert (event.code, event.reason, event.cause) == (401, read, FailureCause.ERROR_RESPONSE)


@pytest.mark.req("RFC8489-062")
def test_a_420_tells_which_attributes_were_unknown():
    event = failure(started(), error(420, (UNKNOWN_ATTRIBUTES, (0x7FF0, 0x7FF1))))
    assert (event.code, event.unknown_attributes) == (420, (0x7FF0, 0x7FF1))


@pytest.mark.req("RFC8489-057")
def test_a_success_response_with_unknown_required_attributes_fails_it():
    event = failure(started(), response(MAPPED, (UNKNOWN, None)))
    assert (event.code, event.cause, event.unknown_attributes) == (None, FailureCause.UNKNOWN_ATTRIBUTE, (0x7FF0,))


@pytest.mark.req("RFC8489-060")
def test_an_error_response_with_unknown_required_attributes_or_without_a_code_fails_it():
    event = failure(started(), error(400, (UNKNOWN, None)))
    assert (event.code, event.cause) == (None, FailureCause.UNKNOWN_ATTRIBUTE)
    event = failure(started(), response((SOFTWARE, "x"), kind=MessageClass.ERROR))
    assert (event.code, event.cause, event.reason) == (None, FailureCause.MALFORMED, "no ERROR-CODE")


@pytest.mark.parametrize("code", [ERROR_CODE.code, UNKNOWN_ATTRIBUTES.code])
def test_an_error_response_that_cannot_be_read_fails_it(code):
    rest = [] if code == ERROR_CODE.code else [(ERROR_CODE, ErrorCode(420))]
    event = failure(started(), response(*rest, (Attribute(code, "raw", shapes.OPAQUE), b"?"), kind=MessageClass.ERROR))
    assert (event.code, event.cause) == (None, FailureCause.MALFORMED)


@pytest.mark.req("RFC8489-058")
def test_a_binding_success_without_a_sound_mapped_address_fails_it():
    event = failure(started(), response((SOFTWARE, "x")))
    assert (event.cause, event.reason) == (FailureCause.MALFORMED, "no XOR-MAPPED-ADDRESS")
    event = failure(started(), response((Attribute(XOR_MAPPED_ADDRESS.code, "raw", shapes.OPAQUE), b"?")))
    assert event.cause is FailureCause.MALFORMED
    assert "XOR-MAPPED-ADDRESS" in event.reason


@pytest.mark.parametrize(
    "text", ["203.0.113.1:0", "0.0.0.0:9", "255.255.255.255:9", "224.0.0.1:9", "[::]:9", "[ff02::1]:9", "[2001:db8::1]:0"]
)
def test_a_mapped_address_from_which_nobody_can_send_fails_it(text):
    event = failure(started(), response((XOR_MAPPED_ADDRESS, Address.parse(text))))
    assert (event.cause, event.reason) == (FailureCause.MALFORMED, f"nobody sends from {text}, the address it names")


@pytest.mark.req("RFC8489-059")
def test_a_mapped_address_of_the_other_family_is_as_good():
    one = started()
    one.take_outputs()
    answer = response((XOR_MAPPED_ADDRESS, Address("2001:db8::1", 1)))
    assert one.handle_response(answer, now=0.1)
    assert one.take_outputs() == [TransactionSucceeded(TID, answer, 0.1)]


# ------------------------------------------------------------------- integrity


def test_a_protected_response_is_verified():
    one = started(PROTECTED, key=KEY)
    one.take_outputs()
    answer = response(key=KEY)
    assert one.handle_response(answer, now=0.1)
    assert one.take_outputs() == [TransactionSucceeded(TID, answer, 0.1)]


FORGED = [
    pytest.param(response(key=WRONG), id="wrong-key"),
    pytest.param(response(), id="no-integrity"),
    pytest.param(error(400), id="unprotected-400"),
    pytest.param(error(300), id="unprotected-300", marks=pytest.mark.req("RFC8489-132")),
    pytest.param(error(401), id="unprotected-401"),
    pytest.param(response(MAPPED, (UNKNOWN, None)), id="unknown-attribute", marks=pytest.mark.req("RFC8489-045")),
]


@pytest.mark.req("RFC8489-080")
@pytest.mark.parametrize("forged", FORGED)
def test_over_udp_a_violation_is_dropped_retransmission_goes_on_and_the_end_tells(forged):
    one = started(PROTECTED, key=KEY)
    one.take_outputs()
    assert not one.handle_response(forged, now=0.1)
    assert one.refusal is DropReason.BAD_INTEGRITY
    assert one.take_outputs() == []
    log = run(one)
    assert [at for at, _ in log] == [*SENDS[1:], 39.5]
    assert log[-1][1] == TransactionTimedOut(TID, integrity_violated=True)


@pytest.mark.req("RFC8489-080")
def test_after_a_violation_a_right_response_still_counts():
    one = started(PROTECTED, key=KEY)
    one.take_outputs()
    one.handle_response(response(key=WRONG), now=0.1)
    answer = response(key=KEY)
    assert one.handle_response(answer, now=0.2)
    assert one.take_outputs() == [TransactionSucceeded(TID, answer, 0.2)]
    assert one.refusal is None


def test_silence_is_no_violation():
    one = started(PROTECTED, key=KEY)
    one.handle_response(response(key=WRONG, tid=OTHER_TID), now=0.1)
    assert run(one)[-1][1] == TransactionTimedOut(TID, integrity_violated=False)


@pytest.mark.req("RFC8489-081")
@pytest.mark.parametrize("forged", FORGED)
def test_over_a_stream_a_violation_ends_it_at_once(forged):
    one = started(PROTECTED, key=KEY, reliable=True)
    one.take_outputs()
    assert one.handle_response(forged, now=0.1)
    assert one.refusal is DropReason.BAD_INTEGRITY
    (event,) = one.take_outputs()
    assert (event.cause, event.code, event.response) == (FailureCause.INTEGRITY, None, None)
    assert one.done


@pytest.mark.req("RFC8489-079")
@pytest.mark.parametrize("asked", IntegrityAlgorithm)
@pytest.mark.parametrize("answered", IntegrityAlgorithm)
def test_a_response_uses_the_algorithm_of_the_request_or_either_of_two(asked, answered):
    one = started(encode(Method.BINDING, MessageClass.REQUEST, TID, key=KEY, algorithm=asked), key=KEY)
    taken = one.handle_response(response(key=KEY, algorithm=answered), now=0.1)
    assert taken is (asked is IntegrityAlgorithm.BOTH or asked is answered)
    assert one.refusal is (None if taken else DropReason.BAD_INTEGRITY)


@pytest.mark.req("RFC8489-132")
@pytest.mark.parametrize("code", [300, 420, 487])
def test_an_error_tells_whether_it_was_protected_so_that_nobody_follows_a_forged_redirection(code):
    assert failure(started(PROTECTED, key=KEY), error(code, key=KEY)).authenticated
    assert not failure(started(), error(code)).authenticated
    assert not failure(started(), error(code, key=KEY)).authenticated  # nobody looked at it
    unknown = failure(started(PROTECTED, key=KEY), error(code, (UNKNOWN, None), key=KEY))
    assert (unknown.cause, unknown.authenticated) == (FailureCause.UNKNOWN_ATTRIBUTE, True)


# ------------------------------------------------------------------- long-term credentials

PROMISE = "obMatJos2gAAAxyz"  # of a list of password algorithms
NO_PROMISES = ["f//499k954d6OL34oL9FSTvy64sA", "obMatJos2AAAAxyz", "obMatJos2QAAAxyz"]
LISTED = (PASSWORD_ALGORITHMS, (PASSWORD_MD5,))
TRANSPORTS = pytest.mark.parametrize("reliable", [False, True], ids=["udp", "stream"])


def long_term(key=KEY, **options):
    one = started(REQUEST if key is None else PROTECTED, key=key, long_term=True, **options)
    one.take_outputs()
    return one


def rest(one):
    """How it ends by itself: how many more requests leave, and the event."""
    log = run(one)
    return len(log) - 1, log[-1][1]


@TRANSPORTS
@pytest.mark.parametrize("key", [None, KEY], ids=["bare", "protected"])
@pytest.mark.parametrize("code", [401, 438])
@pytest.mark.parametrize("attributes", [(), ((NONCE, PROMISE),), ((NONCE, PROMISE), LISTED)])
def test_a_challenge_needs_no_integrity_and_ends_it(reliable, key, code, attributes):
    event = failure(long_term(key, reliable=reliable), error(code, *attributes))
    assert (event.code, event.cause, event.authenticated) == (code, FailureCause.ERROR_RESPONSE, False)


@pytest.mark.req("RFC8489-108")
@pytest.mark.parametrize("code", [401, 438])
def test_a_challenge_with_integrity_is_verified(code):
    assert failure(long_term(), error(code, key=KEY)).authenticated
    one = long_term()
    assert not one.handle_response(error(code, key=WRONG), now=0.1)
    assert rest(one) == (6, TransactionTimedOut(TID, integrity_violated=True))


@pytest.mark.req("RFC8489-107")
@TRANSPORTS
def test_an_unprotected_400_was_never_received(reliable):
    one = long_term(reliable=reliable)
    assert not one.handle_response(error(400), now=0.1)
    assert one.refusal is DropReason.BAD_INTEGRITY
    assert rest(one) == (0 if reliable else 6, TransactionTimedOut(TID, integrity_violated=False))


@TRANSPORTS
def test_a_400_that_is_protected_or_answers_a_bare_request_counts(reliable):
    assert failure(long_term(reliable=reliable), error(400, key=KEY)).authenticated
    assert failure(long_term(None, reliable=reliable), error(400)).code == 400


@pytest.mark.req("RFC8489-106")
@TRANSPORTS
@pytest.mark.parametrize(
    ("key", "answer"),
    [
        (None, response(MAPPED, (NONCE, PROMISE))),
        (None, error(500, (NONCE, PROMISE))),
        (KEY, response(MAPPED, (NONCE, PROMISE), key=KEY)),
        (KEY, error(420, (NONCE, PROMISE), key=KEY)),
    ],
    ids=["bare-success", "bare-error", "success", "error"],
)
def test_any_other_response_that_withholds_promised_algorithms_is_ignored(reliable, key, answer):
    one = long_term(key, reliable=reliable)
    assert not one.handle_response(answer, now=0.1)
    assert one.refusal is DropReason.BID_DOWN
    assert rest(one) == (0 if reliable else 6, TransactionTimedOut(TID, integrity_violated=False))


@pytest.mark.parametrize("nonce", NO_PROMISES)
def test_responses_that_keep_their_promises_are_taken(nonce):
    for attributes in ([MAPPED, (NONCE, nonce)], [MAPPED, (NONCE, PROMISE), LISTED]):
        assert long_term(None).handle_response(response(*attributes), now=0.1)
        assert long_term().handle_response(response(*attributes, key=KEY), now=0.1)


def test_without_long_term_credentials_nonces_promise_nothing():
    assert started().handle_response(response(MAPPED, (NONCE, PROMISE)), now=0.1)


@pytest.mark.req("RFC8489-108")
@pytest.mark.parametrize(
    "forged", [response(key=WRONG), response(), error(300), error(403), response((ERROR_CODE, ErrorCode(401)))]
)
def test_other_long_term_responses_need_the_right_integrity(forged):
    one = long_term()
    assert not one.handle_response(forged, now=0.1)
    assert one.refusal is DropReason.BAD_INTEGRITY
    assert rest(one) == (6, TransactionTimedOut(TID, integrity_violated=True))
    one = long_term(reliable=True)
    assert one.handle_response(forged, now=0.1)
    (event,) = one.take_outputs()
    assert (event.cause, event.code, event.authenticated) == (FailureCause.INTEGRITY, None, False)


@TRANSPORTS
@pytest.mark.parametrize("key", [None, KEY])
def test_an_error_without_a_readable_code_is_no_challenge(reliable, key):
    broken = response((Attribute(ERROR_CODE.code, "RAW", shapes.OPAQUE), b"\0\0\7\1"), kind=MessageClass.ERROR)
    bare = response((SOFTWARE, "x"), kind=MessageClass.ERROR)
    for answer in (broken, bare):
        one = long_term(key, reliable=reliable)
        ended = one.handle_response(answer, now=0.1)
        assert ended is (key is None or reliable)
        if ended:
            assert one.take_outputs()[-1].cause is (FailureCause.MALFORMED if key is None else FailureCause.INTEGRITY)


# ------------------------------------------------------------------- streams, ICMP, lost sockets


@pytest.mark.req("RFC8489-031", "RFC8489-032")
def test_over_a_stream_the_request_is_sent_once_and_fails_after_ti():
    one = started(now=10.0, reliable=True)
    assert one.take_outputs() == [SendStream(SOCKET, REQUEST)]
    assert one.deadline() == 49.5
    one.handle_timer(now=49.499)
    assert one.take_outputs() == []
    assert run(one) == [(49.5, TransactionTimedOut(TID))]
    assert run(started(reliable=True, schedule=Schedule(ti=5.0))) == [(5.0, TransactionTimedOut(TID))]


def test_requests_on_one_stream_do_not_wait_for_each_other():
    first, second = (
        started(encode(Method.BINDING, MessageClass.REQUEST, tid), reliable=True, now=now)
        for tid, now in ((TID, 0.0), (OTHER_TID, 0.1))
    )
    assert second.handle_response(response(tid=OTHER_TID), now=0.2)
    assert first.handle_response(response(), now=0.3)


HARD = IcmpError(3, 3)


@pytest.mark.req("RFC8489-027")
@pytest.mark.parametrize("icmp", [HARD, IcmpError(3, 2), IcmpError(1, 4, ipv6=True)])
def test_a_hard_icmp_error_fails_it_at_once(icmp):
    one = started()
    one.take_outputs()
    one.handle_icmp(SOCKET, SERVER, icmp, now=0.1)
    (event,) = one.take_outputs()
    assert (event.id, event.cause, event.code) == (TID, FailureCause.ICMP, None)
    assert one.deadline() == math.inf


@pytest.mark.parametrize(
    ("socket", "destination", "icmp", "options"),
    [
        (SOCKET, SERVER, IcmpError(3, 1), {}),
        (SOCKET, SERVER, IcmpError(11, 0), {}),
        (SocketId(2), SERVER, HARD, {}),
        (SOCKET, Address("192.0.2.2", 3478), HARD, {}),
        (SOCKET, SERVER, HARD, {"reliable": True}),
    ],
)
def test_soft_foreign_and_stream_icmp_errors_change_nothing(socket, destination, icmp, options):
    one = started(**options)
    one.take_outputs()
    before = one.deadline()
    one.handle_icmp(socket, destination, icmp, now=0.1)
    assert (one.take_outputs(), one.deadline()) == ([], before)


@pytest.mark.req("RFC8489-033")
def test_a_lost_socket_fails_it_and_another_ones_does_not():
    one = started(reliable=True)
    one.take_outputs()
    one.handle_socket_failed(SocketId(2), SocketError(SocketErrorKind.RESET), now=0.1)
    assert one.take_outputs() == []
    one.handle_socket_failed(SOCKET, SocketError(SocketErrorKind.RESET, "reset by peer"), now=0.1)
    (event,) = one.take_outputs()
    assert (event.cause, event.reason) == (FailureCause.CLOSED, "reset by peer")


@pytest.mark.req("RFC8489-033")
def test_the_end_of_its_stream_fails_it_and_more_bytes_do_not():
    one = started(reliable=True)
    one.take_outputs()
    one.handle_stream_data(SOCKET, b"...", now=0.1)
    one.handle_stream_data(SocketId(2), b"", now=0.1)
    assert one.take_outputs() == []
    one.handle_stream_data(SOCKET, b"", now=0.1)
    (event,) = one.take_outputs()
    assert event.cause is FailureCause.CLOSED


@pytest.mark.parametrize("begin", [False, True])
def test_before_the_start_and_after_the_end_nothing_matters(begin):
    one = transaction()
    if begin:
        one.start(now=0.0)
        one.handle_response(response(), now=0.1)
        one.take_outputs()
    one.handle_icmp(SOCKET, SERVER, HARD, now=0.2)
    one.handle_socket_failed(SOCKET, SocketError(SocketErrorKind.RESET), now=0.2)
    one.handle_stream_data(SOCKET, b"", now=0.2)
    one.handle_timer(now=100.0)
    assert one.take_outputs() == []


# ------------------------------------------------------------------- cancelling


def test_a_cancelled_transaction_falls_silent_and_is_forgotten_at_its_end():
    one = started()
    one.handle_timer(now=0.5)
    one.take_outputs()
    one.cancel(now=0.6)
    one.cancel(now=0.7)
    assert one.deadline() == 39.5
    assert run(one) == []
    assert one.done


def test_a_late_response_to_a_cancelled_transaction_counts_until_its_end():
    one = started()
    one.take_outputs()
    one.cancel(now=0.1)
    answer = response()
    assert one.handle_response(answer, now=39.4)
    assert one.take_outputs() == [TransactionSucceeded(TID, answer, 39.4)]
    too_late = started()
    too_late.cancel(now=0.1)
    too_late.handle_timer(now=39.5)
    assert not too_late.handle_response(answer, now=39.6)


def test_an_error_response_to_a_cancelled_transaction_is_told():
    one = started()
    one.cancel(now=0.1)
    assert failure(one, error(487)).code == 487


def test_cancelling_before_the_start_ends_it():
    one = transaction()
    one.cancel(now=0.0)
    assert (one.state, one.take_outputs(), one.deadline()) == (TransactionState.DONE, [], math.inf)
    one.cancel(now=0.1)
    with pytest.raises(LocalProtocolError, match="starts once"):
        one.start(now=0.2)


# ------------------------------------------------------------------- the caller's mistakes


def test_it_starts_once():
    one = started()
    one.take_outputs()
    with pytest.raises(LocalProtocolError, match="starts once"):
        one.start(now=0.1)
    assert (one.take_outputs(), one.deadline()) == ([], 0.5)


@pytest.mark.parametrize(
    ("request_bytes", "options", "complaint"),
    [
        (b"hello", {}, "no STUN request"),
        (encode(Method.BINDING, MessageClass.INDICATION, TID), {}, "no request"),
        (encode(Method.BINDING, MessageClass.SUCCESS, TID), {}, "no request"),
        (PROTECTED, {}, "needs its key"),
        (REQUEST, {"key": KEY}, "needs its key"),
    ],
)
def test_what_is_no_request_or_does_not_fit_the_key_is_refused(request_bytes, options, complaint):
    with pytest.raises(LocalProtocolError, match=complaint):
        transaction(request_bytes, **options)


def test_the_table_of_transitions_is_whole():
    states = {source for source, _ in TRANSACTION_TRANSITIONS} | set(TRANSACTION_TRANSITIONS.values())
    assert states == set(TransactionState)
    for state in TransactionState:
        assert (state, TransactionInput.CANCEL) in TRANSACTION_TRANSITIONS
        live = state in (TransactionState.RUNNING, TransactionState.CANCELLED)
        assert ((state, TransactionInput.END) in TRANSACTION_TRANSITIONS) is live
        assert ((state, TransactionInput.START) in TRANSACTION_TRANSITIONS) is (state is TransactionState.IDLE)


def test_events_show_ids_as_hex():
    assert repr(TransactionTimedOut(TID)) == "TransactionTimedOut(id=000102030405060708090a0b, integrity_violated=False)"
    assert transaction().id == TID


@pytest.mark.parametrize("options", [{}, {"reliable": True}, {"long_term": True}], ids=["udp", "stream", "long-term"])
def test_it_keeps_the_contract_of_machines(options):
    answers = [response(), response(key=KEY), response(key=WRONG), error(420, key=KEY), error(401), response(tid=OTHER_TID)]
    check_machine(
        lambda entropy: transaction(PROTECTED, key=short_term_key("password"), **options),
        setup=lambda one, now: one.start(now=now),
        commands={"start": [()], "cancel": [()], "handle_response": [(answer,) for answer in answers]},
        sockets=[SOCKET],
        secrets=lambda one: ["password"],
        max_examples=30,
        flood=200,
    )
