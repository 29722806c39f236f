"""The virtual board: a controller's RTL and a simulated array behind a pseudo-terminal.

A host cannot tell it from a board on a serial port.
"""
