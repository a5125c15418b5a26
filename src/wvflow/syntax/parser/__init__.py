"""Tokens to tree, by recursive descent; one layer per file: recovery, literal, scalar, source, operators,
flow_operators, query, config, handlers, flow, definitions, commands, program."""
