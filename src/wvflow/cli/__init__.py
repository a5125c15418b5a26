"""The command line: each command reads its input, calls one use case and presents what came out."""
