"""A request becomes a deployment, or a refusal."""
