"""Tokens to tree, by recursive descent; one layer per file: recovery, literal, scalar, source, later, query, config,
handlers, flow, program."""
