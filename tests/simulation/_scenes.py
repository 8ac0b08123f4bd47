"""Scenes that tests start from."""

from __future__ import annotations

from typing import Any

from sansice.simulation import AgentSpec, HostSpec, NatSpec, Scene, StunServerSpec

PARTS: dict[str, Any] = {
    "name": "two-homes",
    "nats": (NatSpec("home A", "203.0.113.1"), NatSpec("home B", "198.51.100.1")),
    "hosts": (HostSpec("alice", "192.168.1.2", behind="home A"), HostSpec("bob", "192.168.1.2", behind="home B")),
    "servers": (StunServerSpec("stun", "192.0.2.9"),),
    "agents": (
        AgentSpec("alice", controlling=True, ice_servers="stun:192.0.2.9"),
        AgentSpec("bob", ice_servers="stun:192.0.2.9"),
    ),
}


def two_homes(**parts: Any) -> Scene:
    """Two homes behind port-restricted NATs; ``parts`` replaces fields of the scene."""
    return Scene(**{**PARTS, **parts})
