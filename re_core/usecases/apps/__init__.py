"""What front doors and the center ask of apps; authorization is asked here. Must not know routes, sockets or the sequencer."""
