import json

import attrs
import pytest

from sansice.ice import Candidate, CandidateType, IceRole, PairState
from sansice_cli.demo._echo import Echo
from sansice_cli.demo._outcome import Outcome, percentile, why
from sansice_cli.demo._story import EndStory, PairStory

HOST = Candidate.from_sdp("1 1 udp 2130706431 192.0.2.1 5001 typ host")


def echoed(count, of=4):
    """An echo of which ``count`` came back, after 1 ms, 2 ms, ..."""
    echo = Echo(of, 200)
    for step in range(of):
        data = echo.next(now=10.0 * step)
        if step < count:
            echo.received(data, now=10.0 * step + (step + 1) / 1000)
    return echo


def test_json_of_a_success_has_the_keys_that_programs_read(told):
    outcome = Outcome.of(told, echoed(4), "", "")
    assert outcome.exit_code == 0
    assert json.loads(outcome.to_json()) == {
        "connected": True,
        "sent": 4,
        "echoed": 4,
        "setup_ms": 52.0,
        "first_byte_ms": 2.5,
        "round_trip_ms": {"p50": 2.0, "p99": 4.0},
        "pair": {
            "local": {"type": "host", "address": "192.0.2.1:5001"},
            "remote": {"type": "host", "address": "192.0.2.1:6001"},
        },
    }


def test_json_is_one_line(told):
    assert "\n" not in Outcome.of(told, echoed(0), "Two\nlines.", "").to_json()


def test_json_of_a_failure_says_null_and_why(story):
    outcome = Outcome.of(story, Echo(4, 200), "It rained.", "")
    assert outcome.exit_code == 1
    assert json.loads(outcome.to_json()) == {
        "connected": False,
        "sent": 0,
        "echoed": 0,
        "setup_ms": None,
        "first_byte_ms": None,
        "round_trip_ms": None,
        "pair": None,
        "error": "It rained.",
    }


def test_lost_datagram_is_a_failure(told):
    outcome = Outcome.of(told, echoed(3), "", "")
    assert (outcome.exit_code, outcome.problem) == (1, "Only 3 of 4 datagrams came back.")
    assert json.loads(outcome.to_json())["connected"] is True


def test_different_pairs_are_a_failure(told):
    told.b.selected = PairStory(HOST, HOST, 1)
    outcome = Outcome.of(told, echoed(4), "", "")
    assert (outcome.exit_code, outcome.problem) == (1, "The two ends selected different pairs.")


def test_sentences_say_which_pair_won_and_why_and_how_long_it_took(told):
    assert Outcome.of(told, echoed(4), "", "").sentences() == [
        "192.0.2.1:5001 -> 192.0.2.1:6001 won (host to host, no NAT between them):"
        " its check was answered, and of 2 pairs it has the highest priority.",
        "The first datagram arrived 2.50 ms after both ends knew each other's description; the pair was selected after 52.0 ms.",
        "4 of 4 datagrams of 200 bytes came back; round trip p50 2.00 ms, p99 4.00 ms.",
    ]


def test_sentences_of_a_failure_end_with_the_problem_and_what_the_agent_says(story):
    assert Outcome.of(story, Echo(4, 200), "It rained.", "ICE is checking:\n  local  host").sentences() == [
        "It did not work: It rained.",
        "ICE is checking:",
        "  local  host",
    ]


def end_with(*pairs):
    end = EndStory("A", "here", IceRole.CONTROLLING)
    end.pairs = dict(enumerate(pairs))
    return end


def pair(priority, state, kind=CandidateType.HOST):
    local = attrs.evolve(HOST, type=kind)
    return PairStory(local, HOST, priority, steps=[(1.0, state)])


WON = pair(5, PairState.SUCCEEDED)


@pytest.mark.parametrize(
    ("others", "reason"),
    [
        ([], "it is the only pair, and its check was answered"),
        ([pair(4, PairState.SUCCEEDED)], "its check was answered, and of 2 pairs it has the highest priority"),
        ([pair(6, PairState.FAILED)], "its check was answered, and the pair of higher priority failed"),
        ([pair(6, PairState.FAILED)] * 2, "its check was answered, and the 2 pairs of higher priority failed"),
        (
            [pair(6, PairState.FAILED), pair(7, PairState.IN_PROGRESS)],
            "its check was answered, and the 2 pairs of higher priority did not answer in time",
        ),
    ],
)
def test_reason_tells_what_the_other_pairs_did(others, reason):
    assert why(end_with(WON, *others), WON).endswith(f": {reason}.")


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (CandidateType.HOST, "host to host, no NAT between them"),
        (CandidateType.SERVER_REFLEXIVE, "server-reflexive to host"),
        (CandidateType.PEER_REFLEXIVE, "peer-reflexive to host"),
        (CandidateType.RELAYED, "relayed to host"),
    ],
)
def test_sentence_names_the_types(kind, words):
    won = pair(5, PairState.SUCCEEDED, kind)
    assert f"won ({words}):" in why(end_with(won), won)


@pytest.mark.parametrize(("count", "p50", "p99"), [(1, 1, 1), (2, 1, 2), (100, 50, 99), (1000, 500, 990)])
def test_percentile_is_the_nearest_rank(count, p50, p99):
    values = [float(value) for value in range(count, 0, -1)]
    assert (percentile(values, 50), percentile(values, 99)) == (p50, p99)
