"""Artifacts: their names, files and annotation, and the archives that they come in. Pure; must not know where they are kept."""
