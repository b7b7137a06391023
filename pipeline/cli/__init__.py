"""The command line. Each command calls one stage and prints the result for people."""
