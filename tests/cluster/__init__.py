"""A cluster for tests: the shipped programs as processes of their own, on a broker and a store that the test brings."""
