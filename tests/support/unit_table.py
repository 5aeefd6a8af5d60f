"""Writes the table of units that answers are compared by, from pint's registry: `python -m tests.support.unit_table`.

pint is not needed to compare answers: its registry takes half a second to load, and most of its units, such as "t" or
"are", would be misread in answers. Only the spellings below are read.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

TABLE = Path(__file__).parents[2] / "stages" / "common" / "verifiers" / "math" / "compare" / "units.tsv"
HEADER = (
    "# Made by tests/support/unit_table.py from the default registry of pint {} (BSD): spellings, dimension, size.\n"
)

SPELLINGS = {
    "nanometer": "nm nanometer nanometre", "micrometer": "μm micrometer micrometre micron",
    "millimeter": "mm millimeter millimetre", "centimeter": "cm centimeter centimetre",
    "decimeter": "dm decimeter decimetre", "meter": "m meter metre", "kilometer": "km kilometer kilometre",
    "inch": "in inch inche", "foot": "ft foot feet", "yard": "yd yard", "mile": "mi mile",
    "nautical_mile": "nautical_mile", "light_year": "light_year",
    "hectare": "ha hectare",
    "milligram": "mg milligram", "gram": "g gram gramme", "kilogram": "kg kilogram kilo",
    "metric_ton": "tonne metric_ton",
    "ton": "ton", "ounce": "oz ounce", "pound": "lb pound",
    "milliliter": "ml mL milliliter millilitre cc", "centiliter": "cl centiliter", "deciliter": "dl deciliter",
    "liter": "l L liter litre", "kiloliter": "kl kiloliter",
    "fluid_ounce": "fluid_ounce", "cup": "cup", "pint": "pt pint", "quart": "qt quart", "gallon": "gal gallon",
    "teaspoon": "tsp teaspoon", "tablespoon": "tbsp tablespoon",
    "millisecond": "ms millisecond", "second": "s sec second", "minute": "min minute", "hour": "h hr hour",
    "day": "day", "week": "wk week", "fortnight": "fortnight",
    "newton": "N newton", "kilonewton": "kN kilonewton", "joule": "J joule", "kilojoule": "kJ kilojoule",
    "megajoule": "MJ megajoule", "calorie": "cal calorie", "kilocalorie": "kcal kilocalorie",
    "electron_volt": "eV electron_volt", "kilowatt_hour": "kWh kilowatt_hour",
    "watt": "W watt", "kilowatt": "kW kilowatt", "megawatt": "MW megawatt", "horsepower": "hp horsepower",
    "pascal": "Pa pascal", "kilopascal": "kPa kilopascal", "atmosphere": "atm atmosphere", "bar": "bar",
    "hertz": "Hz hertz", "kilohertz": "kHz kilohertz", "megahertz": "MHz megahertz", "gigahertz": "GHz gigahertz",
    "volt": "V volt", "millivolt": "mV millivolt", "kilovolt": "kV kilovolt", "ampere": "A amp ampere",
    "milliampere": "mA milliamp milliampere", "ohm": "ohm Ω", "kiloohm": "kΩ kilohm", "coulomb": "C coulomb",
    "farad": "F farad", "tesla": "T tesla", "weber": "Wb weber", "henry": "H henry",
    "mole": "mol mole", "millimole": "mmol millimole", "kelvin": "K kelvin",
    "bit": "bit", "byte": "byte", "kilobyte": "KB kB kilobyte", "megabyte": "MB megabyte", "gigabyte": "GB gigabyte",
    "kilometer_per_hour": "kph kmh", "mile_per_hour": "mph", "knot": "knot",
}  # fmt: skip
"""Spellings in answers by pint's name; plurals in s are understood, and `_` is a space."""


def main() -> None:
    import pint

    registry = pint.UnitRegistry(non_int_type=Fraction)
    lines = [HEADER.format(pint.__version__)]
    for name, spellings in SPELLINGS.items():
        size, bases = registry.get_base_units(name)
        dimension = " ".join(f"{base}{power}" for base, power in sorted(bases._units.items()))
        lines.append(f"{name}\t{spellings}\t{dimension}\t{Fraction(size)}\n")
    TABLE.write_text("".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
