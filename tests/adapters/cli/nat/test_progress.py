import io

import pytest
from rich.console import Console

from sansice.stun import BehaviorProgressed, BehaviorTest, FilteringBehavior, FilteringDiscovered, LifetimeDiscovered
from sansice_cli.nat._progress import Bar, Lines, presenter

EVENTS = [
    BehaviorProgressed(BehaviorTest.FILTERING, 0, 2),
    FilteringDiscovered(FilteringBehavior.ADDRESS_DEPENDENT),
    BehaviorProgressed(BehaviorTest.LIFETIME, 1, 2),
    object(),
    LifetimeDiscovered(30, None),
]


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_lines_have_no_control_codes():
    stream = io.StringIO()
    with Lines(stream) as shown:
        for event in EVENTS:
            shown.show(event)
    assert stream.getvalue().splitlines() == [
        "test 1 of 2: filtering",
        "  filtering: address-dependent: packets come in from addresses that were sent to",
        "test 2 of 2: lifetime",
        "  lifetime: a silent mapping lives for more than 30 s",
    ]


def test_bar_moves_and_findings_stay_above_it():
    stream = Terminal()
    with Bar(Console(file=stream, force_terminal=True, width=100)) as shown:
        shown._progress.refresh()
        for event in EVENTS:
            shown.show(event)
            shown._progress.refresh()
    text = stream.getvalue()
    for words in ("asking", "filtering", "0 of ?", "0 of 2", "lifetime", "1 of 2", "address-dependent: packets come in"):
        assert words in text
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")


@pytest.mark.parametrize(("term", "kind"), [("xterm", Bar), ("dumb", Lines)])
def test_bar_is_for_terminals_that_can_draw_one(monkeypatch, term, kind):
    monkeypatch.setenv("TERM", term)
    assert isinstance(presenter(Terminal()), kind)
    assert isinstance(presenter(io.StringIO()), Lines)
