"""From files to examples: records out of any format, rows out of records."""
