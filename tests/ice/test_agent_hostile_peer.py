"""What a hostile peer, or a stranger, can do to agents of every kind: a bounded amount of memory, of datagrams, and no harm.

Each attack is tried on a full agent, a lite one, one with a relay, and one with two streams of which a restart is in progress;
afterwards the honest peer must still connect, unless the test says why not.
"""

import itertools

import pytest

from ice._victim import FULL, KINDS, LITE, PEER, RELAYED, RENEWED, RESTARTING, SERVER, Victim, growth
from ice._wire import OURS, STRANGER as WRONG_KEY, THEIRS, at, candidate
from sansice.ice import Candidate, Credentials, IceConfig, IceState
from sansice.machine import Address, DropReason, LocalProtocolError, Transport
from sansice.stun import (
    ERROR_CODE,
    ICE_CONTROLLED,
    ICE_CONTROLLING,
    MessageClass,
    Method,
    TransactionId,
    decode_untrusted,
    encode,
)

every_kind = pytest.mark.parametrize("kind", KINDS)
ANEW = Credentials("theirNew", "theirNewPasswordIsTwentyTwo")
ROOM = 4000  # bytes that one more wave of an attack may leave: what a table happens to have grown by


def addresses(count, port=7000):
    """So many addresses of strangers."""
    return [Address(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", port) for number in range(1, count + 1)]


def everything_told(victim):
    return len(victim.agent.remote_candidates) + len(victim.agent.pairs)


@every_kind
def test_candidates_of_nonsense_are_counted_and_not_used(kind):
    victim = Victim.of(kind)
    victim.tell(credentials=ANEW if kind == RESTARTING else THEIRS)
    before = everything_told(victim), len(victim.sent)
    wrong = [
        candidate("198.51.100.9", 0),
        candidate("0.0.0.0", 5000),
        candidate("255.255.255.255", 5000),
        candidate("224.0.0.1", 5000),
        candidate("ff02::1", 5000),
        candidate("::", 5000),
        candidate("198.51.100.9", 5000, transport=Transport.TCP),
        candidate("198.51.100.9", 5000, component=200),
    ]
    for one in wrong:
        assert victim.call(victim.agent.add_remote_candidate, one) is False
    victim.tell(*wrong)
    victim.run(1.0)
    assert everything_told(victim) == before[0]
    assert victim.agent.stats.dropped[DropReason.UNUSABLE_CANDIDATE] >= len(wrong)
    assert {one.destination.host for _, one in victim.sent[before[1] :]} <= {PEER.host, SERVER.host}
    assert victim.connects()


@pytest.mark.parametrize(
    "text",
    [
        "candidate:1 1 udp 1 198.51.100.9 70000 typ host",
        "candidate:1 1 udp 1 198.51.100.9 -1 typ host",
        "candidate:1 257 udp 1 198.51.100.9 5000 typ host",
        "candidate:1 0 udp 1 198.51.100.9 5000 typ host",
        "candidate:1 1 udp 4294967296 198.51.100.9 5000 typ host",
        "candidate:1 1 udp 1 198.51.100.9 5000 typ nonsense",
        "candidate:1 1 udp 1 198.51.100.9 5000",
        "candidate:",
        "",
        "\0" * 100,
        "candidate:" + "1" * 65_536 + " 1 udp 1 198.51.100.9 5000 typ host",
    ],
)
def test_text_that_is_no_candidate_is_a_value_error(text):
    with pytest.raises(ValueError, match=r"."):
        Candidate.from_sdp(text)


@every_kind
def test_candidate_of_an_unknown_transport_is_a_value_error(kind):
    victim = Victim.of(kind)
    before = everything_told(victim)
    with pytest.raises(ValueError, match="sctp"):
        victim.call(victim.agent.add_remote_candidate, Candidate.from_sdp("candidate:1 1 sctp 1 198.51.100.9 5000 typ host"))
    assert everything_told(victim) == before


@every_kind
def test_ten_thousand_remote_candidates_are_bounded_and_their_checks_paced(kind):
    victim = Victim.of(kind)
    if kind == RESTARTING:
        victim.tell(credentials=ANEW)
    config = IceConfig()
    for number, address in enumerate(addresses(10_000)):
        victim.call(victim.agent.add_remote_candidate, candidate(address.host, address.port, foundation=f"x{number}"))
    assert len(victim.agent.remote_candidates) <= victim.streams * 2 * config.max_remote_candidates
    assert len(victim.agent.pairs) <= config.max_pairs * victim.streams + 4
    assert victim.agent.stats.dropped[DropReason.LIMIT] > 9000
    victim.forget()
    victim.run(2.0)
    fresh = {one.data for _, one in victim.checks_sent()}
    assert len(fresh) <= 2.0 / config.ta + 1
    assert victim.connects()


@pytest.mark.long
@every_kind
def test_ten_thousand_addresses_with_the_right_password_leave_a_bounded_amount(kind):
    victim = Victim.of(kind)
    config = IceConfig()
    sources = addresses(10_000)

    def flood(count=1000):
        for source in sources[:count]:
            victim.arrive(source, victim.check(nominate=victim.next() % 2 == 0))

    flood(len(sources))
    before = victim.bytes_in
    assert len(victim.agent.remote_candidates) <= 4 + 2 * config.max_peer_reflexive
    # Each is answered with less than it sent; what is checked in return is paced, and forgotten with its source.
    assert victim.bytes_out <= victim.bytes_in
    assert growth(victim, flood) < ROOM
    victim.bytes_out = 0
    victim.run(30.0)
    assert victim.bytes_out < before / 10
    if kind == RESTARTING:
        victim.tell(credentials=ANEW)
    if kind != LITE:  # its peer is the flood, that nominated whatever it liked
        assert victim.connects()


@pytest.mark.parametrize("kind", [FULL, RELAYED, RESTARTING])
def test_one_check_with_the_right_password_makes_the_agent_send_a_few_hundred_bytes_at_most(kind):
    """Who knows the password can have an address checked that is not its: once, and repeated as RFC 8489 6.2.1 says."""
    victim = Victim.of(kind)
    victim.run(45.0)
    victim.bytes_out = 0
    target = at("10.9.9.9", 9)
    data = victim.check()
    victim.forget()
    victim.arrive(target, data)
    victim.run(60.0)
    sent = sum(len(one.data) for _, one in victim.sent if one.destination == target)
    assert 0 < sent <= 10 * len(data)


@every_kind
def test_flood_of_wrong_passwords_leaves_nothing_and_is_answered_with_less(kind):
    victim = Victim.of(kind)
    sources = addresses(1000)
    before = everything_told(victim), victim.agent.state

    def flood():
        for source in sources:
            victim.arrive(source, victim.check(key=WRONG_KEY, nominate=True))

    flood()
    assert victim.agent.stats.dropped[DropReason.BAD_INTEGRITY] == len(sources)
    assert victim.bytes_out < victim.bytes_in / 2
    assert growth(victim, flood) < ROOM
    assert (everything_told(victim), victim.agent.state) == before
    if kind == RESTARTING:
        victim.tell(credentials=ANEW)
    assert victim.connects()


@every_kind
def test_least_request_of_a_stranger_is_answered_with_little_more_than_it_is(kind):
    victim = Victim.of(kind)
    least = encode(Method.BINDING, MessageClass.REQUEST, TransactionId(b"stranger----"), fingerprint=True)
    for source in addresses(100):
        victim.arrive(source, least)
    assert 0 < victim.bytes_out <= 1.5 * victim.bytes_in


@every_kind
def test_check_that_is_replayed_from_a_thousand_addresses_makes_no_more_of_itself(kind):
    victim = Victim.of(kind)
    data = victim.check(tid=77, nominate=True)
    sources = [PEER, *addresses(300)]

    def flood():
        for source in sources:
            victim.arrive(source, data)

    flood()
    assert len(victim.agent.remote_candidates) <= 4 + IceConfig().max_peer_reflexive + 1
    assert victim.bytes_out <= victim.bytes_in
    assert growth(victim, flood) < ROOM
    if kind == LITE:
        assert [pair.remote.address for pair in victim.agent.pairs] == [PEER]
    else:
        if kind == RESTARTING:
            victim.tell(credentials=ANEW)
        assert victim.connects()


@pytest.mark.parametrize("kind", [FULL, RELAYED, RESTARTING])
def test_peer_that_answers_487_to_everything_gets_paced_checks_and_then_none(kind):
    victim = Victim.of(kind)
    if kind == RESTARTING:
        victim.tell(credentials=ANEW, complete=True)
    else:
        victim.tell(complete=True)
    answered = set()
    start = victim.now

    def contradict():
        for _, one in victim.checks_sent():
            if one.data not in answered and one.destination.host == PEER.host:
                answered.add(one.data)
                victim.arrive(one.destination, victim.answer_of(one, code=487), one.socket)

    for _ in range(1200):
        contradict()
        victim.run(0.05)
    times = [when for when, one in victim.checks_sent() if when > start and one.data in answered]
    assert len(answered) < 60
    assert all(later - earlier > 0.9 * IceConfig().ta for earlier, later in itertools.pairwise(sorted(set(times))))
    assert times[-1] < start + 45.0


@pytest.mark.parametrize("controlling", [True, False])
def test_lite_agent_says_487_once_for_each_check_that_contradicts_it(controlling):
    victim = Victim.of(LITE)
    role = ICE_CONTROLLED if not controlling else ICE_CONTROLLING
    for number in range(500):
        before = len(victim.sent)
        content = victim.check(tid=number).replace(b"\x80\x2a\x00\x08", role.code.to_bytes(2, "big") + b"\x00\x08")
        victim.arrive(PEER, content)
        assert len(victim.sent) <= before + 1
    assert victim.bytes_out <= victim.bytes_in
    assert victim.agent.role.value == "controlled"
    assert victim.connects()


@pytest.mark.parametrize("kind", [FULL, RELAYED, RESTARTING])
def test_responses_from_other_addresses_select_nothing(kind):
    victim = Victim.of(kind)
    if kind == RESTARTING:
        victim.tell(credentials=ANEW)
    for _ in range(20):
        for _, one in victim.checks_sent():
            victim.arrive(at("203.0.113.66", 6), victim.answer_of(one), one.socket)
        victim.run(0.05)
    assert all("203.0.113.66" not in str(one.address) for one in victim.agent.remote_candidates)
    assert all(one.remote.address.host == PEER.host for one in victim.agent.pairs)
    assert victim.agent.stats.dropped[DropReason.WRONG_SOURCE] > 0
    assert victim.agent.selected_pair is None or kind == RESTARTING


@every_kind
@pytest.mark.parametrize("size", [0, 1, 19, 20, 65_507, 65_535])
def test_datagrams_of_no_size_and_of_64_kib_are_dropped(kind, size):
    victim = Victim.of(kind)
    state = victim.agent.state
    for first in (b"", b"\x00\x01", b"\x01\x01", b"\x40\x00", b"\x80", b"\xff"):
        data = (first + bytes(size))[:size]
        for source in (at("203.0.113.66", 6), PEER, SERVER):
            victim.arrive(source, data)
            victim.relay(PEER, data[:65_000])
    assert victim.agent.state is state
    assert victim.bytes_out == 0 or victim.bytes_out < victim.bytes_in
    if kind == RESTARTING:
        victim.tell(credentials=ANEW)
    assert victim.connects()


@every_kind
def test_description_that_changes_in_mid_check_begins_anew_and_what_was_under_way_is_nobodys(kind):
    victim = Victim.of(kind)
    running = victim.checks_sent()[-1:]
    late = [victim.answer_of(one) for _, one in running]
    for number in range(50):
        victim.tell(credentials=Credentials(f"again{number}", f"againAndAgainPassword{number:04}"))
    for data in late:
        victim.arrive(PEER, data)
    assert victim.agent.selected_pair is None or kind == RESTARTING
    assert len(victim.agent.remote_candidates) <= 8
    assert victim.connects()


@pytest.mark.long
@every_kind
def test_peer_that_restarts_without_end_leaves_a_bounded_amount(kind):
    victim = Victim.of(kind)
    numbers = itertools.count()

    def restarts():
        for _ in range(30):
            number = next(numbers)
            credentials = Credentials(f"n{number:06}", f"passwordOfSomeLength{number:06}")
            victim.tell(
                *(candidate(f"10.{number % 250}.3.{one}", foundation=f"n{one}") for one in range(1, 20)), credentials=credentials
            )
            victim.run(0.3)

    restarts()
    assert growth(victim, restarts, waves=5) < ROOM
    assert victim.connects()


@every_kind
def test_end_of_candidates_before_any_candidate_is_an_end(kind):
    victim = Victim.of(kind, known=False) if kind != RESTARTING else Victim.of(kind)
    theirs = ANEW if kind == RESTARTING else THEIRS
    victim.call(victim.agent.end_of_candidates, ufrag=theirs.ufrag)
    victim.call(victim.agent.end_of_candidates)
    victim.tell(credentials=theirs)
    assert victim.call(victim.agent.add_remote_candidate, candidate("198.51.100.7")) is False
    assert victim.connects()


@pytest.mark.long
@every_kind
def test_thousands_of_ends_and_candidates_before_the_description_are_bounded(kind):
    victim = Victim.of(kind, known=False) if kind != RESTARTING else Victim.of(kind)

    def trickle():
        for number in range(1000):
            ufrag = f"nobody{number}"
            victim.call(victim.agent.end_of_candidates, ufrag=ufrag)
            victim.call(victim.agent.add_remote_candidate, candidate("198.51.100.7", 1 + number), ufrag=ufrag)

    trickle()
    assert growth(victim, trickle) < ROOM
    victim.tell(credentials=ANEW if kind == RESTARTING else THEIRS)
    assert victim.connects()


@every_kind
def test_two_nominations_at_once_select_one_pair_and_it_is_the_one_in_use(kind):
    victim = Victim.of(kind)
    if kind == RESTARTING:
        victim.tell(credentials=ANEW)
    first, second = at(PEER.host, PEER.port + 1), at(PEER.host, PEER.port + 9)
    victim.honest = True
    for source in (first, second, second, first):
        victim.arrive(source, victim.check(nominate=True))
    assert victim.connects()
    selected = victim.agent.selected_pair
    assert selected.remote.address in (first, second)
    victim.call(victim.agent.send, b"\x80")
    assert victim.sent[-1][1].destination == selected.remote.address


@every_kind
def test_sending_before_connecting_and_after_closing_is_refused_without_a_trace(kind):
    victim = Victim.of(kind)
    if kind == RESTARTING:  # it sends on what it had before
        victim.call(victim.agent.send, b"\x80still")
    else:
        with pytest.raises(LocalProtocolError):
            victim.call(victim.agent.send, b"\x80too soon")
    victim.call(victim.agent.close)
    victim.run(40.0)
    sent = len(victim.sent)
    with pytest.raises(LocalProtocolError):
        victim.call(victim.agent.send, b"\x80too late")
    victim.arrive(PEER, victim.check(nominate=True))
    victim.arrive(PEER, b"\x80data")
    victim.run(3600.0)
    assert len(victim.sent) == sent
    assert victim.agent.state is IceState.CLOSED and not victim.agent.lingers


@every_kind
@pytest.mark.parametrize("connected", [False, True])
def test_clock_that_jumps_an_hour_ends_in_no_burst_and_consent_is_over(kind, connected):
    victim = Victim.of(kind)
    if kind == RESTARTING:
        victim.tell(credentials=ANEW)
    if connected:
        assert victim.connects()
        victim.honest = False
    victim.forget()
    victim.now += 3600.0
    if connected:
        with pytest.raises(LocalProtocolError):
            victim.call(victim.agent.send, b"\x80")
    if victim.agent.deadline() <= victim.now:
        victim.call(victim.agent.handle_timer)
    assert victim.agent.deadline() > victim.now
    assert len(victim.sent) <= 8 * victim.streams
    victim.run(60.0)
    assert len(victim.sent) < 200
    victim.call(victim.agent.restart)
    victim.tell(credentials=Credentials("awake", "awakeAgainPasswordIsLong"))
    assert victim.connects()


def test_checks_of_a_generation_that_is_over_are_refused_when_the_new_one_has_its_pairs():
    victim = Victim.of(RESTARTING)
    old = victim.check(ours=OURS)
    victim.tell(credentials=ANEW)
    assert victim.connects()
    victim.run(2 * IceConfig().free_delay)
    assert victim.agent.credentials == RENEWED
    before = len(victim.sent)
    victim.arrive(PEER, old)
    (answer,) = [decode_untrusted(one.data) for _, one in victim.sent[before:]]
    assert answer.get(ERROR_CODE).code == 401
