"""The command line: one program over the trainer and the guard, which do not know each other."""
