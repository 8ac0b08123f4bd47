from sansice import Address, Event, Transport
from sansice.ice import (
    Candidate,
    CandidateGathered,
    CandidatePair,
    CandidateType,
    Closed,
    ConsentExpired,
    DataReceived,
    GatheringCompleted,
    IceState,
    IceStateChanged,
    PairSelected,
    PairState,
    PairValidated,
    ServerFailed,
)
from sansice.simulation._records._events import in_words

LOCAL = Candidate("1", 1, Transport.UDP, 100, Address("192.0.2.1", 5000), CandidateType.HOST)
REMOTE = Candidate("1", 1, Transport.UDP, 100, Address("192.0.2.2", 6000), CandidateType.SERVER_REFLEXIVE)
PAIR = CandidatePair(LOCAL, REMOTE, 1, PairState.SUCCEEDED, True)


class Surprised(Event):
    pass


def test_events_in_words():
    told = {
        CandidateGathered(0, 1, LOCAL): "alice has the candidate host 192.0.2.1:5000",
        GatheringCompleted(): "alice has gathered all candidates",
        ServerFailed("stun:192.0.2.9", "192.0.2.1", "no answer"): "alice got nothing from stun:192.0.2.9: no answer",
        IceStateChanged(IceState.NEW, IceState.CHECKING): "alice is checking",
        PairSelected(0, 1, PAIR): "alice selects host-srflx: host 192.0.2.1:5000 -> srflx 192.0.2.2:6000",
        ConsentExpired(0, 1, False): "alice has lost the peer's consent",
        ConsentExpired(0, 1, True): "alice has lost the peer's consent, which was revoked",
        Closed(): "alice is closed",
        PairValidated(0, 1, PAIR): None,
        DataReceived(0, 1, b"x"): None,
        Surprised(): "alice tells Surprised",
    }
    for event, words in told.items():
        assert in_words("alice", event) == words
