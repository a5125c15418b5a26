"""Tokens to tree, by recursive descent; one layer per file: recovery, scalar, source, query, flow."""
