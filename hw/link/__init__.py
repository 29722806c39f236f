"""The command link: UART, COBS frames with CRC-32, and the requests they carry.

``protocol``, ``codec``, ``exchange``, ``coroutine`` and ``log_entry`` are plain Python for
the host, ``microcode`` and ``program`` make the command processor's microprogram; the other
modules are gateware.
"""
