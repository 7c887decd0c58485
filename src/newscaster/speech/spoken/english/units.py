"""Units of measure, and large numbers, in short and in words."""

from __future__ import annotations

import re

SCALES = {
    **dict.fromkeys(("k", "K", "thousand"), "thousand"),
    **dict.fromkeys(("m", "M", "mn", "mln", "million"), "million"),
    **dict.fromkeys(("b", "B", "bn", "Bn", "billion"), "billion"),
    **dict.fromkeys(("t", "T", "tn", "trn", "trillion"), "trillion"),
    "hundred": "hundred",
    **{"crore": "crore", "lakh": "lakh", "lakh crore": "lakh crore"},
}
"""Short forms after an amount of money, and their words."""


def _regular(**names: str) -> dict[str, tuple[str, str]]:
    return {unit: (name, name + "s") for unit, name in names.items()}


UNITS: dict[str, tuple[str, str]] = {
    **_regular(km="kilometre", m="metre", cm="centimetre", mm="millimetre", mi="mile", yd="yard", yds="yard"),
    **_regular(kg="kilogram", g="gram", mg="milligram", lb="pound", lbs="pound", oz="ounce", ml="millilitre"),
    **_regular(L="litre", l="litre", ha="hectare", hr="hour", hrs="hour", min="minute", mins="minute"),
    **_regular(sec="second", secs="second", s="second", ms="millisecond", W="watt", kW="kilowatt"),
    **_regular(MW="megawatt", GW="gigawatt", TW="terawatt", V="volt", kV="kilovolt", KB="kilobyte"),
    **_regular(MB="megabyte", GB="gigabyte", TB="terabyte", PB="petabyte", dB="decibel", px="pixel"),
    **_regular(kWh="kilowatt hour", MWh="megawatt hour", GWh="gigawatt hour", TWh="terawatt hour"),
    **_regular(kJ="kilojoule", kcal="kilocalorie"),
    **_regular(nm="nanometre", hPa="hectopascal", mb="millibar", bbl="barrel", cl="centilitre"),
    **{
        "pts": ("point", "points"),
        "yr": ("year", "years"),
        "yrs": ("year", "years"),
        "wk": ("week", "weeks"),
        "wks": ("week", "weeks"),
        "mth": ("month", "months"),
        "mths": ("month", "months"),
        "t": ("tonne", "tonnes"),
    },
    **{"mAh": ("milliamp hour", "milliamp hours"), "Ah": ("amp hour", "amp hours")},
    **{"tsp": ("teaspoon", "teaspoons"), "tbsp": ("tablespoon", "tablespoons")},
    **{"fl oz": ("fluid ounce", "fluid ounces")},
    **{"ft": ("foot", "feet"), "in": ("inch", "inches"), "st": ("stone", "stone"), "h": ("hour", "hours")},
    **{
        "mph": ("mile per hour", "miles per hour"),
        "rpm": ("revolution per minute", "revolutions per minute"),
    },
    **{
        "Mbps": ("megabit per second", "megabits per second"),
        "Gbps": ("gigabit per second", "gigabits per second"),
    },
    **_regular(ly="light year", ng="nanogram", mmol="millimole"),
    "m.p.h.": ("mile per hour", "miles per hour"),
    **dict.fromkeys(("km/h", "kph", "kmh", "k.p.h."), ("kilometre per hour", "kilometres per hour")),
    **dict.fromkeys(("sq ft", "ft²", "sq. ft."), ("square foot", "square feet")),
    **dict.fromkeys(("sq m", "sq. m", "m²", "m2"), ("square metre", "square metres")),
    **dict.fromkeys(("sq km", "sq. km", "km²", "km2"), ("square kilometre", "square kilometres")),
    **dict.fromkeys(("sq mi", "sq miles", "sq mile"), ("square mile", "square miles")),
    **dict.fromkeys(("cu ft", "cu. ft"), ("cubic foot", "cubic feet")),
    **dict.fromkeys(("cu m", "cu. m", "m³", "m3"), ("cubic metre", "cubic metres")),
    **dict.fromkeys(("µg", "μg", "mcg"), ("microgram", "micrograms")),
    **dict.fromkeys(("µm", "μm"), ("micrometre", "micrometres")),
    **dict.fromkeys(("bpd", "b/d"), ("barrel a day", "barrels a day")),
    **{"Hz": ("hertz", "hertz"), "kHz": ("kilohertz", "kilohertz"), "MHz": ("megahertz", "megahertz")},
    **{"GHz": ("gigahertz", "gigahertz"), "fps": ("frame per second", "frames per second")},
    **{
        "psi": ("pound per square inch", "pounds per square inch"),
        "mpg": ("mile per gallon", "miles per gallon"),
    },
    **{"ppm": ("part per million", "parts per million"), "ppb": ("part per billion", "parts per billion")},
    **{"MP": ("megapixel", "megapixels")},
    **{
        "cc": ("C.C", "C.C"),
        "hp": ("horsepower", "horsepower"),
        "bhp": ("brake horsepower", "brake horsepower"),
    },
}
"""Singular and plural of each unit."""
UNIT_NAMES = "|".join(re.escape(name) for name in sorted(UNITS, key=len, reverse=True))
"""Pattern of a unit."""
ALONE = {
    **{"km/h": "kilometres per hour", "kph": "kilometres per hour", "mph": "miles per hour"},
    **dict.fromkeys(("b/d", "bpd"), "barrels a day"),
    **{"sq ft": "square feet", "sq m": "square metres", "sq km": "square kilometres"},
}
"""Units that are also written without a number."""
