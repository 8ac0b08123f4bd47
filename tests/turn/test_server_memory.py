"""What a TURN server keeps of a client, and that it keeps nothing of one that is gone."""

import gc
import tracemalloc

import pytest

from _turn_crowd import NOW, Crowd, address_of
from sansice.machine import Address
from sansice.stun import CHANNEL_NUMBER, LIFETIME, XOR_PEER_ADDRESS, Method

NUMBER = 1_000
LIMIT = 4_096
"""Bytes of an idle allocation, beside its socket, at most: 50,000 fit into 200 MB."""


@pytest.fixture
def traced():
    tracemalloc.start()
    yield
    tracemalloc.stop()


def allocated():
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


def test_an_idle_allocation_is_small(traced):
    crowd = Crowd()
    crowd.grow(10)
    before = allocated()
    crowd.grow(NUMBER)
    assert (allocated() - before) / NUMBER < LIMIT


def test_of_those_that_are_gone_nothing_is_kept(traced):
    crowd = Crowd()
    crowd.grow(NUMBER)
    crowd.at(NOW + 600)
    before = allocated()
    crowd.grow(NUMBER)
    crowd.at(NOW + 1200)
    assert (allocated() - before) / NUMBER < 16


def test_permissions_and_channels_that_have_expired_leave_nothing_behind(traced):
    crowd = Crowd()
    crowd.grow(1)
    source = address_of(crowd.count)

    def bind(nonce, number):
        peer = Address(f"8.8.{number >> 8}.{number & 255}", 1)
        crowd.ask(source, Method.CHANNEL_BIND, nonce, (CHANNEL_NUMBER, 0x4000 + number), (XOR_PEER_ADDRESS, peer))

    def expire():
        nonce = crowd.nonce(source)
        crowd.ask(source, Method.REFRESH, nonce, (LIFETIME, 3600))
        for number in range(400):
            bind(nonce, number)
        (info,) = crowd.server.allocations(now=crowd.now)
        assert (info.permissions, info.channels) == (400, 400)
        crowd.at(crowd.now + 600)
        (info,) = crowd.server.allocations(now=crowd.now)
        assert (info.permissions, info.channels) == (0, 0)

    for _ in range(3):  # tables that are kept for their size have it then
        expire()
    before = allocated()
    for _ in range(3):
        expire()
    assert (allocated() - before) / (3 * 400) < 16  # the allocator's own tables vary by a few kilobytes


def test_strangers_without_credentials_leave_nothing_behind(traced):
    crowd = Crowd()

    def knock(first):
        for number in range(first, first + NUMBER):
            crowd.nonce(address_of(number))

    knock(0)
    before = allocated()
    knock(NUMBER)
    assert allocated() - before < 16_384  # caches that are bounded may differ
    assert crowd.server.allocations(now=NOW) == ()
