"""What may be tuned about mDNS."""

import pytest

from sansice.ice import MdnsConfig


@pytest.mark.parametrize(
    "name", ["query_timeout", "ttl", "max_ttl", "max_links", "max_names", "max_searches", "max_unicast_answers"]
)
@pytest.mark.parametrize("value", [0, -1, float("nan")])
def test_what_is_not_more_than_nothing_is_refused(name, value):
    with pytest.raises(ValueError, match=f"{name} must be more than 0"):
        MdnsConfig(**{name: value})
