import pytest
from hypothesis import given, strategies as st

from sansice.ice import Candidate, Description
from sansice_cli.demo._reports import Described, Failed, from_line, to_line

CANDIDATE = Candidate.from_sdp("1 1 udp 2130706431 192.0.2.1 5001 typ host generation 0")
DESCRIPTION = Description("abcd", "0123456789012345678901", candidates=[CANDIDATE], options=("ice2",), pacing=50)


def test_every_report_survives_its_line(steps):
    for report in [report for _, report in steps] + [Described(1.5, DESCRIPTION), Failed(2.5, "line one\nline two")]:
        line = to_line(report)
        assert line.endswith(b"\n") and line.count(b"\n") == 1
        assert from_line(line) == report


@given(st.binary())
def test_nonsense_is_a_value_error(line):
    with pytest.raises(ValueError, match="not a report"):
        from_line(line)


@pytest.mark.parametrize(
    "line",
    [
        b"[]",
        b"{}",
        b'{"report": "Nothing"}',
        b'{"report": []}',
        b'{"report": "PeerKnown"}',
        b'{"report": "PeerKnown", "at": 1, "more": 2}',
        b'{"report": "StateMoved", "at": 1, "state": "happy"}',
        b'{"report": "CandidateFound", "at": 1, "candidate": "1 1 udp"}',
        b'{"report": "CandidateFound", "at": 1, "candidate": null}',
        b'{"report": "Described", "at": 1, "description": "{}"}',
    ],
)
def test_what_only_looks_like_a_report_is_a_value_error(line):
    with pytest.raises(ValueError, match="not a report"):
        from_line(line)
