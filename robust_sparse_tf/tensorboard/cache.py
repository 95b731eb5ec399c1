"""Values that are kept as long as there is room for them."""

import collections
import threading
from collections.abc import Hashable
from typing import Any


class Cache:
    """The values that were used last.

    Args:
        room: bytes of all values together.
    """

    def __init__(self, room: int) -> None:
        self._room = room
        self._used = 0
        self._values: collections.OrderedDict[Hashable, tuple[Any, int]] = collections.OrderedDict()
        self._lock = threading.Lock()  # TensorBoard answers each request in a thread

    def get(self, key: Hashable) -> Any:
        """The value of a key, or None."""
        with self._lock:
            if key not in self._values:
                return None
            self._values.move_to_end(key)
            return self._values[key][0]

    def put(self, key: Hashable, value: Any, size: int) -> None:
        """Keeps a value of a size in bytes, and forgets those that were not used for longest."""
        with self._lock:
            self._used += size - self._values.pop(key, (None, 0))[1]
            self._values[key] = value, size
            while self._used > self._room:
                _, (_, freed) = self._values.popitem(last=False)
                self._used -= freed
