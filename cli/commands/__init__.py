"""The `ohmloom` command: parses, calls, prints."""
