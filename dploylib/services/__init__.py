"""Services: applications out of servers."""

from dploylib.services.service import Service

__all__ = ["Service"]
