import itertools

import pytest
from hypothesis import given, strategies as st

from sansice.machine import AddressRecord, NaptrRecord, RecordKind, SrvRecord
from sansice.stun._resolution._order import (
    MAX_RECORDS,
    family_of,
    interleave,
    is_server_host,
    order_naptr,
    order_srv,
    protocol_tags,
    usable_addresses,
    usable_records,
)

# fmt: off
USELESS_SRV = [
    SrvRecord(0, 1, 0, "port"), SrvRecord(0, 1, 65536, "port"), SrvRecord(0, -1, 1, "weight"),
    SrvRecord(0, 1, 1, "192.0.2.1"), SrvRecord(0, 1, 1, "two words"), SrvRecord(0, 1, 1, "a" * 300),
    AddressRecord("192.0.2.1"),
]
# fmt: on


def never(size):
    raise AssertionError("nothing is to be drawn")


def drawing(*numbers):
    """Entropy of these draws, each of which is a number below the sum of weights."""
    left = iter(numbers)
    return lambda size: next(left).to_bytes(size, "big")


def counting():
    numbers = itertools.count()
    return lambda size: next(numbers).to_bytes(size, "big")


def test_srv_records_of_different_priority_are_sorted_and_nothing_is_drawn():
    records = [SrvRecord(20, 9, 3, "c"), SrvRecord(0, 0, 1, "A."), SrvRecord(10, 5, 2, "b")]
    assert [record.target for record in order_srv(records, never)] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("draws", "order"),
    [
        # Arranged as z (weight 0), a (1), b (3): running sums 0, 1, 4. RFC 2782: the first that is not below the number drawn.
        ((0, 0), "zab"),
        ((0, 1), "zab"),
        ((0, 2), "zba"),
        ((1, 0), "azb"),
        ((1, 1), "abz"),
        ((2, 0), "bza"),
        ((4, 1), "baz"),
        ((5, 0), "zab"),  # the number is taken modulo 5
    ],
)
def test_weights_among_equals_follow_the_number_drawn(draws, order):
    records = [SrvRecord(1, 1, 1, "a"), SrvRecord(1, 3, 1, "b"), SrvRecord(1, 0, 1, "z")]
    assert "".join(record.target for record in order_srv(records, drawing(*draws))) == order


def test_first_places_are_shared_out_by_weight():
    records = [SrvRecord(1, 1, 1, "a"), SrvRecord(1, 3, 1, "b")]
    firsts = [order_srv(records, drawing(number))[0].target for number in range(5)]
    assert firsts == ["a", "a", "b", "b", "b"]


def test_records_that_lead_nowhere_are_left_out():
    assert order_srv(USELESS_SRV, never) == ()


def test_a_denied_service_is_kept_without_a_target():
    assert order_srv([SrvRecord(0, 0, 0, ".")], never) == (SrvRecord(0, 0, 0, ""),)


def test_ten_thousand_srv_records_are_cut_to_the_best():
    records = [SrvRecord(number % 100, 1, 1, f"n{number}.example") for number in range(10_000)]
    ordered = order_srv(records, counting())
    assert len(ordered) == len(set(ordered)) == MAX_RECORDS
    assert {record.priority for record in ordered} == {0}


@given(st.lists(st.builds(SrvRecord, st.integers(0, 3), st.integers(0, 4), st.just(1), st.sampled_from("abcdef")), max_size=20))
def test_every_order_has_the_priorities_sorted_and_loses_nothing(records):
    ordered = order_srv(records, counting())
    assert [record.priority for record in ordered] == sorted(record.priority for record in records)[:MAX_RECORDS]
    if len(records) <= MAX_RECORDS:
        assert sorted(ordered, key=repr) == sorted(records, key=repr)


def naptr(order, preference, flags, service, replacement, regexp=""):
    return NaptrRecord(order, preference, flags, service, regexp, replacement)


def test_naptr_records_are_sorted_by_order_then_preference():
    records = [
        naptr(200, 10, "s", "RELAY:turn.tcp", "C.example."),
        naptr(100, 20, "", "relay:TURN.udp", "b.example"),
        naptr(100, 10, "A", "RELAY:turn.udp:turn.tls", "a.example"),
    ]
    ordered = order_naptr(records)
    assert [(record.flags, record.replacement) for record in ordered] == [
        ("A", "a.example"),
        ("", "b.example"),
        ("S", "c.example"),
    ]
    assert [protocol_tags(record) for record in ordered] == [("turn.udp", "turn.tls"), ("turn.udp",), ("turn.tcp",)]


@pytest.mark.parametrize(
    "record",
    [
        naptr(1, 1, "U", "RELAY:turn.udp", "a.example"),
        naptr(1, 1, "s", "SIP+D2U", "a.example"),
        naptr(1, 1, "s", "", "a.example"),
        naptr(1, 1, "s", "RELAY", "a.example"),
        naptr(1, 1, "s", "RELAY:turn.udp", "."),
        naptr(1, 1, "s", "RELAY:turn.udp", "not a name"),
        naptr(1, 1, "s", "RELAY:turn.udp", "a.example", regexp="!^.*$!b.example!"),
        SrvRecord(1, 1, 1, "a.example"),
    ],
)
def test_naptr_records_that_are_not_for_turn_are_left_out(record):
    assert order_naptr([record]) == ()


def test_ten_thousand_naptr_records_are_cut_to_the_best():
    records = [naptr(10_000 - number, 1, "s", "RELAY:turn.udp", f"n{number}.example") for number in range(10_000)]
    assert [record.order for record in order_naptr(records)] == list(range(1, MAX_RECORDS + 1))


FOUR = [AddressRecord(f"192.0.2.{number}") for number in (1, 2, 3)]
SIX = [AddressRecord("2001:db8::1")]


@pytest.mark.req("RFC8489-070")
@pytest.mark.parametrize(
    ("families", "order"),
    [
        ((SIX, FOUR), ("2001:db8::1", "192.0.2.1", "192.0.2.2", "192.0.2.3")),
        ((FOUR, SIX), ("192.0.2.1", "2001:db8::1", "192.0.2.2", "192.0.2.3")),
        ((FOUR,), ("192.0.2.1", "192.0.2.2", "192.0.2.3")),
        (((), ()), ()),
    ],
)
def test_families_take_turns_and_the_preferred_one_begins(families, order):
    assert interleave(*families) == order


def test_an_address_is_listed_once_under_its_family_and_in_its_canonical_form():
    records = [AddressRecord(host, 7) for host in ("2001:DB8::1", "2001:db8:0::1", "192.0.2.1", "not an address")]
    records = [*records, SrvRecord(1, 1, 1, "a")]
    assert usable_addresses(records, 6) == (AddressRecord("2001:db8::1", 7),)
    assert usable_addresses(records, 4) == (AddressRecord("192.0.2.1", 7),)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "224.0.0.1", "ff02::1"])
def test_no_server_has_the_unspecified_address_or_a_group(host):
    assert not is_server_host(host)
    assert usable_addresses([AddressRecord(host)], family_of(host)) == ()


def test_ten_thousand_addresses_are_cut():
    records = [AddressRecord(f"198.18.{number >> 8}.{number & 255}") for number in range(10_000)]
    assert usable_addresses(records, 4) == tuple(records[:MAX_RECORDS])


def test_of_any_answer_only_records_of_the_kind_asked_for_remain():
    records = [SrvRecord(1, 1, 1, "a"), naptr(1, 1, "S", "RELAY:turn.udp", "a"), FOUR[0], SIX[0]]
    kept = {kind: usable_records(kind, records, never) for kind in RecordKind}
    assert kept == {
        RecordKind.SRV: (records[0],),
        RecordKind.NAPTR: (records[1],),
        RecordKind.A: (records[2],),
        RecordKind.AAAA: (records[3],),
    }
