"""A port that peers come to: whom to let in, who waits to be accepted, and what a service of an adapter is made of."""
