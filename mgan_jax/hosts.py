"""(placeholder)"""

from typing import NamedTuple


class Share(NamedTuple):
    index: int = 0
    count: int = 1  # type: ignore[assignment]


WHOLE = Share()
