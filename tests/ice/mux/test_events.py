"""What a mux tells can be read, and shows data in hex."""

from sansice.ice import AgentEvent, AgentId, DataReceived, MuxState
from sansice.ice._mux._events import MUX_TRANSITIONS, MuxInput


def test_event_of_an_agent_shows_its_number_and_data_in_hex():
    assert repr(AgentEvent(AgentId(7), DataReceived(0, 1, b"\x80\x01"))) == (
        "AgentEvent(agent=7, event=DataReceived(stream=0, component=1, data=8001))"
    )


def test_closed_mux_stays_closed():
    assert MUX_TRANSITIONS[MuxState.CLOSED] == {MuxInput.CLOSE: MuxState.CLOSED}
