#!/usr/bin/env python3
"""Makes the slices of Canopy Sans beside this file out of Liberation Sans.

Run `make typeface`. It needs fontTools and Brotli: on Debian the packages
fonttools and python3-brotli. The result is the same on each run of the same
release of fontTools.
"""

import csv
import pathlib
import sys

from fontTools import subset
from fontTools.ttLib import TTFont

FAMILY = "Canopy Sans"  # the licence reserves the name of the original
COPYRIGHT, LICENCE, LICENCE_URL = 0, 13, 14  # in the table of names
HERE = pathlib.Path(__file__).parent


def code_points(ranges):
    points = set()
    for part in ranges.split(","):
        first, _, last = part.strip().removeprefix("U+").partition("-")
        points.update(range(int(first, 16), int(last or first, 16) + 1))
    return points


def rename(font, style):
    names = font["name"]
    names.names = [n for n in names.names if n.nameID in (COPYRIGHT, LICENCE, LICENCE_URL) and n.platformID == 3]
    for name_id, text in {
        1: FAMILY, 2: style, 3: f"{FAMILY} {style}, a subset of Liberation Sans", 4: f"{FAMILY} {style}",
        6: f"{FAMILY.replace(' ', '')}-{style}",
    }.items():
        names.setName(text, name_id, 3, 1, 0x409)


def cut(original, style, ranges, target):
    options = subset.Options(
        flavor="woff2", hinting=False, layout_features=["kern", "mark"], name_IDs=["*"], notdef_outline=True,
        recalc_timestamp=False, drop_tables=subset.Options().drop_tables + ["FFTM"],
    )
    font = TTFont(original, recalcTimestamp=False)
    cutter = subset.Subsetter(options)
    cutter.populate(unicodes=code_points(ranges))
    cutter.subset(font)
    rename(font, style)
    subset.save_font(font, target, options)


def main(regular, bold):
    with open(HERE / "slices.csv", newline="") as file:
        slices = list(csv.DictReader(file))
    missing = set(TTFont(regular).getBestCmap())
    for piece in slices:
        missing -= code_points(piece["range"])
        for style, original in (("Regular", regular), ("Bold", bold)):
            cut(original, style, piece["range"], HERE / f"{piece['name']}-{style.lower()}.woff2")
    if missing:
        sys.exit("in no slice: " + " ".join(f"U+{point:04X}" for point in sorted(missing)))


if __name__ == "__main__":
    main(*sys.argv[1:])
