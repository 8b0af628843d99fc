"""dploy: push an app, get a running release. The center, the builder, and the agent of a zone.

Needs the extra `dploy`: import nothing of pyzmq before dploy is wanted.
"""
