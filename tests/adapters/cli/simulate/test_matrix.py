"""The matrix, from the command line."""

import io
import json
import re
import signal

import pytest

from sansice.simulation import MATRIX_KINDS, MATRIX_TURNS, MatrixCell
from sansice_cli.simulate import _matrix
from sansice_cli.simulate._matrix import draw

HANG = 60  # seconds
HOPELESS = {("symmetric", "symmetric"), ("symmetric", "port-restricted"), ("port-restricted", "symmetric")}


@pytest.mark.long
def test_matrix_is_what_the_rules_of_nats_say(invoke):
    code, output, errors = invoke("simulate", "--matrix", "--runs", 2, "--json")
    assert code == 0
    assert output.count("\n") == 1
    cells = json.loads(output)["cells"]
    expected = [(turn, a, b) for turn in MATRIX_TURNS for a in MATRIX_KINDS for b in MATRIX_KINDS]
    assert [(cell["turn"], cell["a"], cell["b"]) for cell in cells] == expected
    # With a relay, nothing is hopeless.
    assert {(cell["turn"], cell["a"], cell["b"]) for cell in cells if not cell["connected"]} == {
        ("none", *one) for one in HOPELESS
    }
    keys = ["a", "b", "family", "turn", "connected", "pair_types", "median_setup_ms", "runs"]
    assert [list(cell) for cell in cells] == [keys] * 100
    assert {(cell["family"], cell["runs"]) for cell in cells} == {("ipv4", 2)}
    assert "matrix: 100%" in errors


def test_tables_have_a_row_and_a_column_for_each_kind(invoke):
    code, output, _ = invoke("simulate", "--matrix")
    assert code == 0
    lines = output.splitlines()
    heads = [line for line in lines if "controlled" in line or "peer" in line]
    assert len(heads) == len(MATRIX_TURNS)
    assert all(kind in head for head in heads for kind in MATRIX_KINDS)
    agents, *relayed = [line for line in lines if line.startswith("│ symmetric")]
    assert words_in(agents) == ["prflx-host", "prflx-srflx", "prflx-srflx", "no", "no"]
    assert list(map(words_in, relayed)) == [["prflx-host", "prflx-srflx", "prflx-srflx", "prflx-relay", "prflx-relay"]] * 3
    assert max(map(len, lines)) <= 100


def words_in(row):
    return [cell.strip() for cell in row.split("│")[2:-1]]


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_table_is_coloured_on_a_terminal(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.delenv("NO_COLOR", raising=False)
    stream = Terminal()
    cells = [
        MatrixCell("open", "open", "ipv4", "none", True, ("host-host",), 12.0, 1),
        MatrixCell("open", "full-cone", "ipv4", "none", False, ("host-srflx",), 13.0, 2),
        MatrixCell("symmetric", "symmetric", "ipv4", "none", False, (), None, 1),
    ]
    draw(cells, "none", stream)
    shown = stream.getvalue()
    assert "\x1b[32mhost-host" in shown
    assert "\x1b[33mnot always" in shown
    assert re.search(r"\x1b\[31m *no *\x1b", shown)


def test_matrix_that_breaks_the_rules_is_1_and_names_the_cells(invoke, monkeypatch):
    wrong = [
        MatrixCell("open", "open", "ipv4", "none", False, (), None, 1),
        MatrixCell("symmetric", "symmetric", "ipv4", "none", True, ("prflx-prflx",), 5.0, 1),
        MatrixCell("open", "symmetric", "ipv4", "tls", False, (), None, 1),
        MatrixCell("open", "full-cone", "ipv4", "udp", True, ("host-relay", "host-srflx"), 9.0, 2),
        MatrixCell("symmetric", "symmetric", "ipv4", "udp", True, ("prflx-relay",), 9.0, 1),
    ]
    monkeypatch.setattr(_matrix, "matrix", lambda turn, **options: iter([cell for cell in wrong if cell.turn == turn]))
    code, output, _ = invoke("simulate", "--matrix")
    assert code == 1
    assert "open with open: not always connected, and by the rules" in output
    assert "symmetric with symmetric: connected, and by the rules" in output
    assert "open with full-cone with relays over udp: not always direct, and by the rules" in output
    assert output.count("by the rules of NATs") == 4
    assert "open with symmetric with relays over tls: not always connected, and by the rules" in output


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupt_keeps_and_prints_what_is_done(start, number, code):
    with start("simulate", "--matrix", "--runs", "50", "--json") as process:
        assert process.stderr.readline().startswith("matrix: 20%")
        process.send_signal(number)
        output, errors = process.communicate(timeout=HANG)
    assert process.returncode == code
    result = json.loads(output.splitlines()[-1])
    assert result["interrupted"] is True
    assert 20 <= len(result["cells"]) < 100
    assert "full-cone" in errors and "Traceback" not in errors
    assert errors.splitlines()[-1] in ("Interrupted.", "Ended by SIGTERM.")
