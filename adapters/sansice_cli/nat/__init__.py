"""``sansice nat``: what kind of NAT is in the way, and what that means for calls."""
