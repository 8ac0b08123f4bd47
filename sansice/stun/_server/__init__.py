"""The side that answers: `StunServer`, its limits, connections and what it says of itself."""
