"""Our discovery asks somebody else's server of RFC 5780: coturn, at two loopback addresses."""

from __future__ import annotations

import pytest
import trio

from _certificates import Authority
from interop._coturn import coturn
from interop._loopback import LIMIT
from sansice.stun import (
    BehaviorConfig,
    BehaviorTest,
    ClassicType,
    FilteringBehavior,
    FragmentHandling,
    MappingBehavior,
    Schedule,
    ServerKind,
)
from sansice_trio import discover_nat


@pytest.mark.req("RFC5780-001", "RFC5780-003")
async def test_every_test_can_be_run_with_coturn(tmp_path):
    config = BehaviorConfig(schedule=Schedule(rc=4, rm=2), lifetime_first=0.2)
    with coturn(tmp_path, Authority(tmp_path).issue("stun.example.org")) as server, trio.fail_after(LIMIT):
        found = await discover_nat(server.plain, tests=list(BehaviorTest), lifetime_limit=0.4, config=config)
    assert (found.kind, found.classic) == (ServerKind.RFC5780, ClassicType.OPEN)
    assert (found.mapping, found.filtering) == (MappingBehavior.NONE, FilteringBehavior.ENDPOINT_INDEPENDENT)
    assert found.fragments == FragmentHandling(outgoing=True, incoming=True)
    assert found.alg is False
    assert found.lifetime_s >= 0.4
    assert found.expired_s is None
    assert dict(found.unavailable) == {BehaviorTest.HAIRPINNING: "there is no NAT that could turn packets round"}
