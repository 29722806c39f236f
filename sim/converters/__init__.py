"""DAC, ADC, TIA and gate transistor: codes to volts and amperes, and back."""

from .card import (
    ADC_BITS,
    ADC_MAX,
    ADC_MIN,
    DAC_BITS,
    ConverterError,
    Converters,
    Gain,
    Sensing,
)
from .channels import Channels, Readout, calibrate
from .codes import Scales, codes_of
from .half_select import HalfSelected, half_select

__all__ = [
    "ADC_BITS",
    "ADC_MAX",
    "ADC_MIN",
    "DAC_BITS",
    "Channels",
    "ConverterError",
    "Converters",
    "Gain",
    "HalfSelected",
    "Readout",
    "Scales",
    "Sensing",
    "calibrate",
    "codes_of",
    "half_select",
]
