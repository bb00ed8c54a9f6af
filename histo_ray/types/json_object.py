"""Raw JSON, where no model of ours describes it. No I/O."""

from typing import Any

JsonObject = dict[str, Any]
"""An object of JSON or TOML whose keys another tool decides: read field by field, never trusted."""
