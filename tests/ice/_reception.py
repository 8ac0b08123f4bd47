"""An `IceReception` on the bench: what `MuxBench` does for a mux, and a book of passwords."""

import random

from ice._mux import PORT, MuxBench, client, credentials
from sansice.ice import Admission, IceReception, ReceptionLimits, UnknownUfrag
from sansice.machine import Address

HASTY = ReceptionLimits(max_arriving=2, arrival_timeout=5.0, max_waiting=2, accept_timeout=3.0)


def by_number(stranger: UnknownUfrag) -> Admission | None:
    """Lets those in whom `check` of the bench makes, with numbers from 1 to 9."""
    number = int(stranger.ufrag[-1])
    if not number:
        return None
    return Admission(credentials(number).pwd, client(number).pwd)


class ReceptionBench(MuxBench):
    """A reception that listens at `PORT`."""

    def __init__(self, *listen: Address, admit=by_number, started: bool = True, **options) -> None:
        super().__init__(started=False)
        options.setdefault("entropy", random.Random(7).randbytes)
        self.mux = self.reception = IceReception(admit=admit, **options)
        if started:
            self.call(self.mux.start, listen or (PORT,))
            self.open_all()

    def dropped(self) -> dict[str, int]:
        """What its mux has dropped."""
        return {reason.name: count for reason, count in self.reception.mux.stats.dropped.items() if count}

    def counted(self) -> dict[str, int]:
        """What it has counted of strangers, without noughts."""
        stats = self.reception.stats
        return {name: getattr(stats, name) for name in stats.__slots__ if not name.startswith("_") and getattr(stats, name)}

    def heard(self, *kinds: type) -> list[object]:
        """What it has told of some kinds."""
        return [one for one in self.events if isinstance(one, kinds)]
