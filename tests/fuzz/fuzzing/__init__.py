"""What the fuzz tests share: the grammar as a table, texts drawn from it, tables to run them over, mutations."""
