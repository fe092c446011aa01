"""A memory of bounded size."""

from collections import deque


class Recent:
    """A set of numbers that remembers its newest members only."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._order: deque[int] = deque()
        self._members: set[int] = set()

    def add(self, number: int) -> None:
        """Remembers one, and forgets the oldest past the size."""
        if len(self._order) >= self._size:
            self._members.discard(self._order.popleft())
        self._order.append(number)
        self._members.add(number)

    def __contains__(self, number: int) -> bool:
        return number in self._members
