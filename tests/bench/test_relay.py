"""The benchmark of the relay: its load loses nothing, and counts honestly."""

import shutil
import subprocess

import pytest

from bench import _relay, _relay_idle
from bench._relay_flows import open_flows

needs_compiler = pytest.mark.skipif(not (shutil.which("cc") or shutil.which("gcc")), reason="the load generator is in C")


@needs_compiler
def test_all_packets_of_both_directions_pass_through_ours():
    with _relay.build_load() as program, _relay.ours() as server:
        for count in (1, 3):
            with open_flows(server.port, count) as flows:
                for size in (1, 160, 1200):
                    assert _relay.load(program, flows, size, 500) == {"sent": 1000, "received": 1000, "wrong": 0}
                costs = _relay.Costs(program, server, flows, 160, loads := [])
                assert costs(500) > 0
                assert loads == [{"sent": 1000, "received": 1000, "wrong": 0}]


@needs_compiler
def test_what_does_not_come_back_is_seen_and_what_nobody_sent_is_refused():
    with _relay.build_load() as program, _relay.ours() as server, open_flows(server.port, 1) as flows:
        # Peers that hear each other instead of the relay: what a client sends arrives, and the length of nothing is right.
        (flow,) = flows
        flow.client.connect(flow.peer.getsockname())
        flow.peer.connect(flow.client.getsockname())
        with pytest.raises(RuntimeError, match="no relay does this"):
            _relay.load(program, flows, 160, 10)
        with pytest.raises(subprocess.CalledProcessError):
            _relay.load(program, flows, 0, 10)
    assert _relay.share_lost([{"sent": 100, "received": 99}, {"sent": 100, "received": 100}]) == pytest.approx(0.005)
    assert _relay.share_lost([{"sent": 100, "received": 100}]) == _relay.LEAST_LOST


def test_without_a_compiler_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(_relay.shutil, "which", lambda name: None)
    with pytest.raises(RuntimeError, match="apt-get install gcc"), _relay.build_load():
        pass


def test_a_crowd_is_as_large_as_was_asked_for_and_its_last_is_relayed():
    crowd = _relay_idle.Crowd(30)
    assert crowd.server.stats.allocations == 30
    crowd.relay([(crowd.last[0], b"\x40\x00\x00\x01x")])
    assert crowd.server.stats.received_packets == 1
    assert _relay.idle_bytes(1000) > 0  # fewer may find room in pages that those before them have left
    assert _relay.idle_cost(1, 30)["ratio"] > 0
