"""The error codes that a client acts on."""

import pytest

from sansice.turn._client._codes import NO_CAPACITY, QUOTA_REACHED, may_pass


@pytest.mark.parametrize(("code", "passes"), [(None, True), (500, True), (NO_CAPACITY, True), (QUOTA_REACHED, False)])
def test_no_answer_and_a_trouble_of_the_servers_may_pass(code, passes):
    assert may_pass(code) is passes
