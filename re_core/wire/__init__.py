"""What travels the bus: messages, their bodies, what becomes of those that cannot be used."""
