"""Deployments that an aggregate asks for: what becomes known of one, under which id, and when it is asked for again. Pure."""
