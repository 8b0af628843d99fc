"""The gateway of forest runners: RunnerService of forest.v1 (runner.proto) on one side, the worker `forest` on the other.

Needs the extra `forest` (grpcio, protobuf): import nothing of it before a gateway is wanted.
"""
