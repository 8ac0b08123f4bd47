"""``sansice stun``: how servers see this machine, several asked at once."""
