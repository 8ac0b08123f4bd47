"""The client's side: `TurnClient`, what it keeps of an allocation, and how it finds a server."""
