"""dploylib: services out of ZeroMQ sockets that speak one envelope (docs/dploylib/README.md).

Importable on its own: pyzmq, PyYAML and the standard library are all that it uses. Must not know the release engine.
"""
