"""The words of policies; what they do is in test_local_candidates.py and test_agent_relayed.py."""

import pytest

from sansice.ice import CandidatePolicy, IceAgent
from sansice.machine import LocalProtocolError


def test_policies_are_called_as_w3c_and_browsers_call_them():
    assert [policy.value for policy in CandidatePolicy] == ["all", "conceal-host", "no-host", "relay"]


@pytest.mark.parametrize("wrong", ["relays", "", None, 0])
def test_other_words_are_refused_with_those_that_there_are(wrong):
    with pytest.raises(LocalProtocolError, match="'all', 'conceal-host', 'no-host', 'relay'"):
        IceAgent(controlling=True, policy=wrong)
