"""The report's charts, one a file: each gives its figures and the sentence that they show, computed from the data."""
