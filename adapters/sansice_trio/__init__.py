"""sansice on trio."""

from ._driver import EventQueue as EventQueue, TrioDriver as TrioDriver, open_driver as open_driver
