"""Real servers for the tests: where each comes from, how it is started, how it is stopped.

In order: a URL in the environment, a program on the PATH, a container engine, the service root. Must not know the
engine: what is tested never imports from here.
"""
