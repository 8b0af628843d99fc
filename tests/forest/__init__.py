"""Forest runners for tests, which know the protocol and nothing of the engine."""
