"""Looking for names: when is asked, and what comes of the answers."""

import math

import pytest

from ice._mdns import GROUP4, NAME, OTHER_NAME, OURS, PEER, MdnsBench
from sansice.ice import MdnsConfig, NameFailed, NameFailure, NameResolved, mdns_name
from sansice.ice._mdns._message import AAAA, A, HostRecord, Question, encode_response
from sansice.machine import DropReason

FRESH = MdnsConfig().query_timeout


def looking(*names, **options):
    """A bench that looks for names, and their queries."""
    bench = MdnsBench(OURS, **options)
    return bench, [bench.do("resolve", name) for name in names]


def failures(bench):
    return [(event.query, event.reason) for event in bench.events if isinstance(event, NameFailed)]


def test_an_answer_tells_the_address():
    bench, (query,) = looking(NAME)
    bench.wait(0.5)
    bench.answer(NAME, "192.168.1.2")
    assert bench.told == [(100.5, NameResolved(query, NAME, "192.168.1.2"))]
    assert bench.wait(100) == [] and bench.agent.deadline() == math.inf


def test_questions_leave_after_a_moment_and_then_ever_more_seldom_until_it_is_given_up():
    bench, (query,) = looking(NAME)
    bench.wait(100)
    first, *gaps = bench.sent[0].time, *(b.time - a.time for a, b in zip(bench.sent, bench.sent[1:], strict=False))
    assert 100.02 <= first <= 100.12 and gaps == pytest.approx([1, 2, 4])
    for sent in bench.sent:
        assert (sent.destination, sent.message.id) == (GROUP4, 0)
        assert sent.message.questions_untrusted() == [Question(NAME, A), Question(NAME, AAAA)]
    assert bench.told == [(100 + FRESH, NameFailed(query, NAME, NameFailure.TIMEOUT))]


def test_a_search_without_an_end_asks_once_an_hour_at_last():
    bench = MdnsBench(OURS)
    bench.do("resolve", NAME, timeout=math.inf)
    bench.wait(100_000)
    gaps = [b.time - a.time for a, b in zip(bench.sent, bench.sent[1:], strict=False)]
    assert gaps[:13] == pytest.approx([1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 3600])
    assert len(gaps) > 30 and gaps[13:] == pytest.approx([3600] * len(gaps[13:]))
    assert bench.told == []


def test_names_that_come_together_are_asked_for_together():
    names = [mdns_name() for _ in range(20)]
    bench, _ = looking(*names)
    bench.wait(0.5)
    assert [sent.names for sent in bench.sent] == [names[:16], names[16:]]
    bench.do("resolve", OTHER_NAME)
    assert [sent.names for sent in bench.wait(0.2)] == [[OTHER_NAME]]


def test_all_who_wait_for_a_name_are_told_and_it_is_asked_for_once():
    bench, queries = looking(NAME, NAME.upper(), NAME)
    bench.wait(0.5)
    assert len(bench.sent) == 1
    bench.answer(NAME, "192.168.1.2")
    assert bench.events == [NameResolved(query, NAME, "192.168.1.2") for query in queries]


def test_each_waits_for_a_time_of_his_own():
    bench, (patient,) = looking(NAME)
    hasty = bench.do("resolve", NAME, timeout=0.5)
    bench.wait(1)
    assert failures(bench) == [(hasty, NameFailure.TIMEOUT)]
    bench.answer(NAME, "192.168.1.2")
    assert bench.events[-1].query == patient


def test_who_has_cancelled_is_told_nothing_and_the_last_ends_the_asking():
    bench, (one, two) = looking(NAME, NAME)
    bench.do("cancel", one)
    bench.do("cancel", one)
    assert len(bench.wait(0.5)) == 1
    bench.do("cancel", two)
    assert bench.wait(100) == [] and bench.told == []


def test_the_first_question_may_ask_for_unicast_and_later_ones_do_not():
    bench, _ = looking(NAME, config=MdnsConfig(ask_unicast=True))
    bench.wait(5)
    assert [[one.unicast for one in sent.message.questions_untrusted()] for sent in bench.sent] == [[True] * 2] + [
        [False] * 2
    ] * 2


def test_every_link_is_asked():
    bench = MdnsBench(OURS, "2001:db8::1")
    bench.do("resolve", NAME)
    assert [(sent.socket, sent.destination.host) for sent in bench.wait(0.5)] == [(1, "224.0.0.251"), (2, "ff02::fb")]


def test_without_a_link_a_name_is_given_up_in_time():
    bench = MdnsBench()
    query = bench.do("resolve", NAME)
    assert bench.wait(10) == [] and failures(bench) == [(query, NameFailure.TIMEOUT)]


def test_what_is_looked_for_when_the_machine_closes_has_failed_once_and_is_forgotten():
    bench, (query,) = looking(NAME)
    bench.do("close")
    assert bench.agent.deadline() == math.inf and bench.wait(100) == []
    assert failures(bench) == [(query, NameFailure.CLOSED)]


def test_as_many_names_are_looked_for_as_the_bound_and_a_known_one_by_any_number():
    bench, queries = looking(NAME, OTHER_NAME, config=MdnsConfig(max_searches=2))
    again, over = bench.do("resolve", NAME), bench.do("resolve", mdns_name())
    assert failures(bench) == [(over, NameFailure.LIMIT)]
    bench.wait(10)
    assert [query for query, _ in failures(bench)[1:]] == [*queries, again]


@pytest.mark.req("MDNS-010")
@pytest.mark.parametrize("name", ["printer.local", "x.example", "", "a" * 10_000, f"{NAME}.", "\0.local", "é.local"])
def test_a_name_of_another_form_is_never_asked_for(name):
    bench, (query,) = looking(name)
    assert bench.events == [NameFailed(query, name, NameFailure.UNFIT)]
    assert bench.wait(10) == []


def test_what_was_announced_is_known_at_once():
    bench = MdnsBench(OURS)
    bench.answer(NAME, "192.168.1.2")
    query = bench.do("resolve", NAME)
    assert bench.told == [(100.0, NameResolved(query, NAME, "192.168.1.2"))] and bench.wait(10) == []


def test_a_record_that_was_not_asked_for_counts_as_well():
    bench, (query,) = looking(NAME)
    told = bytearray(encode_response([HostRecord(NAME, "192.168.1.2", 120)]))
    told[6:8], told[10:12] = b"\0\0", b"\0\x02"  # the record of the address comes among the additional ones
    bench.tell(bytes(told))
    assert bench.events == [NameResolved(query, NAME, "192.168.1.2")]


@pytest.mark.req("MDNS-010")
@pytest.mark.parametrize("hosts", [["192.168.1.2", "192.168.1.3"], ["192.168.1.2", "2001:db8::2"]], ids=["one family", "both"])
def test_a_name_with_several_addresses_is_of_no_use(hosts):
    bench, (query,) = looking(NAME)
    bench.tell(encode_response([HostRecord(NAME, host, 120) for host in hosts]))
    assert failures(bench) == [(query, NameFailure.SEVERAL)]
    again = bench.do("resolve", NAME)
    assert failures(bench)[1:] == [(again, NameFailure.SEVERAL)]


def test_a_name_with_a_thousand_addresses_is_of_no_use_and_holds_a_handful():
    bench, (query,) = looking(NAME)
    for start in range(0, 1000, 100):
        hosts = [f"192.168.{n // 200}.{n % 200 + 2}" for n in range(start, start + 100)]
        bench.tell(encode_response([HostRecord(NAME, host, 120, flush=False) for host in hosts]))
    assert failures(bench) == [(query, NameFailure.SEVERAL)]
    assert len(bench.agent._querier.cache._names[NAME]) == MdnsConfig().max_addresses


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "127.9.9.9", "0.0.0.0", "0.1.2.3", "224.0.0.251", "239.1.1.1", "240.0.0.1", "255.255.255.255"),
        *("::", "::1", "ff02::fb", "ff0e::1", "::ffff:192.168.1.2", "::192.168.1.2", "fec0::1", "fe80::1"),
    ],
)
def test_an_address_that_no_peer_can_have_is_of_no_use(host):
    bench = MdnsBench("2001:db8::1/64")
    query = bench.do("resolve", NAME)
    bench.answer(NAME, host, source=PEER._replace(host="fe80::2"))
    assert failures(bench) == [(query, NameFailure.UNUSABLE)]


@pytest.mark.parametrize(
    "host", ["192.168.1.2", "10.0.0.1", "100.64.0.1", "169.254.1.1", "203.0.113.1", "2001:db8::2", "fd00::1"]
)
def test_private_and_public_addresses_are_taken(host):
    bench, (query,) = looking(NAME)
    bench.answer(NAME, host)
    assert bench.events == [NameResolved(query, NAME, host)]


def test_bounds_of_names_and_of_those_who_wait_are_kept():
    bench, queries = looking(NAME, NAME, OTHER_NAME, NAME, config=MdnsConfig(max_searches=1, max_queries=2))
    assert failures(bench) == [(queries[2], NameFailure.LIMIT), (queries[3], NameFailure.LIMIT)]


def test_closing_fails_what_is_looked_for():
    bench, (query,) = looking(NAME)
    bench.do("close")
    assert bench.events == [NameFailed(query, NAME, NameFailure.CLOSED)] and bench.wait(10) == []


def test_names_of_other_things_are_not_remembered():
    bench = MdnsBench(OURS)
    bench.answer("printer.local", "192.168.1.2")
    assert len(bench.agent._querier.cache) == 0 and not bench.agent.stats.dropped


def test_goodbye_of_a_name_that_is_looked_for_is_no_answer():
    bench, (query,) = looking(NAME)
    bench.answer(NAME, "192.168.1.2", ttl=0)
    bench.wait(10)
    assert failures(bench) == [(query, NameFailure.TIMEOUT)]


def test_an_answer_from_another_port_is_not_believed():
    bench, _ = looking(NAME)
    bench.answer(NAME, "192.168.1.2", source=PEER._replace(port=5354))
    assert bench.told == [] and bench.agent.stats.dropped == {DropReason.WRONG_SOURCE: 1}
