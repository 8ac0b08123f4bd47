import io
import itertools

import pytest
from rich.console import Console

from sansice_cli.simulate._progress import Bar, Lines, progress, rate_and_rest


@pytest.mark.parametrize(
    ("share", "runs", "elapsed", "words"),
    [
        (0.5, 100, 10.0, "10 runs/s, 10 s left"),
        (0.1, 100, 10.0, "10 runs/s, 1 min 30 s left"),
        (1.0, 100, 10.0, "10 runs/s"),
        (0.0, 0, 10.0, "0 runs/s"),
        (0.5, 3, 0.0, "3 runs, 0 s left"),
    ],
)
def test_rate_and_remaining_time(share, runs, elapsed, words):
    assert rate_and_rest(share, runs, elapsed) == words


def test_without_a_terminal_there_is_a_line_for_each_fifth():
    stream = io.StringIO()
    clock = itertools.count(0.0, 1.0)
    with Lines(stream, "matrix", lambda: next(clock)) as lines:
        for done in range(1, 11):
            lines.show(done / 10, done)
    found = stream.getvalue().splitlines()
    assert found[0] == "matrix: 20%, 2 runs/s, 4 s left"
    assert [line.split()[1] for line in found] == ["20%,", "40%,", "60%,", "80%,", "100%,"]


def test_bar_has_rate_and_remaining_time_and_is_gone_afterwards():
    stream = io.StringIO()
    clock = itertools.chain([0.0], itertools.repeat(10.0))
    console = Console(file=stream, force_terminal=True, width=100)
    with Bar(console, "matrix", lambda: next(clock)) as bar:
        bar.show(0.5, 100)
    shown = stream.getvalue()
    assert "matrix" in shown and "50%" in shown and "10 runs/s, 10 s left" in shown
    assert shown.rstrip().endswith("\x1b[2K")


def test_bar_is_for_terminals_that_can_draw_one(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setenv("TERM", "xterm")
    assert isinstance(progress(Terminal(), "x"), Bar)
    assert isinstance(progress(io.StringIO(), "x"), Lines)
    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(progress(Terminal(), "x"), Lines)
