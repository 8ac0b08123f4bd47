"""Recordings from real sockets replay byte for byte, with their secrets and without; 200 of them by hand: `__main__`."""

import pytest

from adapters.conformance._runtimes import RUNTIMES
from recordings._runs import KINDS, run


@pytest.mark.parametrize("number", range(len(KINDS) * len(RUNTIMES)))
def test_what_was_recorded_on_real_sockets_under_load_replays_to_the_last_byte(tmp_path, number):
    done = run(number, tmp_path, scrub=True)
    assert done.same, "\n".join(str(report) for report in done.reports)
    least = 100 if done.kind == "agents" else 10
    assert all(report.outputs > least for report in done.reports)
