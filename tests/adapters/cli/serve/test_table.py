"""What a person sees on a terminal."""

import io
import os
import pty
import signal

import pytest
from rich.console import Console

from sansice.turn import TurnServerStats
from sansice_cli.serve._logs import decided_format
from sansice_cli.serve._snapshot import nothing_counted, snapshot_of
from sansice_cli.serve._table import LiveTable, amount


def row(number, **more):
    return {
        "id": str(number), "user": "alice", "client": "udp:192.0.2.7:5", "relayed": ["192.0.2.1:50000"], "lifetime_s": 600,
        "from_client_bytes": number, "to_client_bytes": 0, "dropped": 0, **more,
    }  # fmt: skip


class Drawn:
    """A table on no terminal, and a clock that is set."""

    def __init__(self):
        self.time = 0.0
        self.console = Console(file=io.StringIO(), width=150)
        self.table = LiveTable(["udp:192.0.2.1:3478"], self.console, clock=lambda: self.time)

    def text(self, snapshot, allocations=()):
        with self.console.capture() as capture:
            self.console.print(self.table.picture(snapshot, allocations))
        return capture.get()


def relayed(received, sent, **more):
    return snapshot_of(TurnServerStats(allocations=1, received_bytes=received, sent_bytes=sent, **more))


def test_amounts_for_a_person():
    numbers = {0: "0 B", 999: "999 B", 1000: "1.0 kB", 1_500_000: "1.5 MB", 2 * 10**15: "2000.0 TB"}
    assert {number: amount(number) for number in numbers} == numbers


def test_rates_are_since_the_picture_before():
    drawn = Drawn()
    assert "1 allocation\n" in drawn.text(relayed(0, 0)).replace(" \n", "\n")
    drawn.time = 2.0
    assert "1 allocation, 1.0 kB/s from clients, 5 B/s to clients" in drawn.text(relayed(2000, 10))
    drawn.time = 3.0
    assert "0 B/s from clients" in drawn.text(relayed(0, 10))  # a worker has been started anew


def test_the_busiest_are_shown_and_the_others_counted():
    text = Drawn().text(relayed(0, 0), [row(number) for number in range(20)])
    assert "and 5 more" in text
    assert "19 B" in text
    assert "\n4 " not in text


def test_reasons_of_refusals_are_shown_most_frequent_first():
    snapshot = nothing_counted(False)
    snapshot["stun"] |= {"requests": 1, "connections": 2, "dropped": {"rate-limited": 5, "no-permission": 7}}
    text = Drawn().text(snapshot)
    assert "1 request, 2 streams open; refused: no-permission 7, rate-limited 5" in text
    assert "allocation" not in text


def test_names_do_what_they_like_to_no_terminal():
    assert "\x1b" not in Drawn().text(relayed(0, 0), [row(1, user="\x1b[31mred")])


def test_a_server_on_a_terminal_draws_and_logs_above_it(start):
    ours, theirs = pty.openpty()
    try:
        with start(
            "serve", "--stun-only", "--listen", "udp:127.0.0.1:0", stderr=theirs, env=os.environ | {"TERM": "xterm"}
        ) as process:
            os.close(theirs)
            process.stdout.readline()
            seen = b""
            while b"listening at" not in seen or b"0 requests" not in seen:
                seen += os.read(ours, 4096)
            process.send_signal(signal.SIGTERM)
            while b"ended" not in seen:
                seen += os.read(ours, 4096)
            assert process.wait(60) == 0
    finally:
        os.close(ours)
    assert b"info ready" in seen


@pytest.mark.parametrize(("form", "expected"), [("auto", "json"), ("table", "table"), ("text", "text")])
def test_a_table_is_for_terminals_unless_it_was_asked_for(form, expected):
    assert decided_format(form, io.StringIO()) == expected
