"""Ports of relayed addresses: free ones only, random ones, even ones, pairs."""

from collections import Counter

import pytest
from hypothesis import given, strategies as st

from sansice.turn._server._ports import REFUSED_FOR, RelayPorts


class Drawn:
    """Entropy that can be foretold: a counter, multiplied."""

    def __init__(self, seed=1):
        self.state = seed

    def __call__(self, size):
        self.state = self.state * 6364136223846793005 + 1442695040888963407 & (1 << 64) - 1
        return (self.state >> 11).to_bytes(8, "big")[-size:].rjust(size, b"\0")


def make(low=50000, high=50009, seed=1):
    return RelayPorts(low, high, entropy=Drawn(seed))


@pytest.mark.req("RFC8656-014")
def test_every_port_is_given_once_and_then_none():
    ports = make()
    taken = [ports.take(now=0.0) for _ in range(10)]
    assert sorted(taken) == list(range(50000, 50010))
    assert ports.take(now=0.0) is None
    assert ports.take_even(now=0.0) is None
    assert ports.take_pair(now=0.0) is None
    assert len(ports) == 0


def test_a_port_that_is_given_back_can_be_taken_again():
    ports = make(50000, 50000)
    assert ports.take(now=0.0) == 50000
    ports.give_back(50000)
    ports.give_back(50000)
    assert len(ports) == 1
    assert ports.take(now=0.0) == 50000
    assert ports.take(now=0.0) is None


def test_a_port_of_another_range_is_not_taken_in():
    ports = make(50000, 50001)
    ports.give_back(49999)
    ports.give_back(50002)
    assert len(ports) == 2


@pytest.mark.req("RFC8656-041")
def test_every_port_is_as_likely_as_any_other():
    ports = RelayPorts(49152, 49152 + 63, entropy=Drawn())
    seen = Counter()
    for _ in range(12800):
        port = ports.take(now=0.0)
        seen[port] += 1
        ports.give_back(port)
    assert set(seen) == set(range(49152, 49152 + 64))
    assert max(seen.values()) < 2 * min(seen.values())


@pytest.mark.req("RFC8656-041")
def test_what_is_drawn_decides_and_nothing_else():
    assert [make(seed=7).take(now=0.0) for _ in range(2)] == [make(seed=7).take(now=9.0) for _ in range(2)]
    for take in (RelayPorts.take, RelayPorts.take_even, RelayPorts.take_pair):
        assert len({take(make(seed=seed, low=49152, high=65535), now=0.0) for seed in range(100)}) > 90


@pytest.mark.req("RFC8656-038")
def test_even_ports_are_even_until_there_are_none():
    ports = make()
    assert sorted(ports.take_even(now=0.0) for _ in range(5)) == [50000, 50002, 50004, 50006, 50008]
    assert ports.take_even(now=0.0) is None
    assert ports.take(now=0.0) % 2


@pytest.mark.req("RFC8656-039")
def test_a_pair_is_an_even_port_and_the_next_one_both_of_them_taken():
    ports = make(50001, 50006)
    first = ports.take_pair(now=0.0)
    second = ports.take_pair(now=0.0)
    assert {first, second} == {50002, 50004}
    assert ports.take_pair(now=0.0) is None
    assert {ports.take(now=0.0), ports.take(now=0.0)} == {50001, 50006}
    assert ports.take(now=0.0) is None


@pytest.mark.req("RFC8656-032")
def test_a_pair_needs_both_of_its_ports():
    ports = make(50000, 50001)
    assert ports.take_pair(now=0.0) == 50000
    ports.give_back(50001)
    assert ports.take_pair(now=0.0) is None
    ports.give_back(50000)
    assert ports.take_pair(now=0.0) == 50000


def test_a_port_that_the_system_refused_rests_for_a_while():
    ports = make(50000, 50000)
    assert ports.take(now=5.0) == 50000
    ports.refuse(50000, now=5.0)
    assert ports.take(now=5.0 + REFUSED_FOR - 0.001) is None
    assert ports.take_even(now=5.0 + REFUSED_FOR) == 50000


@given(
    st.integers(1024, 1031),
    st.integers(0, 12),
    st.lists(st.tuples(st.sampled_from(["take", "even", "pair", "back", "refuse", "wait"]), st.integers(0, 99)), max_size=60),
)
def test_free_and_taken_ports_are_always_the_range(low, size, steps):
    ports = RelayPorts(low, low + size, entropy=Drawn())
    taken, refused, now = [], [], 0.0
    for step, choice in steps:
        if step in ("take", "even", "pair"):
            port = {"take": ports.take, "even": ports.take_even, "pair": ports.take_pair}[step](now=now)
            refused = [(until, one) for until, one in refused if until > now]
            busy = {*taken, *(one for _, one in refused)}
            free = [one for one in range(low, low + size + 1) if one not in busy]
            if step == "even":
                free = [one for one in free if one % 2 == 0]
            if step == "pair":
                free = [one for one in free if one % 2 == 0 and one + 1 in free]
            assert (port in free) if free else port is None
            if port is not None:
                taken += [port, port + 1] if step == "pair" else [port]
        elif step == "wait":
            now += choice
        elif taken:
            port = taken.pop(choice % len(taken))
            if step == "back":
                ports.give_back(port)
            else:
                ports.refuse(port, now=now)
                refused.append((now + REFUSED_FOR, port))
