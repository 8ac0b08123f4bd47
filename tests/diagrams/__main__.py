"""Writes docs/states.md from the transition tables of the code.

python tests/diagrams           writes the file
python tests/diagrams --check   exit code 1 if it is stale
"""

from __future__ import annotations

import enum
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sansice.ice._agent._checklist import CHECKLIST_TRANSITIONS
from sansice.ice._events import ICE_TRANSITIONS
from sansice.ice._gathering._relay import RELAY_TRANSITIONS
from sansice.ice._mux._events import MUX_TRANSITIONS
from sansice.ice._pair import PAIR_TRANSITIONS
from sansice.ice._sdp._offer_answer import SIGNALING_TRANSITIONS
from sansice.simulation._nat._tcp_states import NAT_TCP_TRANSITIONS
from sansice.simulation._world._tcp import TCP_TRANSITIONS
from sansice.stun._behavior._discovery import BEHAVIOR_TRANSITIONS
from sansice.stun._client._exchange import EXCHANGE_TRANSITIONS
from sansice.stun._client._lookup import LOOKUP_TRANSITIONS
from sansice.stun._resolution._resolution import RESOLUTION_TRANSITIONS
from sansice.stun._server._events import SERVER_TRANSITIONS
from sansice.stun._transaction import TRANSACTION_TRANSITIONS
from sansice.turn._client._peer_stream import PEER_STREAM_TRANSITIONS
from sansice.turn._client._states import HOLD_TRANSITIONS, TURN_CLIENT_TRANSITIONS
from sansice.turn._server._events import TURN_SERVER_TRANSITIONS
from sansice.turn._server._peer_connection import PEER_TRANSITIONS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "states.md"
TABLES: dict[str, Mapping[Any, Any]] = {
    "A STUN transaction (RFC 8489 6.2)": TRANSACTION_TRANSITIONS,
    "A request of a STUN client, of one transaction or several (RFC 8489 6.3.4, 9.2.5, 10)": EXCHANGE_TRANSITIONS,
    "From a URI to servers (RFC 8489 8.1, RFC 5928)": RESOLUTION_TRANSITIONS,
    "From a URI to the mapped address (RFC 8305 5)": LOOKUP_TRANSITIONS,
    "A STUN server (RFC 8489 6.3)": SERVER_TRANSITIONS,
    "NAT behaviour discovery (RFC 5780)": BEHAVIOR_TRANSITIONS,
    "A TURN client (RFC 8656)": TURN_CLIENT_TRANSITIONS,
    "A permission or a channel of a TURN client (RFC 8656 9, 12)": HOLD_TRANSITIONS,
    "A TURN client's connection with a peer (RFC 6062 4)": PEER_STREAM_TRANSITIONS,
    "A TURN server (RFC 8656)": TURN_SERVER_TRANSITIONS,
    "A TURN server's connection with a peer (RFC 6062 5)": PEER_TRANSITIONS,
    "A candidate pair (RFC 8445 6.1.2.6)": PAIR_TRANSITIONS,
    "A checklist (RFC 8445 6.1.2.1)": CHECKLIST_TRANSITIONS,
    "An ICE agent (W3C RTCIceTransportState)": ICE_TRANSITIONS,
    "A relayed candidate (RFC 8445 5.1.1.2)": RELAY_TRANSITIONS,
    "Many agents on one port": MUX_TRANSITIONS,
    "Offer and answer (RFC 3264, W3C RTCSignalingState)": SIGNALING_TRANSITIONS,
    "In the laboratory: one end of a TCP connection (RFC 9293 3.3.2)": TCP_TRANSITIONS,
    "In the laboratory: a TCP connection as a NAT sees it (RFC 6146 3.5.2.2)": NAT_TCP_TRANSITIONS,
}


def edges(table: Mapping[Any, Any]) -> Iterator[tuple[enum.Enum, str, enum.Enum]]:
    """(state, input, next state) of both forms of table: by state and what comes in, or by state then by input."""
    for key, value in table.items():
        if isinstance(key, tuple):
            state, *inputs = key
            yield state, ", ".join(str(step.value) for step in inputs), value
        else:
            for step, state in value.items():
                yield key, str(step.value), state


def draw(title: str, table: Mapping[Any, Any]) -> str:
    lines = [f"## {title}", "", "```mermaid", "stateDiagram-v2"]
    listed = list(edges(table))
    lines.append(f"    [*] --> {listed[0][0].name}")
    lines += [f"    {state.name} --> {after.name}: {step}" for state, step, after in listed if state is not after]
    stays = [f"{state.name} on {step}" for state, step, after in listed if state is after]
    lines += ["```", ""]
    if stays:
        lines += ["Stays as it is: " + ", ".join(stays) + ".", ""]
    return "\n".join(lines)


def page() -> str:
    head = "# States\n\nWritten by `python tests/diagrams` from the tables in the code; a test says when it is stale.\n"
    return "\n".join([head, *(draw(title, table) for title, table in TABLES.items())])


if __name__ == "__main__":
    if "--check" in sys.argv[1:]:
        sys.exit(int(PAGE.read_text() != page()))
    PAGE.write_text(page())
