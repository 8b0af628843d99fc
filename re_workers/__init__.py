"""Steps out: the worker SDK, built-in steps, notifiers."""
