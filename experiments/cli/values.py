"""The values of flags, as a command line or a file of JSON gives them."""

from typing import Any

Values = dict[str, Any]
"""Values of flags by their names; each has the type of its option."""
