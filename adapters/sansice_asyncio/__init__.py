"""sansice on asyncio.

`open_ice` connects two programs; `open_driver` runs any machine, the user's own included. Every exception
is one of `sansice.ice` (`IceError`) or `sansice.LocalProtocolError`; a defect comes out in an exception group.
"""

try:
    import ifaddr as _ifaddr  # noqa: F401 - which listing interfaces needs; better missed now than then

    from sansice.sockets import Interface as Interface, InterfaceFilter as InterfaceFilter, interfaces as interfaces

    from ._driver import AsyncioDriver as AsyncioDriver, EventQueue as EventQueue, open_driver as open_driver
    from ._ice import Candidates as Candidates, IceConnection as IceConnection, open_ice as open_ice
except ModuleNotFoundError as _error:
    if _error.name == "ifaddr":  # what the extra `asyncio` installs
        _error.msg = f"sansice_asyncio needs {_error.name}; install it with: pip install 'sansice[asyncio]'"
    raise
