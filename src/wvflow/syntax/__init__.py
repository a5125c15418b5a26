"""The text of a program to its tree: ``tokenize``, ``parse``."""

from wvflow.syntax.lexer import tokenize
from wvflow.syntax.parser.program import parse

__all__ = ["parse", "tokenize"]
