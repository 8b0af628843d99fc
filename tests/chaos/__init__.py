"""Chaos: the shipped programs, a broker and a store are killed, frozen and robbed while they work; an oracle outside of
the engine says whether what was promised was kept.

    python -m tests.chaos --help
"""
