"""The center: it lets clients ask for releases, carries their steps to zones, and keeps zones at what the journals say."""
