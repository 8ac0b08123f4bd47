"""What one gathering brings, for people and programs."""

import math

import attrs
import pytest

from sansice import Address
from sansice.ice import (
    Candidate,
    CandidateGathered,
    GatheringCompleted,
    HostAddress,
    InterfaceKind,
    ServerAnswered,
    ServerFailed,
)
from sansice_cli.gather._round import Round

STUN, TURN = "stun:192.0.2.9", "turn:192.0.2.9"
HOST = Candidate.from_sdp("candidate:1 1 udp 2130706431 10.0.0.2 5000 typ host")
OUTER = Candidate.from_sdp("candidate:2 1 udp 1694498815 203.0.113.1 6000 typ srflx raddr 10.0.0.2 rport 5000")
HIDDEN = Candidate.from_sdp("candidate:3 1 udp 16777215 192.0.2.9 7000 typ relay raddr 0.0.0.0 rport 0")


@pytest.fixture
def round():
    return Round([STUN, TURN], began=100.0)


def test_a_candidate_has_its_time_its_base_and_the_parts_of_its_priority(round):
    found = [round.take(CandidateGathered(0, 1, one), now=100.0125) for one in (HOST, OUTER, HIDDEN)]
    assert found == round.found
    assert [one.cells() for one in found] == [
        ("12.5 ms", "host", "udp", "10.0.0.2:5000", "", "", "126 | 65535 | 1"),
        ("12.5 ms", "srflx", "udp", "203.0.113.1:6000", "from 10.0.0.2:5000", "", "100 | 65535 | 1"),
        ("12.5 ms", "relay", "udp", "192.0.2.9:7000", "", "", "0 | 65535 | 1"),
    ]


def test_a_candidate_is_told_with_the_interface_of_its_base_where_that_is_known():
    wired = HostAddress("10.0.0.2", interface="eth0", kind=InterfaceKind.WIRED)
    hosts = [wired, HostAddress("fd00::2", interface="wlan0", kind=InterfaceKind.WIRELESS, is_temporary=True)]
    hosts += [HostAddress("127.0.0.1", interface="lo"), HostAddress("fd00::3", interface="ppp0", is_temporary=True)]
    round = Round([], hosts, began=0.0)
    locals = [
        HOST,
        OUTER,
        HIDDEN,
        *(attrs.evolve(HOST, address=Address(host, 5000)) for host in ("fd00::2", "127.0.0.1", "fd00::3")),
    ]
    found = [round.take(CandidateGathered(0, 1, one), now=0.0) for one in locals]
    assert found[0].host == wired
    told = ["on eth0 (wired)", "on eth0 (wired)", "", "on wlan0 (wireless, temporary)", "on lo", "on ppp0 (temporary)"]
    assert [one.cells()[5] for one in found] == told
    assert round.to_json()["addresses"][:2] == [
        {"address": "10.0.0.2", "interface": "eth0", "kind": "wired", "temporary": False},
        {"address": "fd00::2", "interface": "wlan0", "kind": "wireless", "temporary": True},
    ]


def test_a_server_that_answers_one_address_is_good_and_says_whom_it_did_not_answer(round):
    outer, relayed = Address("203.0.113.1", 6000), Address("192.0.2.9", 7000)
    assert round.take(ServerAnswered(TURN, "10.0.0.2", 0.03, outer, (relayed,)), now=101.0) is None
    round.take(ServerAnswered(TURN, "10.0.0.3", 0.02, outer, (relayed,)), now=101.0)
    round.take(ServerFailed(TURN, "10.0.0.4", "no answer"), now=101.0)
    server = round.servers[TURN]
    assert server.sentence() == (f"{TURN}: sees 203.0.113.1:6000 after 20.0 ms, and relays at 192.0.2.9:7000 (not to 10.0.0.4)")
    assert server.to_json() == {
        "url": TURN,
        "ok": True,
        "ms": 20.0,
        "error": None,
        "mapped": ["203.0.113.1:6000"],
        "relayed": ["192.0.2.9:7000"],
    }


def test_a_server_that_answers_nobody_says_why_once(round):
    for local in ("10.0.0.2", "10.0.0.3"):
        round.take(ServerFailed(STUN, local, "no \x1b answer"), now=101.0)
    assert round.servers[STUN].sentence() == f"{STUN}: no \\x1b answer"
    assert round.servers[TURN].error == "it was not waited for any longer"
    assert round.servers[STUN].to_json() | {"mapped": 0, "relayed": 0} == {
        "url": STUN,
        "ok": False,
        "ms": None,
        "error": "no \\x1b answer",
        "mapped": 0,
        "relayed": 0,
    }


def test_it_worked_where_there_are_candidates_and_every_server_answered(round):
    assert not round.is_complete
    round.take(CandidateGathered(0, 1, HOST), now=100.5)
    assert not round.worked
    for url in (STUN, TURN):
        round.take(ServerAnswered(url, "10.0.0.2", 0.02, Address("203.0.113.1", 6000)), now=101.0)
    assert round.worked
    round.take(GatheringCompleted(), now=102.0)
    assert round.is_complete
    assert round.sentence() == "1 candidate, complete after 2000.0 ms."
    assert round.to_json()["candidates"] == [HOST.to_sdp()]
    assert round.to_json()["complete_ms"] == 2000.0


def test_a_machine_without_addresses_has_not_worked():
    round = Round([], began=0.0)
    assert round.seconds == math.inf
    round.take(GatheringCompleted(), now=0.0)
    assert not round.worked
    assert round.sentence() == "This machine has no address that could be used."
