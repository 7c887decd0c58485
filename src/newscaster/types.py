"""Types that several packages share."""

from __future__ import annotations

from typing import Protocol, TypeVar

In = TypeVar("In", contravariant=True)
Out = TypeVar("Out", covariant=True)


class StreamOperator(Protocol[In, Out]):
    """Transforms a stream piece by piece.

    The output does not depend on how the input was cut into pieces. Memory is that of a window and the
    pushed piece. Operators with look-ahead also have ``delay_seconds``.
    """

    def push(self, piece: In, /) -> Out:
        """Return the output that is complete with this piece, of any size."""

    def flush(self) -> Out:
        """End the stream; return the rest of the output."""
