"""DAC, ADC, TIA and gate transistor: codes to volts and amperes, and back."""

from .card import (
    ADC_BITS,
    ADC_MAX,
    ADC_MIN,
    DAC_BITS,
    ConverterError,
    Converters,
    Gain,
)
from .channels import Channels, Readout, calibrate

__all__ = [
    "ADC_BITS",
    "ADC_MAX",
    "ADC_MIN",
    "DAC_BITS",
    "Channels",
    "ConverterError",
    "Converters",
    "Gain",
    "Readout",
    "calibrate",
]
