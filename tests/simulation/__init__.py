"""Many cores and workers on a simulated broker, store and clock: a seed decides what goes wrong, an oracle what must hold."""
