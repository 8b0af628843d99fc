"""Secrets of steps: references in parameters, where their values come from, and how they are kept out of all that is said.

Must not know the bus, nor the steps that use them.
"""
