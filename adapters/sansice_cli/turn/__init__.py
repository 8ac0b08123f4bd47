"""``sansice turn``: whether a relay works, how quick it is, and what is wrong where it does not."""
