"""Real sockets without a runtime: the half of every adapter that is the same for all of them.

`Sockets` holds all sockets of a driver; an adapter adds the waiting, and a resolver for names. No machine imports
this package.
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
from ._interfaces import (
    Interface as Interface,
    InterfaceFilter as InterfaceFilter,
    host_addresses as host_addresses,
    interfaces as interfaces,
)
from ._lookup import (
    Answer as Answer,
    LookUps as LookUps,
    address_records as address_records,
    look_up as look_up,
    look_up_error as look_up_error,
)
from ._options import (
    check_supported as check_supported,
    configure as configure,
    local_address as local_address,
    ports_to_try as ports_to_try,
)
from ._sockets import Sockets as Sockets
from ._tls_config import TlsConfig as TlsConfig
