"""Pin-level models of the array card's parts, for simulation only.

They are Amaranth components, so that a Verilog simulator and a compiled C++
simulation run the very same models. They see the pins on the controller's clock.
Every minimum of a part is checked in whole cycles, rounded up; one that is not
longer than a cycle is met by construction, since two edges are at least a cycle
apart. A broken rule sets ``fault``, which stays.
"""
