"""`rectl`: the command line, and the Python client under it."""
