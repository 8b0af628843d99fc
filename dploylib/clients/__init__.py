"""Clients of services: `base` asks and listens, `special` asks and then observes."""
