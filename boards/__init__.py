"""Boards: one file each, and what builds a bitstream for them."""
