"""The sequencer under faults: each call of the store and the bus fails once, processes die, cores race."""
