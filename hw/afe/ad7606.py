"""The AD7606: the array card's slow converter, 200 kSPS, pins instead of registers.

Eight channels, sampled together, over the serial interface with two data lines; RANGE
high (+-10 V) and OS[2:0] low (no oversampling) are straps of the card. Conversion and
read-out are those of the AD7606C-16 (:class:`~ohmloom.hw.afe.ad7606c.AdcBank`, which takes
this ``PART``): BUSY is high while the part converts, the select puts out the first bit,
rising clock edges the following ones, 64 clocks read eight channels.

"DS" is the AD7606 data sheet, Rev. C. Its Table 3 (timing) is taken for a logic supply above
2.7 V, since 3.3 V with its tolerance is not above 3.3 V, and in the slower of its two
columns, that of input levels of 0.3 and 0.7 of the supply. The sheet was not at hand in
whole: reset, CONVST and cycle are quoted the same elsewhere (jishuzhan.net, article
1770309098269577217), how bits come is on its p. 28. ``assumed`` numbers are to be compared
with it before a board is built.
"""

from __future__ import annotations

from .adc_part import AdcPart
from .power import Power

SCLK_MAX_HZ = 12_500_000
"""assumed: f_SCLK of DS Table 3, not read again."""
SCLK_LEVEL_PS = 32_000
"""Either level: 0.4 of the clock period, DS Table 3, t20 and t21."""
CS_TO_SCLK_PS = 0
"""No limit but t18 (DS Table 3): the first bit is valid on the first falling edge."""
CS_HIGH_PS = 22_000
"""assumed: DS Table 3, t12, which is the select's width in parallel mode."""
MSB_PS = 35_000
"""assumed: select to the first bit, at most; t18 of DS Table 3, not read again."""
BIT_PS = 32_000
"""assumed: rising clock edge to the next bit, at most; t19 of DS Table 3, not read again."""
BOARD_PS = 5_000
"""assumed: of board and pins."""
CONVST_PS = 25_000
"""Either level of CONVST: DS Table 3, t2 and t3."""
CONVST_TO_BUSY_PS = 45_000
"""assumed: CONVST rising to BUSY rising, at most; t1 of DS Table 3 has 40 ns with input levels
nearer to the supply."""
CONVERT_PS = 4_150_000
"""CONVST rising to BUSY falling without oversampling, at most: DS Table 3, t_CONV."""
ACQUIRE_PS = 1_000_000
"""BUSY falling to the next CONVST: what 200 kSPS leave beside a conversion of 4 us (DS,
"Features" and "Track-and-Hold Amplifiers": the inputs are tracked again when BUSY falls)."""
CYCLE_PS = 5_000_000
"""Between two conversions: DS Table 3, t_CYCLE; 200 kSPS on all channels."""
RESET_PS = 50_000
"""DS Table 3, t_RESET."""
RESET_DRIVEN_PS = 100_000
"""Analog Devices' Linux driver holds it 100 ns (ad7606_reset)."""
SETUP_PS = 25_000
"""Reset low to CONVST: DS Table 3, t7."""
BANDWIDTH_HZ = 23_000
"""-3 dB of the second-order input filter at +-10 V (15 kHz at +-5 V), typical: DS, "Analog
Input Antialiasing Filter". That of the AD7609, same family, is a Butterworth filter (Rev. A,
p. 22); assumed: so is this one."""
BANDWIDTH_MIN_HZ = 22_600
"""At 85 degC. assumed: as the AD7609's filter of the same 23 kHz (Rev. A, Figure 35:
22,607 Hz); no sheet gives its spread from part to part."""
NOISE_CODES = 0.73
"""One conversion, rms: 90 dB without oversampling at +-10 V, typical (DS, Table 2), is
7.07 V / 10^(90/20) = 224 uV."""
POWER = Power(
    watts=0.080,
    conversion_j=0.020 / 200e3,
    origin="DS, features: 100 mW (at 200 kSPS); assumed: 80 mW of it without a conversion",
)

PART = AdcPart(
    name="AD7606",
    sclk_max_hz=SCLK_MAX_HZ,
    sclk_level_ps=SCLK_LEVEL_PS,
    cs_to_sclk_ps=CS_TO_SCLK_PS,
    cs_high_ps=CS_HIGH_PS,
    msb_ps=MSB_PS,
    bit_ps=BIT_PS,
    board_ps=BOARD_PS,
    convst_ps=CONVST_PS,
    busy_ps=CONVST_TO_BUSY_PS,
    convert_ps=CONVERT_PS,
    acquire_ps=ACQUIRE_PS,
    cycle_ps=CYCLE_PS,
    reset_ps=RESET_PS,
    reset_driven_ps=RESET_DRIVEN_PS,
    setup_ps=SETUP_PS,
    setup_driven_ps=SETUP_PS,
    bandwidth_hz=BANDWIDTH_MIN_HZ,
    order=2,
    noise_codes=NOISE_CODES,
    power=POWER,
)
"""The part as the card straps it."""
