"""Gateways: workers to the core, and servers of other protocols to agents of those. Must not know the front end and the client."""
