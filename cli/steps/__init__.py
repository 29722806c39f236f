"""What the commands do, each step with its progress; no printing."""
