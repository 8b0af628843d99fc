"""Built-in steps, one command per file."""
