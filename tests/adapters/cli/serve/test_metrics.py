"""Counters as metrics, added up over workers."""

from sansice import DropReason
from sansice.stun import StunServerStats
from sansice.turn import TurnServerStats
from sansice_cli.serve._metrics import metrics_answer
from sansice_cli.serve._snapshot import added, nothing_counted, snapshot_of, without_gauges


def busy():
    stats = TurnServerStats(stun=StunServerStats(requests=3, connections=2), allocations=1, opened=2, sent_bytes=100)
    stats.stun.errors[401] += 1
    stats.drop(DropReason.NO_PERMISSION, 5)
    return snapshot_of(stats)


def lines(snapshot):
    answer = metrics_answer(snapshot)
    assert (answer.status, answer.kind.partition(";")[0]) == (200, "text/plain")
    return [line for line in answer.content.decode().splitlines() if not line.startswith("#")]


def test_a_server_that_relays_nothing_has_no_metrics_of_relays():
    found = lines(nothing_counted(False))
    assert "sansice_stun_requests_total 0.0" in found
    assert not any("turn" in line for line in found)


def test_every_part_that_is_there_is_told():
    parts = {"lookups": {"failures": 1, "refused": 0}, "lost": {"ENETUNREACH": 2}, "workers": {"running": 2, "restarts": 1}}
    snapshot = busy() | parts
    snapshot["turn"]["closed"] = {"expired": 1}
    found = lines(snapshot)
    for line in (
        'sansice_stun_errors_total{code="401"} 1.0',
        'sansice_dropped_total{reason="no-permission"} 5.0',
        "sansice_turn_allocations 1.0",
        "sansice_turn_opened_total 2.0",
        'sansice_turn_relayed_bytes_total{direction="to_client"} 100.0',
        'sansice_turn_closed_total{reason="expired"} 1.0',
        "sansice_lookup_failures_total 1.0",
        'sansice_lost_total{reason="ENETUNREACH"} 2.0',
        "sansice_workers 2.0",
        "sansice_worker_restarts_total 1.0",
    ):
        assert line in found


def test_snapshots_are_added_part_by_part():
    total = added([nothing_counted(True), busy(), busy()])
    assert total["stun"]["requests"] == 6
    assert total["stun"]["errors"] == {"401": 2}
    assert total["turn"]["sent_bytes"] == 200


def test_what_a_dead_process_counted_goes_on_counting_and_what_it_had_is_gone():
    left = without_gauges(busy())
    total = added([nothing_counted(True), left])
    assert (total["turn"]["opened"], total["turn"]["allocations"], total["stun"]["connections"]) == (2, 0, 0)
    assert without_gauges({}) == {}
