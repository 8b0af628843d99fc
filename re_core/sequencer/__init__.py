"""The shell around the machine: take, advance, append, publish, acknowledge."""
