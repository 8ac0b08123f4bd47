"""A person is told what was tried and how far it got."""

import pytest

from ice._wire import at, candidate
from sansice.ice import GatheringState, IceState, PairState
from sansice.ice._pair import LocalCandidate, Pair
from sansice.ice._telling._explain import explain
from sansice.machine import DropReason, SocketId

LOCAL, REMOTE = candidate("192.0.2.1", 4001), candidate("198.51.100.1")


def pair(state=PairState.WAITING, sent=0, received=0):
    one = Pair(LocalCandidate(LOCAL, SocketId(1), at("192.0.2.1", 4001), 65535), REMOTE, at("198.51.100.1"), 1)
    one.state, one.tally.requests_sent, one.tally.requests_received = state, sent, received
    return one


def told(
    state=IceState.CHECKING,
    gathering=GatheringState.COMPLETE,
    local=(LOCAL,),
    remote=(REMOTE,),
    pairs=(),
    selected=None,
    dropped=(),
):
    return explain(
        state=state, gathering=gathering, local=local, remote=remote, pairs=pairs, selected=selected, dropped=dict(dropped)
    )


@pytest.mark.parametrize(
    ("situation", "verdict"),
    [
        ({"local": (), "gathering": GatheringState.NEW}, "ICE is checking: no local candidate yet"),
        ({"local": (), "gathering": GatheringState.GATHERING}, "ICE is checking: no local candidate yet"),
        ({"local": ()}, "ICE is checking: no local candidate: no usable network address"),
        ({"remote": ()}, "ICE is checking: the peer has told no candidate"),
        ({}, "ICE is checking: no local candidate is of a remote candidate's address family"),
        ({"pairs": [pair()]}, "ICE is checking: no check has been sent yet"),
        (
            {"pairs": [pair(PairState.FAILED, sent=7)], "state": IceState.FAILED},
            "ICE is failed: no check was answered and none of the peer's arrived: wrong addresses, a firewall,"
            " or two NATs that need a relay",
        ),
        (
            {"pairs": [pair(PairState.FAILED, sent=7, received=3)]},
            "ICE is checking: the peer's checks arrive here, but ours are not answered:"
            " what we send is lost on its way to the peer",
        ),
        (
            {"pairs": [pair(PairState.SUCCEEDED, sent=1)], "state": IceState.CONNECTED},
            "ICE is connected: a pair is valid, none is selected yet",
        ),
        (
            {"pairs": [pair(PairState.SUCCEEDED)], "selected": pair(), "state": IceState.COMPLETED},
            "ICE is completed: the selected pair is 192.0.2.1:4001 -> 198.51.100.1:5000",
        ),
        (
            {"pairs": [pair(PairState.SUCCEEDED)], "selected": pair(), "state": IceState.FAILED},
            "ICE is failed: the selected pair was lost: 192.0.2.1:4001 -> 198.51.100.1:5000",
        ),
    ],
)
def test_first_line_is_the_verdict(situation, verdict):
    assert told(**situation).splitlines()[0] == verdict


def test_candidates_pairs_with_their_counters_and_drops_follow():
    text = told(pairs=[pair(PairState.IN_PROGRESS, sent=2, received=1)], dropped={DropReason.BAD_COOKIE: 3})
    assert text.splitlines()[1:] == [
        "  local  host  192.0.2.1:4001",
        "  remote host  198.51.100.1:5000",
        "  pair   192.0.2.1:4001 -> 198.51.100.1:5000 in-progress: checks sent 2, answered 0, received 1",
        "  dropped 3 x wrong magic cookie",
    ]


def test_candidates_may_be_any_iterable():
    assert "198.51.100.1" in told(local=iter([LOCAL]), remote=iter([REMOTE]), pairs=iter([pair()]))
