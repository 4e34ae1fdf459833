"""(placeholder until the branch that has it is merged)"""

from typing import NamedTuple


class Share(NamedTuple):
    index: int = 0
    count: int = 1
