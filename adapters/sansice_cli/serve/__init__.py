"""``sansice serve``: a server that a service manager can run.

`_command` reads the options into `_settings`; `_service` opens everything or nothing, then waits for signals. Beside it are
who may ask (`_users`), counters (`_metrics`), lines about what happened (`_logs`) and the manager's own protocol (`_systemd`).
"""
