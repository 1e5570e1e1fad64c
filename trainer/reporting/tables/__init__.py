"""The report's tables, one a file. Each is plain text in cells, from which HTML and Markdown are made alike."""
