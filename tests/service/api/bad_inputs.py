"""Everything that a client may get wrong, with the code that it is told: one table for all ways in.

Samples and labels are given as the members of a JSON object, as bytes, so that each way in can put its own around them.
They are meant for the streams of `STREAMS` with their `HISTORY`: `pump` forecasts and has 80 samples, a minute apart;
`meter` has a label horizon of 8 and 20 samples, of which the last has a label.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

#: Stands for what must not be repeated to whoever sent it.
SECRET = "hunter2"

_SMALL = {"cell": {"kind": "cfc", "units": 4, "backbone_units": 4}}
STREAMS: dict[str, dict[str, Any]] = {
    "pump": {"task": "forecast", "features": ["flow", "pressure"], **_SMALL, "learner": {"window": 4}},
    "meter": {
        "task": "regression",
        "features": ["noise"],
        "targets": ["load"],
        **_SMALL,
        "learner": {"window": 4, "label_horizon": 8},
    },
    "valve": {
        "task": "classification",
        "features": ["noise"],
        "classes": ["calm", "loud"],
        **_SMALL,
        "learner": {"window": 4},
    },
}
HISTORY: dict[str, list[dict[str, Any]]] = {
    "pump": [{"seq": seq, "t": 60.0 * seq, "x": [seq % 7, seq % 5]} for seq in range(1, 81)],
    "meter": [{"seq": seq, "t": 60.0 * seq, "x": [seq % 7]} for seq in range(1, 20)]
    + [{"seq": 20, "t": 1200.0, "x": [6], "y": 3.5}],
    "valve": [{"seq": 1, "t": 60.0, "x": [0.5]}],
}
#: The time of the next sample of `pump`.
NEXT = b"4860"


@dataclass(frozen=True, slots=True)
class Case:
    """One mistake."""

    name: str
    #: Members of a sample or a label, without the braces around them.
    members: bytes
    code: str
    stream: str = "pump"


def _x(name: str, x: bytes, code: str) -> Case:
    return Case(f"x {name}", b'"t": ' + NEXT + b', "x": ' + x, code)


def _t(name: str, t: bytes, code: str) -> Case:
    return Case(f"t {name}", b'"t": ' + t + b', "x": [1, 2]', code)


def _seq(name: str, seq: bytes, code: str) -> Case:
    return Case(f"seq {name}", b'"t": ' + NEXT + b', "x": [1, 2], "seq": ' + seq, code)


def _y(name: str, y: bytes, code: str, stream: str = "meter") -> Case:
    return Case(f"y {name}", b'"t": ' + NEXT + b', "x": [1], "y": ' + y, code, stream)


#: Beyond what any reader follows, and still short enough for a line.
_DEEP = 5_000

SAMPLES = [
    # what numbers are not
    _x("NaN", b"[NaN, 1]", "not_finite"),
    _x("nan", b"[nan, 1]", "malformed"),
    _x("Infinity", b"[Infinity, 1]", "not_finite"),
    _x("-Infinity", b"[1, -Infinity]", "not_finite"),
    _x("inf", b"[-inf, 1]", "not_finite"),
    _x("1e999", b"[1e999, 1]", "out_of_range"),
    _x("-1e999", b"[-1e999, 1]", "out_of_range"),
    _x("1e308", b"[1e308, 1]", "out_of_range"),
    _x("-1e308", b"[1, -1e308]", "out_of_range"),
    _x("just too large", b"[1.0000001e30, 1]", "out_of_range"),
    _x("400 digits", b"[" + b"9" * 400 + b", 1]", "out_of_range"),
    _x("text", b'["1", 1]', "invalid"),
    _x("empty text", b'["", 1]', "invalid"),
    _x("true", b"[true, 1]", "invalid"),
    _x("false", b"[1, false]", "invalid"),
    _x("lists", b"[[1], 1]", "invalid"),
    _x("an object", b'[{"flow": 1}, 1]', "invalid"),
    _x("hexadecimal", b"[0x1, 1]", "malformed"),
    _x("a leading plus", b"[+1, 1]", "malformed"),
    _x("a leading zero", b"[01, 1]", "malformed"),
    _x("a bare point", b"[.5, 1]", "malformed"),
    _x("underscores", b"[1_000, 1]", "malformed"),
    # shapes
    _x("none", b"[]", "dimension"),
    _x("too few", b"[1]", "dimension"),
    _x("too many", b"[1, 2, 3]", "dimension"),
    _x("far too many", b"[" + b"0," * 9_999 + b"0]", "dimension"),
    _x("no list", b"1", "invalid"),
    _x("null", b"null", "invalid"),
    _x("by name", b'{"flow": 1, "pressure": 2}', "invalid"),
    _x("deep", b"[" * _DEEP + b"]" * _DEEP, "invalid"),
    _x("deep objects", b'{"q":' * _DEEP + b"1" + b"}" * _DEEP, "invalid"),
    _x("deep where nothing is known", b'[1, 2], "q": ' + b"[" * _DEEP + b"]" * _DEEP, "invalid"),
    _x("not closed", b"[1, 2", "malformed"),
    _x("a comma too many", b"[1, 2,]", "malformed"),
    # time
    _t("NaN", b"NaN", "not_finite"),
    _t("Infinity", b"Infinity", "not_finite"),
    _t("1e999", b"1e999", "out_of_range"),
    _t("1e308", b"1e308", "out_of_range"),
    _t("beyond all history", b"1.1e15", "out_of_range"),
    _t("before all history", b"-1.1e15", "out_of_range"),
    _t("true", b"true", "invalid"),
    _t("null", b"null", "invalid"),
    _t("a list", b"[4860]", "invalid"),
    _t("a word", b'"hunter2"', "invalid"),
    _t("a number as text", b'"4860"', "invalid"),
    _t("without an offset", b'"2024-11-24T00:01:00"', "invalid"),
    _t("the 30th of February", b'"2024-02-30T00:01:00Z"', "invalid"),
    _t("the year 0", b'"0000-01-01T00:00:00Z"', "invalid"),
    _t("the first moment of all", b'"0001-01-01T00:00:00+23:59"', "late_sample"),
    _t("running back", b"60", "late_sample"),
    _t("standing still", b"4800", "late_sample"),
    _t("standing still by a hair", b"4800.0000000000001", "late_sample"),
    _t("negative", b"-1", "late_sample"),
    _t("minus zero", b"-0.0", "late_sample"),
    Case("t missing", b'"x": [1, 2]', "invalid"),
    Case("x missing", b'"t": ' + NEXT, "invalid"),
    # numbering
    _seq("zero", b"0", "invalid"),
    _seq("negative", b"-1", "invalid"),
    _seq("a float", b"81.0", "invalid"),
    _seq("with a power", b"81e0", "invalid"),
    _seq("true", b"true", "invalid"),
    _seq("text", b'"81"', "invalid"),
    _seq("a list", b"[81]", "invalid"),
    _seq("2**53", b"9007199254740992", "invalid"),
    _seq("2**63", b"9223372036854775808", "invalid"),
    _seq("twenty digits", b"99999999999999999999", "invalid"),
    _seq("5000 digits", b"9" * 5000, "out_of_range"),
    _seq("NaN", b"NaN", "not_finite"),
    _seq("a gap", b"82", "seq_gap"),
    _seq("a huge gap", b"9007199254740991", "seq_gap"),
    _seq("taken by another", b"80", "seq_conflict"),
    _seq("taken by another long ago", b"17", "seq_conflict"),
    # labels that come along
    Case("y of a forecast", b'"t": ' + NEXT + b', "x": [1, 2], "y": 1', "label_invalid"),
    _y("text", b'"calm"', "label_invalid"),
    _y("too wide", b"[1, 2]", "label_invalid"),
    _y("too narrow", b"[]", "label_invalid"),
    _y("too large", b"1e308", "label_invalid"),
    _y("NaN", b"NaN", "not_finite"),
    _y("true", b"true", "invalid"),
    _y("nested", b'[["hunter2"]]', "invalid"),
    _y("no such class", b'"hunter2"', "label_invalid", "valve"),
    _y("a number for a class", b"1", "label_invalid", "valve"),
    # fields
    Case("a field that is not known", b'"t": ' + NEXT + b', "x": [1, 2], "hunter2": 1', "invalid"),
    Case("a field twice", b'"t": ' + NEXT + b', "x": [1, 2], "t": 4870', "invalid"),
    Case("the same field twice", b'"t": ' + NEXT + b', "x": [1, 2], "t": ' + NEXT, "invalid"),
    Case("a field twice, once in disguise", b'"t": ' + NEXT + b', "x": [1, 2], "\\u0074": 4870', "invalid"),
    # text
    Case("bytes that are not UTF-8", b'"t": "\xff\xfe", "x": [1, 2]', "malformed"),
    Case("UTF-8 that is longer than it must be", b'"t": "\xc0\xaf", "x": [1, 2]', "malformed"),
    Case("half a character in UTF-8", b'"t": "\xed\xa0\x80", "x": [1, 2]', "malformed"),
    Case("half a character in an escape", b'"t": "\\ud800", "x": [1, 2]', "malformed"),
    Case("a NUL in a text", b'"t": "\\u0000", "x": [1, 2]', "invalid"),
    Case("a NUL in a name", b'"\\u0000": 1, "t": ' + NEXT + b', "x": [1, 2]', "invalid"),
    Case("a line end within a text", b'"t": "2024\t", "x": [1, 2]', "malformed"),
]


def _label(name: str, seq: bytes, y: bytes, code: str, stream: str = "meter") -> Case:
    return Case(name, b'"seq": ' + seq + b', "y": ' + y, code, stream)


LABELS = [
    _label("of a sample that is not there", b"21", b"1", "label_unknown"),
    _label("of a sample that never will be", b"9007199254740991", b"1", "label_unknown"),
    _label("of a sample long ago", b"1", b"1", "label_expired"),
    _label("another than before", b"20", b"4", "label_conflict"),
    _label("text for a number", b"19", b'"calm"', "label_invalid"),
    _label("too wide", b"19", b"[1, 2]", "label_invalid"),
    _label("too narrow", b"19", b"[]", "label_invalid"),
    _label("too large", b"19", b"1e308", "label_invalid"),
    _label("1e999", b"19", b"[1e999]", "out_of_range"),
    _label("NaN", b"19", b"NaN", "not_finite"),
    _label("Infinity", b"19", b"[Infinity]", "not_finite"),
    _label("true", b"19", b"true", "invalid"),
    _label("null", b"19", b"null", "invalid"),
    _label("an object", b"19", b"{}", "invalid"),
    _label("seq zero", b"0", b"1", "invalid"),
    _label("seq negative", b"-20", b"1", "invalid"),
    _label("seq a float", b"20.0", b"1", "invalid"),
    _label("seq true", b"true", b"1", "invalid"),
    _label("seq text", b'"20"', b"1", "invalid"),
    _label("seq huge", b"99999999999999999999", b"1", "invalid"),
    _label("of a forecast", b"80", b"1", "label_invalid", "pump"),
    _label("no such class", b"1", b'"hunter2"', "label_invalid", "valve"),
    _label("a number for a class", b"1", b"0", "label_invalid", "valve"),
    Case("without y", b'"seq": 20', "invalid", "meter"),
    Case("without seq", b'"y": 1', "invalid", "meter"),
    Case("y twice", b'"seq": 19, "y": 1, "y": 2', "invalid", "meter"),
    Case("a field that is not known", b'"seq": 19, "y": 1, "hunter2": 1', "invalid", "meter"),
]

#: Whole texts that are no sample and no label, by themselves or as a line.
TEXTS: list[tuple[bytes, str]] = [
    (b"{", "malformed"),
    (b"[", "invalid"),
    (b"null", "invalid"),
    (b"17", "invalid"),
    (b'"hunter2"', "invalid"),
    (b"[]", "invalid"),
    (b'{"hunter2": 1}', "invalid"),
    (b'{"' + SECRET.encode() * 1000 + b'": 1}', "invalid"),
    (b"\xff\xfe{}", "malformed"),
    (b'{"\xff": 1}', "malformed"),
    (b"\xef\xbb\xbf{}", "malformed"),
    (b"[" * _DEEP, "invalid"),
    (b'{"q":' * _DEEP, "invalid"),
    (b"\x00" * 64, "malformed"),
    (b"<a>hunter2</a>", "malformed"),
    (b"t=1&x=1", "malformed"),
]

#: Names that no stream has, and that must not reach the store.
STREAM_IDS = [
    "",
    "{",
    "}",
    "{pump}",
    "a{b}c",
    "/",
    "a/b",
    "..",
    ".",
    "../pump",
    "a\0b",
    "\0",
    "a\nb",
    "pump\n",
    "pump\r\n",
    "a\tb",
    " pump",
    "pump ",
    "-pump",
    "_pump",
    "~pump",
    "pump:",
    "pump:delete",
    "pump*",
    "pump%2F7",
    "%70ump",
    "%",
    "%00",
    "ü",
    "p\u0443mp",
    "\u202epump",
    "\U0001f600",
    "a" * 129,
    "a" * 5000,
    "pump;x",
    "pump?x",
    "pump#x",
    "'; FLUSHALL",
]

SPECS: list[tuple[bytes, str]] = [
    (b'{"task": "hunter2", "features": ["a"]}', "invalid"),
    (b'{"task": "forecast", "features": []}', "spec_invalid"),
    (b'{"task": "forecast", "features": [1]}', "invalid"),
    (b'{"task": "forecast", "features": ["\\ud800"]}', "malformed"),
    (b'{"task": "forecast", "features": ["a"], "horizon": 1e30}', "invalid"),
    (b'{"task": "forecast", "features": ["a"], "horizon": ' + b"9" * 400 + b"}", "out_of_range"),
    (b'{"task": "forecast", "features": ["a"], "horizon": -1}', "spec_invalid"),
    (b'{"task": "forecast", "features": ["a"], "cell": {"kind": "cfc", "units": -1}}', "spec_invalid"),
    (b'{"task": "forecast", "features": ["a"], "seed": NaN}', "not_finite"),
    (b'{"task": "forecast", "features": ["a"], "cell": {"kind": "hunter2"}}', "invalid"),
    (b'{"task": "forecast", "features": ["a"], "learner": {"learning_rate": 1e999}}', "out_of_range"),
    (b'{"task": "forecast", "features": ["a"], "task": "forecast"}', "invalid"),
]
