"""A person is told what was tried and how far it got, and a program the same as JSON."""

import copy
import json
import pickle

import pytest

from ice._facts import LOCAL, REFLEXIVE, REMOTE, facts, pair, stream
from ice._session import Two, checking, selected
from ice._wire import at
from sansice.ice import (
    CandidateType,
    CheckFailure,
    Explanation,
    GatheringState,
    IceFailed,
    IceState,
    PairState,
    ServerAnswered,
    ServerFailed,
)
from sansice.machine import DropReason

EMPTY = {"local": (), "remote": ()}


@pytest.mark.parametrize(
    ("situation", "verdict"),
    [
        ({**EMPTY, "gathering": GatheringState.NEW}, "ICE is checking: no local candidate yet"),
        ({**EMPTY, "gathering": GatheringState.GATHERING}, "ICE is checking: no local candidate yet"),
        (EMPTY, "ICE is checking: no local candidate"),
        ({"remote": ()}, "ICE is checking: the peer has told no candidate"),
        (
            {"remote": (), "dropped": {DropReason.UNUSABLE_CANDIDATE: 1}},
            "ICE is checking: the peer has told no candidate that can be used",
        ),
        ({"pairs": ()}, "ICE is checking: no local candidate is of a remote candidate's address family"),
        ({"pairs": (pair(PairState.WAITING),)}, "ICE is checking: no check has been sent yet"),
        (
            {"pairs": (pair(sent=7),), "state": IceState.FAILED},
            "ICE is failed: no check was answered and none of the peer's arrived",
        ),
        (
            {"pairs": (pair(sent=7, heard=3),)},
            "ICE is checking: the peer's checks arrive here, but ours are not answered",
        ),
        (
            {"pairs": (pair(PairState.SUCCEEDED, sent=1, answered=1),), "state": IceState.CONNECTED},
            "ICE is connected: a pair is valid, none is selected yet",
        ),
        (
            {"selected": pair(PairState.SUCCEEDED), "state": IceState.COMPLETED},
            "ICE is completed: the selected pair is 192.0.2.1:4001 -> 198.51.100.1:5000",
        ),
        (
            {"selected": pair(PairState.SUCCEEDED), "state": IceState.FAILED},
            "ICE is failed: the selected pair was lost: 192.0.2.1:4001 -> 198.51.100.1:5000",
        ),
    ],
)
def test_first_line_is_the_verdict(situation, verdict):
    told = Explanation(facts(**situation))
    assert told.splitlines()[0] == told.verdict == verdict


def test_candidates_pairs_with_their_counters_servers_and_drops_follow():
    told = Explanation(
        facts(
            pairs=(pair(PairState.IN_PROGRESS, sent=2, heard=1), pair(sent=3, failure=CheckFailure.UNREACHABLE)),
            servers=(
                ServerAnswered("stun:a", "192.0.2.1", 0.1, at("203.0.113.9", 9)),
                ServerAnswered("turn:b", "192.0.2.1", 0.1, at("203.0.113.9", 9), (at("203.0.113.53", 7),)),
                ServerFailed("turn:c", "192.0.2.1", "Unauthorized", 401),
                ServerFailed("stun:d", "", "no such name"),
            ),
            dropped={DropReason.BAD_COOKIE: 3},
        )
    )
    assert told.splitlines()[1:] == [
        "  server stun:a (192.0.2.1): sees 203.0.113.9:9",
        "  server turn:b (192.0.2.1): sees 203.0.113.9:9, relays at 203.0.113.53:7",
        "  server turn:c (192.0.2.1): 401 Unauthorized",
        "  server stun:d: no such name",
        "  local  host  192.0.2.1:4001",
        "  remote host  198.51.100.1:5000",
        "  pair   192.0.2.1:4001 -> 198.51.100.1:5000 in-progress: checks sent 2, answered 0, received 1",
        "  pair   192.0.2.1:4001 -> 198.51.100.1:5000 failed (an ICMP error: nothing is reached there):"
        " checks sent 3, answered 0, received 0",
        "  dropped 3 x wrong magic cookie",
    ]


def test_streams_and_components_are_told_apart_where_there_are_several():
    told = Explanation(facts(streams=(stream(), stream(index=1, state=IceState.FAILED, pairs=(pair(sent=7),)))))
    assert told.splitlines()[:2] == [
        "ICE is checking: stream 0: no local candidate is of a remote candidate's address family",
        "ICE is failed: stream 1: no check was answered and none of the peer's arrived",
    ]
    assert "  1.1 host  1 gathered, 1 of the peer's, 1 pairs, checks sent on 1, seen on 0, answered on 0" in told.splitlines()
    assert "  local  1.1 host  192.0.2.1:4001" in told.splitlines()


def test_causes_are_told_with_what_to_do_and_how_far_each_kind_of_candidate_got():
    told = Explanation(facts(state=IceState.FAILED, pairs=(pair(sent=7),), local=(LOCAL, REFLEXIVE)))
    lines = told.splitlines()
    assert lines[1].startswith("  cause 1: no check is answered and none arrives")
    assert [line.split()[0] for line in lines[2:5]] == ["host", "srflx", "relay"]


def test_kind_of_a_pair_is_the_more_roundabout_of_its_two():
    relayed = pair(PairState.SUCCEEDED, local=CandidateType.HOST, remote=CandidateType.RELAYED, sent=2, heard=1, answered=1)
    peer_reflexive = pair(local=CandidateType.HOST, remote=CandidateType.PEER_REFLEXIVE, heard=1)
    told = Explanation(facts(pairs=(relayed._replace(nominated=True), pair(sent=1), peer_reflexive)))
    by_type = {one.type: one for one in told.progress}
    assert list(by_type) == [
        CandidateType.HOST,
        CandidateType.SERVER_REFLEXIVE,
        CandidateType.PEER_REFLEXIVE,
        CandidateType.RELAYED,
    ]
    relay, host = by_type[CandidateType.RELAYED], by_type[CandidateType.HOST]
    assert (relay.pairs, relay.sent, relay.heard, relay.answered, relay.nominated) == (1, 1, 1, 1, True)
    assert (host.pairs, host.sent, host.heard, host.answered, host.nominated) == (1, 1, 0, 0, False)
    assert (host.gathered, host.told) == (1, 1)
    assert str(relay).endswith("nominated") and str(by_type[CandidateType.SERVER_REFLEXIVE]).endswith("0 pairs")


def test_explanation_is_a_text_that_says_what_it_was_made_of():
    bench = checking()
    bench.run(until=39.6)
    told = bench.agent.explain()
    assert isinstance(told, str) and "192.0.2.1" in told and told == str(told)
    assert copy.copy(told) == pickle.loads(pickle.dumps(told)) == told
    assert pickle.loads(pickle.dumps(told)).findings == told.findings
    assert isinstance(bench.agent.failure, IceFailed) and bench.agent.failure.explanation.findings == told.findings


def test_json_has_the_causes_and_all_that_was_tried():
    servers = (
        ServerAnswered("turn:b", "192.0.2.1", 0.1, at("203.0.113.9", 9), (at("203.0.113.53", 7),)),
        ServerFailed("turn:c", "192.0.2.1", "Unauthorized", 401, 0.2),
    )
    told = json.loads(
        Explanation(facts(state=IceState.FAILED, pairs=(pair(sent=7),), servers=servers, dropped={DropReason.EMPTY: 2})).to_json()
    )
    assert (told["state"], told["role"], told["lite"], told["policy"]) == ("failed", "controlling", False, "all")
    assert told["causes"][0]["cause"] == "peer-silent" and told["causes"][0]["advice"]
    assert told["progress"][0] == {
        "stream": 0,
        "component": 1,
        "type": "host",
        "gathered": 1,
        "told": 1,
        "pairs": 1,
        "sent": 1,
        "heard": 0,
        "answered": 0,
        "nominated": False,
    }
    assert [one["ok"] for one in told["servers"]] == [True, False]
    assert told["servers"][0]["relayed"] == ["203.0.113.53:7"] and told["servers"][1]["code"] == 401
    (component,) = told["streams"][0]["components"]
    assert component["local"] == [LOCAL.to_sdp()] and component["remote"] == [REMOTE.to_sdp()]
    assert component["pairs"][0]["checks_sent"] == 7 and component["selected"] is None
    assert told["dropped"] == {"empty datagram": 2}


def test_json_of_a_connected_agent_has_its_pair():
    told = json.loads(selected().agent.explain().to_json())
    (component,) = told["streams"][0]["components"]
    assert component["selected"]["remote"] == {"type": "host", "address": "198.51.100.1:5000"}
    assert told["causes"] == []


def test_pair_of_the_generation_before_is_told_while_it_carries_the_data():
    two = Two()
    two.net.run(until=0.1)
    two.exchange()
    assert two.connect()
    two.node_a.call(two.a.restart)
    told = two.a.explain()
    assert told.verdict.startswith("ICE is connected: the selected pair is 192.0.2.1:") and not told.findings
