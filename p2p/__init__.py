"""Poison-to-Poison (P2P), a backdoor defence for fine-tuned language models.

Source: "P2P: A Poison-to-Poison Remedy for Reliable Backdoor Defense in LLMs", arXiv 2510.04503. This package is the
defence itself: what must be the same in training and in serving is here, once. It imports neither torch nor a server.
Import from its modules (``p2p.labels``, ``p2p.repoison``, ...).
"""
