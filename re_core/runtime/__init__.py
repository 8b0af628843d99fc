"""A process and its surroundings: settings, logs, locks, signals."""
