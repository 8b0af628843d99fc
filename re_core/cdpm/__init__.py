"""Pipeline nodes that subscribe to, vote on and promote each other's releases; pure: tables, records, fold and messages."""
