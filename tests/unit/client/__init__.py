"""The client and rectl, against a small HTTP server that speaks the API."""
