"""Names of our own: announced, answered for, and taken back."""

import itertools

import pytest

from ice._mdns import GROUP4, GROUP6, LEGACY, NAME, OURS, PEER, THIRD, MdnsBench
from sansice.ice import HostAddress, MdnsConfig, mdns_name
from sansice.ice._mdns._message import AAAA, ANY, NSEC, A, HostRecord, Question, encode_query
from sansice.machine import DropReason


def answers(sent):
    return [one.message.answers_untrusted() for one in sent]


def truncated(data):
    return data[:2] + b"\x02\0" + data[4:]


@pytest.mark.req("MDNS-003")
def test_a_name_is_announced_twice_without_asking_whether_it_is_in_use():
    bench = MdnsBench(OURS)
    name = bench.do("register", OURS)
    assert bench.sent == []  # and the name is there
    first, second = bench.wait(10)
    assert 100.02 <= first.time <= 100.12 and second.time == pytest.approx(first.time + 1)
    for sent in (first, second):
        assert (sent.socket, sent.destination) == (1, GROUP4)
        assert sent.message.answers_untrusted() == [HostRecord(name, OURS, 120)]


@pytest.mark.req("MDNS-003")
def test_a_name_that_nobody_can_be_told_is_there_all_the_same():
    bench = MdnsBench(OURS, opens=False)
    assert bench.do("register", OURS).endswith(".local") and bench.do("register", "10.0.0.1").endswith(".local")
    assert bench.wait(10) == []


def test_names_are_announced_on_a_link_that_comes_up_later():
    bench = MdnsBench()
    name = bench.do("register", OURS)
    bench.wait(50)
    bench.do("update_addresses", [OURS])
    assert [sent.names for sent in bench.wait(10)] == [[name]] * 2
    bench.do("update_addresses", [OURS, "10.0.0.1"])
    assert bench.wait(10) == []  # another link is of no concern to it


def test_many_names_are_announced_together():
    bench = MdnsBench(OURS)
    names = [bench.do("register", OURS, session=f"page {number}") for number in range(30)]
    bench.wait(10)
    assert sorted(name for sent in bench.sent for name in sent.names) == sorted(names * 2)


def test_a_question_is_answered_at_once_by_multicast():
    bench = MdnsBench(OURS)
    name = bench.registered()
    for type in (A, AAAA, ANY, NSEC):
        bench.wait(2)
        (sent,) = bench.ask(name.upper(), type)
        assert (sent.time, sent.destination) == (bench.now, GROUP4)
        assert sent.message.answers_untrusted() == [HostRecord(name, OURS, 120)]


def test_a_record_is_multicast_once_a_second_and_who_asks_meanwhile_is_answered_then():
    bench = MdnsBench(OURS)
    name = bench.registered()
    (first,) = bench.ask(name)
    bench.wait(0.3)
    assert bench.ask(name) == [] == bench.ask(name, source=THIRD)
    (second,) = bench.wait(5)
    assert second.time == first.time + 1


def test_an_announcement_makes_no_answer_come_sooner_than_a_second_later():
    bench = MdnsBench(OURS)
    name = bench.do("register", OURS)
    bench.ask(name)
    bench.wait(5)
    assert [sent.time for sent in bench.sent] == [100.0, 101.0, 102.0]


@pytest.mark.parametrize("ttl", [60, 120])
def test_who_knows_the_answer_is_not_told_again(ttl):
    bench = MdnsBench(OURS)
    name = bench.registered()
    assert bench.ask(name, known=[HostRecord(name, OURS, ttl)]) == []
    assert bench.wait(5) == []


@pytest.mark.parametrize("known", [(OURS, 59), ("192.168.1.9", 120)], ids=["hardly", "wrong"])
def test_who_knows_it_badly_is_told(known):
    bench = MdnsBench(OURS)
    name = bench.registered()
    assert len(bench.ask(name, known=[HostRecord(name, *known)])) == 1


def test_who_knows_of_others_is_told():
    bench = MdnsBench(OURS)
    name = bench.registered()
    assert len(bench.ask(name, known=[HostRecord(NAME, OURS, 120)])) == 1


def test_who_has_more_to_say_is_waited_for():
    bench = MdnsBench(OURS)
    name = bench.registered()
    asked = truncated(encode_query([Question(name, A)]))
    bench.tell(asked)
    (sent,) = bench.wait(5)
    assert 0.4 <= sent.time - (bench.now - 5) <= 0.5


@pytest.mark.parametrize(("source", "left"), [(PEER, 0), (THIRD, 1)])
def test_what_follows_from_the_same_asker_takes_the_question_back(source, left):
    bench = MdnsBench(OURS)
    name = bench.registered()
    bench.tell(truncated(encode_query([Question(name, A)])))
    bench.tell(encode_query([], [HostRecord(name, OURS, 120)]), source)
    assert len(bench.wait(5)) == left


@pytest.mark.parametrize("taker", [PEER, THIRD])
def test_what_another_asks_as_well_leaves_in_any_case(taker):
    bench = MdnsBench(OURS)
    name = bench.registered()
    for source in (PEER, THIRD):
        bench.tell(truncated(encode_query([Question(name, A)])), source)
    bench.tell(encode_query([], [HostRecord(name, OURS, 120)]), taker)
    assert len(bench.wait(5)) == 1


def test_who_asks_twice_can_still_take_the_question_back_and_the_second_time_delays_nothing():
    bench = MdnsBench(OURS)
    name = bench.registered()
    asked = truncated(encode_query([Question(name, A)]))
    bench.tell(asked)
    due = bench.agent.deadline()
    bench.wait(0.3)
    bench.tell(asked)
    assert bench.agent.deadline() == due
    bench.tell(encode_query([], [HostRecord(name, OURS, 120)]))
    assert bench.wait(5) == []


def test_known_answers_to_nothing_are_passed_over():
    bench = MdnsBench(OURS)
    name = bench.registered()
    bench.tell(encode_query([], [HostRecord(name, OURS, 120)]))
    assert bench.wait(5) == []


def test_who_asks_for_unicast_gets_it_while_the_others_have_heard_it_lately():
    bench = MdnsBench(OURS)
    name = bench.registered()
    (sent,) = bench.ask(name, unicast=True)
    assert sent.destination == PEER and sent.message.answers_untrusted() == [HostRecord(name, OURS, 120)]
    bench.wait(30)
    (sent,) = bench.ask(name, unicast=True)
    assert sent.destination == GROUP4


def test_who_asks_before_the_announcement_hears_it_by_multicast():
    bench = MdnsBench(OURS)
    (sent,) = bench.ask(bench.do("register", OURS), unicast=True)
    assert sent.destination == GROUP4


@pytest.mark.parametrize("type", [A, ANY])
def test_a_program_that_knows_only_unicast_dns_gets_what_it_understands(type):
    bench = MdnsBench(OURS)
    name = bench.registered()
    bench.tell(encode_query([Question(name, type, unicast=True)], id=77), LEGACY)
    sent = bench.sent[-1]
    assert (sent.destination, sent.message.id) == (LEGACY, 77)
    assert sent.message.questions_untrusted() == [Question(name, type)]
    assert sent.message.hosts_untrusted() == [HostRecord(name, OURS, 10, flush=False)]


def test_such_a_program_is_told_nothing_of_the_other_family():
    bench = MdnsBench(OURS)
    name, other = bench.registered(), bench.registered(session="another")
    assert bench.ask(name, AAAA, source=LEGACY) == [] == bench.wait(5)
    bench.tell(encode_query([Question(name, A), Question(other, AAAA)]), LEGACY)
    assert bench.sent[-1].names == [name]


def test_such_a_program_is_told_no_longer_time_to_live_than_others():
    bench = MdnsBench(OURS, config=MdnsConfig(ttl=5))
    (sent,) = bench.ask(bench.registered(), source=LEGACY)
    assert [record.ttl for record in sent.message.answers_untrusted()] == [5]


@pytest.mark.parametrize(("source", "unicast"), [(PEER, True), (LEGACY, False)], ids=["unicast", "legacy"])
def test_a_flood_of_questions_makes_no_flood_of_answers(source, unicast):
    bench = MdnsBench(OURS, config=MdnsConfig(max_unicast_answers=5))
    name = bench.registered()
    assert sum(len(bench.ask(name, source=source, unicast=unicast)) for _ in range(100)) == 5
    assert bench.agent.stats.dropped == {DropReason.RATE_LIMITED: 95}
    bench.wait(1)
    assert len(bench.ask(name, source=source, unicast=unicast)) == 1


def test_a_flood_of_questions_makes_one_multicast_a_second():
    bench = MdnsBench(OURS)
    name = bench.registered()
    before = len(bench.sent)
    for _ in range(550):
        bench.ask(name)
        bench.wait(0.01)
    times = [sent.time for sent in bench.sent[before:]]
    assert [b - a for a, b in itertools.pairwise(times)] == pytest.approx([1] * 5)


def test_names_of_others_are_answered_by_others():
    bench = MdnsBench(OURS)
    bench.registered()
    assert bench.ask(NAME) == [] == bench.wait(5)


def test_many_names_asked_together_are_answered_in_messages_that_fit():
    bench = MdnsBench(OURS)
    names = [bench.do("register", OURS, session=str(number)) for number in range(30)]
    bench.wait(5)
    before = len(bench.sent)
    bench.tell(encode_query([Question(name, A) for name in names]))
    sent = bench.sent[before:]
    assert [len(one.names) for one in sent] == [12, 12, 6]
    assert max(len(one.message._data) for one in sent) <= 1232  # of IPv6's least MTU the headers leave so much


@pytest.mark.parametrize("unicast", [True, False])
def test_an_answer_by_unicast_has_no_more_than_fits(unicast):
    bench = MdnsBench(OURS)
    names = [bench.do("register", OURS, session=str(number)) for number in range(30)]
    bench.wait(5)
    bench.tell(encode_query([Question(name, A, unicast) for name in names]), PEER if unicast else LEGACY)
    assert [len(one.names) for one in bench.sent[-1:]] == [12]
    assert len(bench.sent[-1].message._data) <= 1232


def test_a_name_is_told_on_the_link_of_its_address_alone():
    hosts = [HostAddress("192.168.1.1", "eth0"), HostAddress("fe80::1%eth0", "eth0"), HostAddress("10.0.0.1", "wlan0")]
    bench = MdnsBench(*hosts)
    name = bench.registered("192.168.1.1")
    assert {sent.destination: sent.socket for sent in bench.sent} == {GROUP4: 1, GROUP6: 2}
    assert [len(bench.ask(name, socket=socket)) for socket in (1, 2, 3)] == [1, 1, 0]


def test_the_zone_of_an_address_is_not_told():
    bench = MdnsBench(HostAddress("fe80::1%eth0", "eth0"))
    name = bench.registered("fe80::1%eth0")
    assert bench.sent[-1].message.answers_untrusted() == [HostRecord(name, "fe80::1", 120)]
    assert bench.ask(name, AAAA, known=[HostRecord(name, "fe80::1", 120)]) == []


def test_a_name_that_is_withdrawn_says_goodbye_where_it_was_told():
    bench = MdnsBench(OURS, "10.0.0.1")
    name = bench.registered()
    before = len(bench.sent)
    bench.do("withdraw", name.upper())
    (goodbye,) = bench.sent[before:]
    assert (goodbye.socket, goodbye.message.answers_untrusted()) == (1, [HostRecord(name, OURS, 0)])
    assert bench.ask(name) == [] == bench.wait(100)
    assert not any(link.told for link in bench.agent._links.values())  # nothing is kept of it


def test_a_name_that_was_never_told_goes_without_a_word():
    bench = MdnsBench(OURS)
    bench.do("withdraw", bench.do("register", OURS))
    bench.do("withdraw", NAME)
    assert bench.wait(10) == []


def test_what_was_to_be_answered_is_forgotten_with_the_name():
    bench = MdnsBench(OURS)
    name = bench.registered()
    bench.ask(name)
    assert bench.ask(name) == []  # due in a second
    bench.do("withdraw", name)
    assert [record.ttl for sent in bench.sent[-1:] for record in sent.message.answers_untrusted()] == [0]
    assert bench.wait(10) == []


def test_a_hostile_host_that_claims_our_name_changes_nothing():
    bench = MdnsBench(OURS)
    name = bench.registered()
    bench.answer(name, "192.168.1.66")
    assert len(bench.agent._querier.cache) == 0  # nor do our own announcements, which we hear, take room there
    query = bench.do("resolve", name)
    assert (bench.events[-1].query, bench.events[-1].host) == (query, OURS)
    assert len(bench.ask(name)) == 1


def test_malformed_questions_are_counted():
    bench = MdnsBench(OURS)
    bench.tell(b"\0" * 4 + b"\0\x01" + b"\0" * 6 + b"\xc0\x0c\0\x01\0\x01")
    assert bench.agent.stats.dropped == {DropReason.NOT_MDNS: 1}


def test_names_of_a_session_are_of_that_session():
    bench = MdnsBench(OURS)
    one, two = (bench.do("register", OURS, session=session) for session in ("one", "two"))
    assert one != two != mdns_name()
    bench.wait(5)
    bench.do("end_session", "one")
    assert bench.agent.names == (two,) and bench.sent[-1].names == [one]
