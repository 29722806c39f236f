"""From a bundle to a board that runs it: loading, writing cells, reading back, self-test."""
