"""Backdoor attacks, one family a file, under the names of the literature. They exist to test defences with."""
