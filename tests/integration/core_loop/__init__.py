"""The shell around the machine, on the real embedded bus and a real SQLite file."""
