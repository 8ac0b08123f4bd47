"""sansice on trio.

`open_ice` connects two programs; `stun_binding`, `discover_nat` and `serve_stun` are STUN alone; `open_driver` runs
any machine, the user's own included. Every exception is one of `sansice.ice` (`IceError`), `sansice.stun.StunError` or
`sansice.LocalProtocolError`; exception groups pass through.
"""

try:
    import ifaddr as _ifaddr  # noqa: F401 - which listing interfaces needs; better missed now than then

    from sansice.sockets import Interface as Interface, InterfaceFilter as InterfaceFilter, interfaces as interfaces

    from ._driver import EventQueue as EventQueue, TrioDriver as TrioDriver, open_driver as open_driver
    from ._ice import Candidates as Candidates, IceConnection as IceConnection, open_ice as open_ice
    from ._stun import (
        StunService as StunService,
        discover_nat as discover_nat,
        serve_stun as serve_stun,
        stun_binding as stun_binding,
    )
except ModuleNotFoundError as _error:
    if _error.name in ("trio", "ifaddr"):  # what the extra `trio` installs
        _error.msg = f"sansice_trio needs {_error.name}; install it with: pip install 'sansice[trio]'"
    raise
