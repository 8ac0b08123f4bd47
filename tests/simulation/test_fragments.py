"""Fragments: what was cut fits, and is put together again whatever the order, or never."""

import random

import pytest
from hypothesis import given, strategies as st

from sansice.machine import Address
from sansice.simulation import Fragment, Packet, TcpFlags, TcpSegment
from sansice.simulation._world._fragments import MAX_DATAGRAMS, REASSEMBLY_SECONDS, Reassembly, checksum, cut

A, B = Address("192.0.2.1", 1), Address("192.0.2.2", 2)
A6, B6 = Address("2001:db8::1", 1), Address("2001:db8::2", 2)
ACK = TcpSegment(TcpFlags.ACK, 7, 8, 9)
DATA = bytes(n % 251 for n in range(3000))


def assemble(parts, store=None, now=0.0):
    """What comes out of fragments fed in this order."""
    store = store if store is not None else Reassembly()
    return [whole for part in parts if (whole := store.add(part, part.fragment, now)) is not None]


@pytest.mark.parametrize("tcp", [None, ACK])
@pytest.mark.parametrize(("ends", "mtu"), [((A, B), 68), ((A, B), 1006), ((A, B), 1500), ((A6, B6), 1280), ((A6, B6), 1287)])
def test_fragments_fit_and_tile_the_datagram(ends, mtu, tcp):
    packet = Packet(*ends, DATA, tcp=tcp)
    parts = cut(packet, mtu, 9)
    header = 8 if tcp is None else 20
    position = 0
    for part in parts:
        assert part.size <= mtu
        assert part.fragment == Fragment(9, position, part is not parts[-1], 3000 + header, checksum(DATA))
        assert position % 8 == 0
        assert (part.source.port, part.destination.port) == ((1, 2) if position == 0 else (0, 0))
        position += len(part.data) + (header if position == 0 else 0)
    assert position == 3000 + header
    assert assemble(parts) == [packet]


def test_only_the_last_piece_of_the_last_fragment_says_that_nothing_follows():
    first, *_, last = cut(Packet(A, B, DATA), 500, 1)
    assert [part.fragment.more for part in cut(first, 200, 2)] == [True, True, True]
    assert [part.fragment.more for part in cut(last, 68, 2)] == [True] * (len(cut(last, 68, 2)) - 1) + [False]


@given(st.binary(min_size=200, max_size=2000), st.integers(68, 150), st.integers(68, 150), st.integers(0, 1000))
def test_fragments_may_be_cut_again_and_come_in_any_order(data, mtu, smaller, seed):
    packet = Packet(A, B, data)
    parts = [again for part in cut(packet, mtu, 1) for again in (cut(part, smaller, 2) if part.size > smaller else [part])]
    assert {part.fragment.ident for part in parts} == {1}
    random.Random(seed).shuffle(parts)
    assert assemble(parts + parts[:-1]) == [packet]


def test_a_fragment_that_comes_twice_counts_once():
    parts = cut(Packet(A, B, DATA), 1500, 1)
    assert assemble([parts[0], parts[0], parts[1], parts[1]]) == []
    assert assemble([parts[0], parts[0], *parts[1:]]) == [Packet(A, B, DATA)]


def test_fragments_that_contradict_each_other_are_never_delivered():
    parts = cut(Packet(A, B, DATA), 1500, 1)
    other = parts[1]._replace(data=bytes(len(parts[1].data)))
    assert assemble([parts[1], other, parts[0], parts[2]]) == []


def test_fragments_that_overlap_are_never_delivered():
    parts = cut(Packet(A, B, DATA), 1500, 1)
    shifted = parts[2]._replace(fragment=parts[2].fragment._replace(offset=parts[2].fragment.offset - 8), data=bytes(200))
    assert assemble([parts[0], parts[1], shifted, parts[2]]) == []


def test_fragments_of_different_datagrams_are_kept_apart():
    one, two = cut(Packet(A, B, DATA), 1500, 1), cut(Packet(A, B, DATA[::-1]), 1500, 2)
    three = cut(Packet(A, B, DATA, tcp=ACK), 1500, 1)
    mixed = [part for parts in zip(one, two, three, strict=True) for part in parts]
    assert assemble(mixed) == [Packet(A, B, DATA), Packet(A, B, DATA[::-1]), Packet(A, B, DATA, tcp=ACK)]


def test_the_oldest_datagram_is_given_up_where_too_many_wait():
    store = Reassembly()
    firsts = [cut(Packet(A, B, DATA), 1500, ident) for ident in range(MAX_DATAGRAMS + 1)]
    for parts in firsts:
        assert store.surplus() is None
        assert assemble(parts[:1], store) == []
    assert store.surplus() == firsts[0][0]
    assert len(store) == MAX_DATAGRAMS
    assert assemble(firsts[0][1:], store) == []
    assert assemble(firsts[1][1:], store) == [Packet(A, B, DATA)]


def test_a_datagram_is_given_up_after_a_minute_and_shown_by_its_first_fragment_where_that_came():
    store, parts = Reassembly(), cut(Packet(A, B, DATA), 1500, 1)
    assert store.expired(1e9) is None
    assemble([parts[1], parts[0]], store, 3.0)
    assemble([parts[1]._replace(source=Address("192.0.2.9", 0))], store, 4.0)
    assert store.expired(3.0 + REASSEMBLY_SECONDS - 0.1) is None
    assert store.expired(3.0 + REASSEMBLY_SECONDS) == parts[0]
    assert store.expired(4.0 + REASSEMBLY_SECONDS).source.host == "192.0.2.9"
    assert len(store) == 0


@pytest.mark.parametrize(
    ("data", "value"),
    [(b"", 0), (b"\0\0", 0), (b"\x12\x34", 0x1234), (b"\xff\xff", 0xFFFF), (b"\x01", 0x0100), (b"\xff\xff\x00\x01", 1)],
)
def test_the_checksum_is_the_ones_complement_sum(data, value):
    assert checksum(data) == value
