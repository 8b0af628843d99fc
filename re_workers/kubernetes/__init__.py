"""Kubernetes, by kubectl on the worker's machine."""
