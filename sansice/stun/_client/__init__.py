"""The side that asks: `StunClient`, its exchanges, and the look-up of one mapped address."""
