"""Containers, by the API that Docker's engine and podman have in common."""
