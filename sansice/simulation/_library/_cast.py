"""Who appears in most scenes: a STUN server, and a caller and a called one who know it."""

from __future__ import annotations

from sansice.simulation._scene._parts import AgentSpec, StunServerSpec

STUN = StunServerSpec("stun", "192.0.2.9")
ASK_STUN = "stun:192.0.2.9:3478"


def couple(caller: str = "alice", called: str = "bob", *, ice_servers: str | tuple[str, ...] = ASK_STUN) -> tuple[AgentSpec, ...]:
    """An agent on each of two hosts, the first of which controls."""
    return (AgentSpec(caller, controlling=True, ice_servers=ice_servers), AgentSpec(called, ice_servers=ice_servers))
