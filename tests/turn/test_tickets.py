"""Tokens, ids and tickets: unpredictable, and telling their worker."""

import base64
import hashlib
import os

import pytest
from hypothesis import given, strategies as st

from sansice.machine import DecodeError, DropReason
from sansice.turn._server._tickets import (
    MAX_WORKERS,
    TICKET_KEY,
    TICKET_LENGTH,
    Ticket,
    Tickets,
    Tokens,
    worker_of_connection,
    worker_of_reservation,
)

KEY = bytes(range(TICKET_KEY))


@pytest.mark.req("RFC8656-115")
def test_a_reservation_token_is_eight_bytes_that_tell_the_worker_and_nothing_else():
    drawn = []

    def entropy(size):
        drawn.append(bytes((len(drawn) + 1,)) * size)
        return drawn[-1]

    tokens = Tokens(7, entropy=entropy)
    assert tokens.reservation() == b"\x07" + b"\x01" * 7
    assert tokens.reservation() == b"\x07" + b"\x02" * 7
    assert worker_of_reservation(tokens.reservation()) == 7


def test_a_connection_id_has_32_bits_that_tell_the_worker():
    tokens = Tokens(255, entropy=lambda size: b"\xab" * size)
    assert tokens.connection() == 0xFFABABAB
    assert worker_of_connection(0xFFABABAB) == 255
    assert worker_of_connection(5) == 0


@pytest.mark.parametrize("worker", [-1, MAX_WORKERS])
def test_a_worker_that_cannot_be_is_refused(worker):
    with pytest.raises(ValueError, match=f"worker {worker}"):
        Tokens(worker)
    with pytest.raises(ValueError, match=f"worker {worker}"):
        Tickets(worker=worker)


@given(st.integers(0, 255), st.integers(0, 2**40 - 1))
def test_a_ticket_says_what_it_was_made_for_to_every_worker_with_the_key(worker, allocation):
    ticket = Tickets(KEY, worker=worker).issue(allocation)
    assert len(ticket) == TICKET_LENGTH
    assert Tickets(KEY).read_untrusted(ticket) == Ticket(worker, allocation, ticket)


def test_a_process_with_the_key_the_number_and_the_ids_of_one_before_it_makes_no_ticket_again():
    drawn = []
    many = [Tickets(KEY, entropy=lambda size: drawn.append(size) or os.urandom(size)).issue(1) for _ in range(1000)]
    assert len(dict.fromkeys(many)) == 1000
    assert min(drawn) >= 6


@pytest.mark.req("RFC8016-010")
def test_a_ticket_is_tag_and_mask_by_keys_of_their_own():
    """Computed by hand: hosts with the same key read each other's tickets, also those of another version."""
    salt_worker_and_id = b"\x05" * 6 + b"\x03" + (258).to_bytes(5, "big")
    keys = [hashlib.blake2b(name, digest_size=32, key=KEY, person=b"sansice ticket").digest() for name in (b"tag", b"mask")]
    tag = hashlib.blake2b(salt_worker_and_id, digest_size=12, key=keys[0]).digest()
    mask = hashlib.shake_256(keys[1] + tag).digest(12)
    masked = (int.from_bytes(salt_worker_and_id, "big") ^ int.from_bytes(mask, "big")).to_bytes(12, "big")
    ticket = Tickets(KEY, worker=3, entropy=lambda size: b"\x05" * size).issue(258)
    assert base64.b64decode(ticket, b"-_") == tag + masked


@pytest.mark.req("RFC8016-010")
def test_two_tickets_of_one_allocation_have_nothing_in_common():
    tickets = Tickets(KEY)
    many = [tickets.issue(1) for _ in range(50)]
    for place in range(TICKET_LENGTH):
        assert len({ticket[place] for ticket in many}) > 10


def test_tickets_follow_from_key_and_entropy():
    made = [Tickets(entropy=lambda size: b"\x05" * size).issue(1) for _ in range(2)]
    assert made[0] == made[1]
    assert Tickets(KEY, entropy=lambda size: b"\x05" * size).issue(1) != made[0]


@pytest.mark.parametrize("bit", range(8 * TICKET_LENGTH))
def test_a_ticket_with_a_bit_changed_is_nobodys(bit):
    ticket = bytearray(Tickets(KEY).issue(1))
    ticket[bit // 8] ^= 1 << bit % 8
    with pytest.raises(DecodeError) as caught:
        Tickets(KEY).read_untrusted(bytes(ticket))
    assert caught.value.reason in (DropReason.BAD_INTEGRITY, DropReason.BAD_ATTRIBUTE)


def test_a_ticket_is_a_text_of_32_letters_for_clients_that_take_it_for_one():
    ticket = Tickets(KEY).issue(1)
    assert len(ticket) == 32
    assert ticket.decode().replace("-", "a").replace("_", "a").isalnum()


@given(st.binary(max_size=64))
def test_no_bytes_are_a_ticket(data):
    with pytest.raises(DecodeError):
        Tickets(KEY).read_untrusted(data)


def test_a_ticket_of_another_key_is_nobodys():
    with pytest.raises(DecodeError):
        Tickets().read_untrusted(Tickets().issue(1))


@pytest.mark.parametrize("length", [0, 16, 31, 33])
def test_a_key_of_another_length_is_refused(length):
    with pytest.raises(ValueError, match=f"{length} bytes"):
        Tickets(os.urandom(length))


def test_the_key_is_not_shown():
    assert repr(Tickets(KEY, worker=3)) == "Tickets(worker=3)"
