"""Notifiers, one transport per file."""
