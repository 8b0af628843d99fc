"""The agent of a zone: runs releases of apps on one host. It opens no store and speaks with no bus."""
