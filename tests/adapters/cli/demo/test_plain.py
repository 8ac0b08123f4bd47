from sansice_cli.demo._echo import Echo
from sansice_cli.demo._outcome import Outcome
from sansice_cli.demo._plain import Plain
from sansice_cli.demo._reports import Failed


def test_every_step_is_one_line_with_its_time(story, steps):
    lines = []
    with Plain(story, lines.append) as plain:
        for end, report in steps:
            getattr(story, end).take(report)
            plain.report(getattr(story, end), report)
            plain.refresh(Echo(1, 200))
    assert lines == [
        "A is this process (pid 11), controlling; B is the other process (pid 12), controlled.",
        "           A  candidate A1: host 192.0.2.1:5001",
        "           A  candidate A2: host [fd00::1]:5002",
        "           B  candidate B1: host 192.0.2.1:6001",
        "           B  candidate B2: host [fd00::1]:6002",
        "   0.0 ms  B  knows A's description",
        "   1.0 ms  A  knows B's description",
        "   0.5 ms  B  is checking",
        "   0.5 ms  B  B1 -> A1 in progress",
        "   0.5 ms  B  B2 -> A2 waiting",
        "   2.0 ms  A  is checking",
        "   2.0 ms  A  A1 -> B1 in progress",
        "   2.0 ms  A  A2 -> B2 waiting",
        "   3.0 ms  A  is connected",
        "   3.0 ms  A  A1 -> B1 succeeded",
        "   3.0 ms  B  B1 -> A1 succeeded",
        "   3.5 ms  B  first datagram delivered",
        "  51.0 ms  B  B2 -> A2 failed",
        "  52.0 ms  B  B1 -> A1 selected",
        "  53.0 ms  A  A2 -> B2 not needed any more",
        "  53.0 ms  A  is completed",
        "  53.0 ms  A  A1 -> B1 selected",
    ]


def test_end_that_fails_says_so(told):
    lines = []
    Plain(told, lines.append).report(told.b, Failed(101.0, "because"))
    assert lines[1:] == ["1000.0 ms  B  failed"]


def test_conclusion_is_the_sentences(told):
    lines = []
    outcome = Outcome.of(told, Echo(1, 200), "It rained.", "")
    Plain(told, lines.append).conclude(outcome)
    assert lines[1:] == outcome.sentences()


def test_lines_are_plain_ascii(story, steps):
    lines = []
    plain = Plain(story, lines.append)
    for end, report in steps:
        plain.report(getattr(story, end), report)
    plain.conclude(Outcome.of(story, Echo(1, 200), "", ""))
    assert "".join(lines).isascii() and "".join(lines).isprintable()
