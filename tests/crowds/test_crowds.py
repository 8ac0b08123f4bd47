"""Crowds on one port: nothing is misrouted, and a mux that believes too much is found out."""

import json

import pytest

from crowds.__main__ import main
from crowds._crowd import run_crowd
from sansice.ice._mux import _residents
from sansice.ice._mux._members import Lane
from sansice.ice._mux._residents import Residents


@pytest.mark.parametrize("seed", range(3))
def test_twenty_clients_that_move_and_restart_among_forgers_are_never_mixed_up(seed):
    report = run_crowd(20, 600.0, seed)
    assert report["misrouted"] == report["withheld"] == 0, report
    assert report["delivered"] > 500 and report["connected"] >= 15, report
    assert min(report[name] for name in ("rebound", "restarted", "left", "forged", "unknown")) >= 20, report
    assert report["ambiguous"] < report["delivered"] / 50, report


def test_same_seed_is_the_same_story():
    assert run_crowd(5, 120.0, 7) == run_crowd(5, 120.0, 7) != run_crowd(5, 120.0, 8)


def test_mux_that_believes_a_check_before_the_agent_does_is_found_out(monkeypatch):
    def believe(self, lane, source, data, now):
        lane.agent.handle_datagrams(lane.id, ((source, data),), now=now)
        self.take(lane.member, now)
        if source not in lane.sources:
            self.learn(lane, source)

    monkeypatch.setattr(Residents, "check", believe)
    assert run_crowd(20, 300.0, 1)["withheld"] > 0


def test_mux_that_believes_a_check_whoever_holds_the_address_is_found_out(monkeypatch):
    monkeypatch.setattr(_residents, "claim", lambda lane, source, limit, now: lane.learn(source, limit))
    assert run_crowd(20, 600.0, 1)["misrouted"] > 0


def test_mux_that_never_gives_an_address_to_another_agent_is_found_out(monkeypatch):
    learn = Lane.learn

    def hold(self, source, limit):
        if source not in self.shared.routes:
            learn(self, source, limit)

    monkeypatch.setattr(Lane, "learn", hold)
    assert run_crowd(20, 900.0, 1)["misrouted"] > 0


def test_tool_prints_one_json_object_and_is_content(capsys):
    assert main(["--clients", "4", "--hours", "0.01", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["misrouted"] == 0


@pytest.mark.parametrize("report", [{"misrouted": 1, "withheld": 0}, {"misrouted": 0, "withheld": 1}])
def test_tool_says_so_when_a_packet_went_astray(capsys, monkeypatch, report):
    monkeypatch.setattr("crowds.__main__.run_crowd", lambda *arguments: report)
    assert main([]) == 1
    assert json.loads(capsys.readouterr().out) == report


def test_clients_in_another_process_connect_over_udp_and_tcp_and_hear_only_what_is_for_them(capsys):
    assert main(["--sockets", "12", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["connected"], report["connections"], report["over_tcp"]) == (12, 12, 3)
    assert report["misrouted"] == 0 and report["dropped"] == {}


@pytest.mark.parametrize("report", [{"misrouted": 1, "connected": 5}, {"misrouted": 0, "connected": 4}])
def test_tool_says_so_when_a_client_did_not_connect_or_heard_anothers(capsys, monkeypatch, report):
    monkeypatch.setattr("crowds.__main__.run_sockets", lambda clients: {"clients": clients, **report})
    assert main(["--sockets", "5"]) == 1
    assert json.loads(capsys.readouterr().out)["clients"] == 5
