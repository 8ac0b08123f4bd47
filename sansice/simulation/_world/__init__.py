"""What every simulated network stands on: time, links, segments, hosts, and the runtime that runs machines on them."""
