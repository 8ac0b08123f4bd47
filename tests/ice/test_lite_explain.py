"""What a lite agent tells a person."""

import pytest

from ice._lite import PEER, LiteBench, connected
from ice._wire import OURS, STRANGER, candidate
from sansice.ice import Cause


def verdict(bench):
    return bench.agent.explain().splitlines()[0]


def test_each_way_of_not_connecting_has_its_words():
    nothing_gathered = LiteBench(gather=False, known=False)
    unknown_peer = LiteBench(known=False)
    lite = LiteBench(peer_lite=True, remotes=(candidate("2001:db8::1"),))
    silent = LiteBench()
    strange = LiteBench()
    strange.check(key=STRANGER)
    undecided = LiteBench(components=2)
    undecided.nominate(socket=1)
    undecided.check(socket=2)
    for bench, words in (
        (nothing_gathered, "no local candidate"),
        (unknown_peer, "the peer's description is not known"),
        (lite, "the peer is lite too, and not every component has a candidate of one family on both sides"),
        (silent, "no check has arrived"),
        (undecided, "it has nominated no pair of component 2"),
    ):
        assert words in verdict(bench)
    assert [one.cause for one in strange.agent.explain().findings] == [Cause.WRONG_PASSWORD]


def test_pair_in_use_and_its_loss_are_told():
    bench = connected(remotes=(candidate(PEER.host),))
    assert bench.agent.explain().splitlines() == [
        "ICE (lite) is completed: every component has its pair",
        "  local  host  192.0.2.1:4001",
        "  remote host  198.51.100.1:5000",
        "  pair   192.0.2.1:4001 <- 198.51.100.1:5000: checks received 1",
    ]
    bench.run(until=12.0)
    assert "silent" in verdict(bench)
    bench.run(until=30.0)
    assert "came no more" in verdict(bench)
    assert [one.cause for one in bench.agent.explain().findings] == [Cause.PATH_DIED]


def test_streams_are_told_apart_and_drops_are_counted():
    bench = LiteBench(streams=2, known=False)
    bench.arrive(1, PEER, b"\x80")
    text = bench.agent.explain()
    assert "stream 0: " in text and "stream 1: " in text
    assert "  dropped 1 x data from an address without an authenticated check" in text


@pytest.mark.parametrize("make", [LiteBench, connected])
def test_password_is_never_told(make):
    bench = make()
    assert OURS.pwd not in bench.agent.explain() + repr(bench.events) + repr(bench.agent.local_description)
