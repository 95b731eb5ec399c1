"""Types of flag values, from command lines and JSON files."""

from typing import Any

Values = dict[str, Any]
"""Values of flags by name; each has the type of its option."""
