"""JSON Schemas of everything that travels, with examples."""
