"""The modes of the device: what may drive a tile's cells, and the ways between modes."""
