"""What a server hands to a client to be shown again, maybe to another of its workers: tokens, ids, mobility tickets.

Each carries the number of the worker that made it, so that whoever receives it knows where it belongs.
"""

from __future__ import annotations

import base64
import hashlib
import os
from hmac import compare_digest
from typing import Final, NamedTuple

from sansice.machine import DecodeError, DropReason, Entropy

MAX_WORKERS: Final = 256
"""Processes that may share a listening address: a worker's number is one byte of a RESERVATION-TOKEN and a CONNECTION-ID."""

TICKET_KEY: Final = 32
"""Bytes of the key that workers, or hosts, share to read each other's tickets."""

TOKEN_LENGTH: Final = 8  # RFC 8656 18.10
_CONNECTION = 3  # bytes beside the worker's: CONNECTION-ID has 32 bits (RFC 6062 6.2.1)


class Tokens:
    """RESERVATION-TOKENs and CONNECTION-IDs: a worker's number, and the rest unpredictable.

    A token is found by 56 bits, and only by its owner; a connection id needs the credentials of its allocation besides, and
    is told apart only from those at hand.

    Args:
        worker: this process's number.
        entropy: the rest.

    Raises:
        ValueError: no such worker.
    """

    __slots__ = ("_entropy", "_worker")

    def __init__(self, worker: int = 0, *, entropy: Entropy = os.urandom) -> None:
        _check_worker(worker)
        self._worker = bytes((worker,))
        self._entropy = entropy

    def reservation(self) -> bytes:
        """A RESERVATION-TOKEN."""
        return self._worker + self._entropy(TOKEN_LENGTH - 1)

    def connection(self) -> int:
        """A CONNECTION-ID."""
        return int.from_bytes(self._worker + self._entropy(_CONNECTION), "big")


def worker_of_reservation(token: bytes) -> int:
    """Which worker made a RESERVATION-TOKEN, if any did. Takes any 8 bytes."""
    return token[0]


def worker_of_connection(connection: int) -> int:
    """Which worker made a CONNECTION-ID, if any did. Takes any 32 bits."""
    return connection >> 8 * _CONNECTION


class Ticket(NamedTuple):
    """What a MOBILITY-TICKET says to the server that made it (RFC 8016 3.1.1).

    Attributes:
        worker: where the allocation lives.
        allocation: its id there. A process that took the place of that one may have given the same id to somebody else.
        text: the ticket itself, of which there is no second one.
    """

    worker: int
    allocation: int
    text: bytes


class Tickets:
    """MOBILITY-TICKETs: encrypted and authenticated, so that a client can neither read, change nor make one (RFC 8016 5).

    A ticket is ``tag | masked``: the tag is a keyed hash of what it says and of random bytes, the mask is a hash stream of
    another key that begins with the tag. It is written as 32 letters and digits, because clients exist that take it for text and
    hold no more (coturn's up to 4.6). (A synthetic initialisation vector, as in RFC 5297, of BLAKE2 and SHAKE, which the
    standard library has.) Two tickets of one allocation have nothing in common for who has not the key. No ticket is made twice,
    not even by a process that has the key, the number and the ids of one before it: whoever compares whole tickets, never what
    they say, does not take one of an allocation that is gone for one of its successor.

    Args:
        key: `TICKET_KEY` bytes that all workers share; without one a key is drawn, and tickets are good in this process only.
        worker: this process's number.
        entropy: the key, and what makes tickets differ.

    Attributes:
        worker: as given.

    Raises:
        ValueError: no such worker, or a key of another length.
    """

    __slots__ = ("_entropy", "_mask_key", "_tag_key", "worker")

    def __init__(self, key: bytes | None = None, *, worker: int = 0, entropy: Entropy = os.urandom) -> None:
        _check_worker(worker)
        if key is None:
            key = entropy(TICKET_KEY)
        elif len(key) != TICKET_KEY:
            raise ValueError(f"a ticket key of {len(key)} bytes: {TICKET_KEY} are needed")
        self.worker: int = worker
        self._entropy = entropy
        self._tag_key = _derived(key, b"tag")
        self._mask_key = _derived(key, b"mask")

    def issue(self, allocation: int) -> bytes:
        """A new ticket, `TICKET_LENGTH` bytes."""
        plain = self._entropy(_SALT) + bytes((self.worker,)) + allocation.to_bytes(_ALLOCATION, "big")
        tag = self._tag(plain)
        return base64.b64encode(tag + self._masked(tag, plain), _LETTERS)

    def read_untrusted(self, ticket: bytes) -> Ticket:
        """What a ticket says.

        Raises:
            DecodeError: nobody with this key made it.
        """
        if len(ticket) != TICKET_LENGTH:
            raise DecodeError(DropReason.BAD_ATTRIBUTE, "MOBILITY-TICKET")
        try:
            data = base64.b64decode(ticket, _LETTERS, validate=True)
        except ValueError:
            raise DecodeError(DropReason.BAD_ATTRIBUTE, "MOBILITY-TICKET") from None
        tag = data[:_TAG]
        plain = self._masked(tag, data[_TAG:])
        if not compare_digest(self._tag(plain), tag):
            raise DecodeError(DropReason.BAD_INTEGRITY, "MOBILITY-TICKET")
        return Ticket(plain[_SALT], int.from_bytes(plain[_SALT + 1 :], "big"), ticket)

    def _tag(self, plain: bytes) -> bytes:
        return hashlib.blake2b(plain, digest_size=_TAG, key=self._tag_key).digest()

    def _masked(self, tag: bytes, data: bytes) -> bytes:
        stream = hashlib.shake_256(self._mask_key + tag).digest(len(data))
        return bytes(a ^ b for a, b in zip(data, stream, strict=True))

    def __repr__(self) -> str:
        return f"Tickets(worker={self.worker})"


_TAG = 12  # bytes: nobody guesses them
_SALT = 6  # bytes: what a ticket says may have been said by a process before this one, or by this one before a move
_ALLOCATION = 5  # bytes of its id; the worker's number has one
_LETTERS = b"-_"  # beside the letters and digits of base64
TICKET_LENGTH: Final = (_TAG + _SALT + 1 + _ALLOCATION) * 4 // 3


def _derived(key: bytes, purpose: bytes) -> bytes:
    """A key for one purpose."""
    return hashlib.blake2b(purpose, digest_size=TICKET_KEY, key=key, person=b"sansice ticket").digest()


def _check_worker(worker: int) -> None:
    if not 0 <= worker < MAX_WORKERS:
        raise ValueError(f"worker {worker}: there are 0 to {MAX_WORKERS - 1}")
