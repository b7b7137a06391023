"""The command line. Each command calls one function of the pipeline and prints its result."""
