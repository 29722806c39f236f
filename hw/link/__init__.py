"""The command link: UART, COBS frames with CRC-32, and the requests they carry.

``protocol``, ``codec``, ``exchange`` and ``coroutine`` are plain Python for the
host; the other modules are gateware.
"""
