"""Canonical formatting: the tokens of a program stay as they are, and only what is between them changes.

``pieces`` are tokens with the comments before them; ``spacing`` says what stands between two on one line; ``layout``
says, from the tree, where a line may break and what breaks together; ``printer`` decides and writes.
"""

from wvflow.syntax.formatter.format import format_text

__all__ = ["format_text"]
