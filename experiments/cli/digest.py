"""Short names made from what was asked for."""

import hashlib
import json
from typing import Any


def digest(asked: Any) -> str:
    """Eight hexadecimal digits that tell values apart, the same in every process.

    Args:
        asked: anything that JSON can hold; the order of a dict's keys does not matter.
    """
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:8]
