"""sansice on asyncio.

`open_ice` connects two programs, `serve_ice` many with one port; `stun_binding`, `discover_nat` and `serve_stun` are
STUN alone; `open_turn` has a server relay, and `serve_turn` is one; `open_driver` runs any machine, the user's own
included. Every exception is one of `sansice.ice` (`IceError`), `sansice.stun.StunError`, `sansice.turn.TurnError` or
`sansice.LocalProtocolError`; a defect comes out in an exception group.
"""

from importlib import import_module as _import_module
from typing import TYPE_CHECKING

try:
    import ifaddr as _ifaddr  # noqa: F401 - which listing interfaces needs; better missed now than then

    from sansice.sockets import Interface as Interface, InterfaceFilter as InterfaceFilter, interfaces as interfaces

    from ._driver import AsyncioDriver as AsyncioDriver, EventQueue as EventQueue, open_driver as open_driver
    from ._ice import (
        Candidates as Candidates,
        IceChannel as IceChannel,
        IceConnection as IceConnection,
        IceStates as IceStates,
        open_ice as open_ice,
    )
    from ._stun import (
        StunService as StunService,
        discover_nat as discover_nat,
        serve_stun as serve_stun,
        stun_binding as stun_binding,
    )
except ModuleNotFoundError as _error:
    if _error.name == "ifaddr":  # what the extra `asyncio` installs
        _error.msg = f"sansice_asyncio needs {_error.name}; install it with: pip install 'sansice[asyncio]'"
    raise

if TYPE_CHECKING:
    from ._ice_service import (
        IceService as IceService,
        ServedConnection as ServedConnection,
        serve_ice as serve_ice,
    )
    from ._turn import (
        TurnConnection as TurnConnection,
        TurnPeer as TurnPeer,
        TurnStream as TurnStream,
        open_turn as open_turn,
    )
    from ._turn_service import TurnService as TurnService, serve_turn as serve_turn

# Loaded when first asked for: most programs need no relay of their own, and no server at all.
_LAZY = {
    "_ice_service": ("IceService", "ServedConnection", "serve_ice"),
    "_turn": ("TurnConnection", "TurnPeer", "TurnStream", "open_turn"),
    "_turn_service": ("TurnService", "serve_turn"),
}
_MODULE_OF = {name: module for module, names in _LAZY.items() for name in names}

if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        module = _MODULE_OF.get(name)
        if module is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = globals()[name] = getattr(_import_module(f".{module}", __name__), name)
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *_MODULE_OF})
