"""Words that several parts of the library share."""

from __future__ import annotations

#: the text on the control socket that ends every server of a service
COORDINATOR_SHUTDOWN = "!shutdown!"

#: sections of a configuration
SETTINGS_GENERAL_SECTION = "general"
SETTINGS_SERVER_SECTION = "servers"
