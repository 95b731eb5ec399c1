"""Short names that identify options."""

import hashlib
import json
from typing import Any


def digest(asked: Any) -> str:
    """Eight hexadecimal digits that identify values, the same in every process.

    Args:
        asked: any JSON value; the order of a dictionary's keys does not matter.
    """
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:8]
