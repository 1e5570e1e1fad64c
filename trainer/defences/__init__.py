"""Defences behind one interface, one a file, so that P2P is measured against them on the same data."""
