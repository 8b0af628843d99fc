"""Use cases of pipelines. Must not know how requests travel."""
