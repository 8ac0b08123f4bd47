"""For tests: programs on trio inside a simulated network.

`open_network` puts a `sansice.simulation.Network` under `trio.socket`, and `on_host` says on which of its hosts a program
runs. The program is the same as on a real network: `trio.open_tcp_stream`, `trio.serve_tcp`, `trio.SSLStream`,
`trio.DTLSEndpoint`, datagrams, names, `sansice_trio.open_ice`. Time is that of trio's clock; under an autojump clock minutes
take milliseconds.

The same seed gives the same network: losses, delays, ports. Which of two tasks that are ready at one instant runs first is
trio's choice, and differs from run to run, so that runs are alike and not byte for byte the same. Runs of machines are (see
`Network.run`).
"""

from ._guard import LeftNetworkWarning as LeftNetworkWarning
from ._here import on_host as on_host
from ._network import open_network as open_network
