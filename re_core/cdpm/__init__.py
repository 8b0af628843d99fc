"""Pipelines of projects that subscribe to, vote on and promote each other's releases (docs/cdpm.md). Pure: tables, fold, messages."""
