"""Real sockets without a runtime: the half of every adapter that is the same for all of them.

`Sockets` holds all sockets of one driver: UDP, TCP, TLS and DTLS. No machine imports this package. An adapter adds the
waiting, and answers `sansice.Resolve`. It is a `sansice.driver.Runtime` over a `sansice.driver.Driver`:

1. ``open_socket``, ``send_datagram``, ``send_datagrams``, ``send_stream``, ``set_reading``, ``set_dont_fragment`` and
   ``close_socket`` hand over to `Sockets.open`, `Sockets.send`, `Sockets.send_all`, `Sockets.send_stream`, `Sockets.set_reading`,
   `Sockets.set_dont_fragment` and `Sockets.close`; ``arm`` keeps the machine's deadline.
2. Its loop waits until `Sockets.fileno` is readable, but no longer than until the earlier of the machine's deadline and
   `Sockets.deadline`; then it calls `Sockets.feed`, or `Sockets.timer` and ``Driver.timer`` with the deadline that passed.
   `Sockets.deadline` may have moved whenever the machine opened or closed something, so a loop that is waiting has to be
   woken where it moved to an earlier time.
3. In the end it has the machine close, goes on with 2 for a second at most while `Sockets.unsent` is not 0, and calls
   `Sockets.close_all`.

`local_hosts` lists the addresses of this machine for `sansice.ice.IceAgent.gather`.

Nothing of this blocks or needs a lock, as long as it happens in one thread. `look_up`, which answers
`sansice.Resolve`, does block: give it a thread.
"""

from ._addresses import (
    NOTHING_LOST as NOTHING_LOST,
    from_sockaddr as from_sockaddr,
    one_more as one_more,
    reason_of as reason_of,
    socket_error as socket_error,
    source_address as source_address,
    to_sockaddr as to_sockaddr,
)
from ._batching import (
    Batching as Batching,
    batching as batching,
)
from ._files import private_file as private_file
from ._interfaces import (
    Interface as Interface,
    InterfaceFilter as InterfaceFilter,
    host_addresses as host_addresses,
    interfaces as interfaces,
    local_hosts as local_hosts,
)
from ._lookup import (
    Answer as Answer,
    LookUps as LookUps,
    address_records as address_records,
    look_up as look_up,
    look_up_error as look_up_error,
)
from ._network_watch import POLL as POLL, NetworkWatch as NetworkWatch
from ._options import (
    check_supported as check_supported,
    configure as configure,
    local_address as local_address,
    ports_to_try as ports_to_try,
    set_dont_fragment as set_dont_fragment,
)
from ._sockets import Sockets as Sockets
from ._tls_config import TlsConfig as TlsConfig
