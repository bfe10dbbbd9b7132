"""The command line and nothing else: a module per command, each with `arguments` and `do`."""
