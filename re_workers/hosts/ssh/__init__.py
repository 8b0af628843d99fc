"""Hosts over the system's ssh: connections that stay warm, and sessions over them. Must not know what is run."""
