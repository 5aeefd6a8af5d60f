r"""The typed reader: plain text to an answer, which is a node of one of the kinds that `compare` knows.

Beside the nodes of formulas these are ``quantity`` (a node and its `Unit`), ``words``, ``phrase`` (words and formulas
that belong together), ``option`` (a letter and the option's text), ``time``, ``date``, ``based`` (a numeral with its
base) and ``list`` (items, and how they are joined).
"""

from __future__ import annotations

import re
from collections.abc import Callable

from stages.common.verifiers.math.compare.answer_text import TEXT
from stages.common.verifiers.math.compare.chains import read_chain
from stages.common.verifiers.math.compare.formula import read_formula
from stages.common.verifiers.math.compare.numbers import read_number
from stages.common.verifiers.math.compare.special_forms import (
    SHORT_WORDS,
    is_label,
    read_compound,
    read_special,
    read_words,
)
from stages.common.verifiers.math.compare.split_items import split_items
from stages.common.verifiers.math.compare.tokens import FUNCTIONS, Node, ReadError
from stages.common.verifiers.math.compare.units import Unit, find_unit, read_unit

_MAX_ITEMS = 60
_OPTION = re.compile(
    r"(?:(?:option|choice|answer) ?)?(?:\((?P<bracket>[A-J])\)|(?P<bare>[A-J])(?:[.)]|:(?= ))"
    r"|(?P<alone>[A-J]))(?: ?(?P<rest>.+))?",
    re.IGNORECASE,
)  # fmt: skip
_MATH = re.compile(r"[\d\\^_=<>+*/|{}()\[\]]")
_JOINERS = frozenset({"and", "or"})
_CONDITIONS = frozenset({"where", "for", "with", "when", "if"})
_REASONS = frozenset({"since", "because", "as"})
_DECLARED = re.compile(
    r"(?:any|some|all|every|an?|arbitrary|real|constants?|integers?|complex|number|numbers|is|are|\W)+", re.IGNORECASE
)
_LEAD = re.compile(
    r"(?:\\text ?\{)?(?:therefore|thus|hence|so|approximately|about|around|roughly"
    r"|the (?:final |correct )?answers? (?:is|are)|answer ?(?:is|:)|it is|it's|they are|there (?:is|are)|exactly|only"
    r"|solutions? (?:is|are)|equals?)(?![A-Za-z]):? ?\}? ?",
    re.IGNORECASE,
)  # fmt: skip
_MINUS = re.compile(r"(?:minus|negative) (?=[\d\\])", re.IGNORECASE)
_CURRENCY = re.compile(
    r"(?P<sign>-?)(?P<mark>\\\$|USD|US\\?\$|EUR|Rs\.?|[€£¥₹]|\\text ?\{ ?(?:Rs\.?|\\\$|USD|EUR) ?\}) ?(?=[-+\d.\\])"
)
_UNIT_ATOM = r"(?:\\text ?\{[^{}]*\}|[A-Za-z$ /°’'.-]|[€£¥₹]|\\\$|\^ ?(?:\{-?\d\}|-?\d(?!\d))|\\cdot )"
_QUANTITY = re.compile(
    rf"(?P<value>.*?(?:[\d)}}\]!]|\.\.\.|\\pi|[A-Za-z](?=[ \\]))) ?"
    rf"(?P<mark>\^ ?\{{?\\circ ?\}}?(?: ?[CF]\b| ?\\text ?\{{ ?[CF] ?\}})?|\\?%)?"
    rf" ?(?P<unit>(?:(?=/? ?(?:\\text ?\{{|[A-Za-z€£¥₹°$]|\\\$)){_UNIT_ATOM}+)?)"
)  # fmt: skip
_THOUSANDS = re.compile(r"(?<=\d)[kK](?=/| (?:a|an|per|each|every)\b)")
_PERCENT_BEFORE = re.compile(r"\\?%(?=[\d.]+\Z)")
_HYPHENATED = re.compile(r"(?:[A-Za-z]{3,}-)+(?:[A-Za-z]{4,}|ups)\b|[A-Za-z]{4,}-[A-Za-z]{3,}\b")
"""Words such as push-ups, non-white and polka-dot, which are no difference of products."""

_INDEXED = re.compile(r"([A-Za-z])(\d)(?= ?=)")
"""A name such as x1 before its value."""

_BRACKETED = re.compile(r"(?:\(\d\)){2,}")
"""Numbers of statements or questions, such as (1)(3), which are no product."""

_TRIGONOMETRIC = re.compile(r"(?:sin|cos|tan|cot|sec|csc) ?(?![a-z])")
_TO = re.compile(r"(?<=\d) ?(?:\\text ?\{ ?to ?\}|to) ?(?=\d)")


def read_answers(text: str) -> list[Node]:
    """Return the readings of a plain text: one, or two where a comma may be a decimal point; none if it has none."""
    texts = [text]
    is_grouped = re.fullmatch(r"-?[1-9]\d{0,2}(?:,\d{3})+", text)
    if (
        re.search(r"\d,\d", text)
        and not is_grouped
        and (re.fullmatch(r"[^,()\[\]{}]*?\d+,\d+[^\d,()\[\]]*", text) or ";" in text)
    ):
        texts.append(re.sub(r"(?<=\d),(?=\d)", ".", text))
    readings = []
    for written in texts:
        try:
            readings.append(read_answer(written))
        except (ReadError, RecursionError):
            continue
    return readings


def read_answer(text: str) -> Node:
    """Return the answer that the plain `text` is; raise `ReadError` if it has no reading."""
    number = read_number(text)
    if number is not None:
        return Node("num", tuple(number))
    for read in READERS.values():
        node = read(text)
        if node is not None:
            return node
    if (minus := _MINUS.match(text)) is not None:
        return read_answer(f"-{text[minus.end() :]}")
    lead = _LEAD.match(text)
    if lead is not None and lead.end() < len(text):
        rest = text[lead.end() :]
        return read_answer(
            rest[1:-1] if rest[:1] == "{" else rest.removesuffix("}") if rest.count("}") > rest.count("{") else rest
        )
    items, joiners = split_items(text)
    if len(items) == 1 and not joiners:
        return _read_item(items[0])
    return _join_items(items, joiners)


def read_option(text: str) -> Node | None:
    r"""Return the option that "B", "(B)" or "\text{(B) }12" is: its letter and what follows."""
    plain = TEXT.sub(r"\1 ", text, count=1).strip() if text.startswith("\\text") else text
    match = _OPTION.fullmatch(plain)
    if match is None:
        return None
    letter, rest = match["bracket"] or match["bare"] or match["alone"], match["rest"]
    is_named = plain.lower().startswith(("option", "choice", "answer"))
    if (match["alone"] and (rest or (letter.islower() and not is_named))) or (rest and letter.islower()):
        return None
    try:
        inside = read_answer(rest) if rest else None
    except ReadError:
        inside = Node("phrase", (rest,))
    return Node("option", (letter.upper(), inside))


def _join_items(items: list[str], joiners: list[str]) -> Node:
    """Return the list of `items`, without reasons and without declarations of constants and integers."""
    if not items or len(items) > _MAX_ITEMS:
        raise ReadError("no list")
    if ";" in joiners and "," in joiners:
        return _read_groups(items, joiners)
    nodes, families, joiner = [_read_item(items[0])], [], ","
    for mark, item in zip(joiners, items[1:], strict=True):
        if mark in _REASONS:
            break
        declared = _read_family(item)
        if declared is not None:
            families.append(declared)
        elif mark in _CONDITIONS or (nodes and joiner in _CONDITIONS):
            if not _DECLARED.fullmatch(re.sub(r"\b[a-zA-Z]\b", "", TEXT.sub(r" \1 ", item))):
                return Node("phrase", (" ".join(items),))
        else:
            nodes.append(_read_item(item))
        joiner = mark if mark in _JOINERS else joiner
    node = nodes[0] if len(nodes) == 1 else Node("list", (tuple(nodes), joiner))
    if not families:
        return node
    names, sets = zip(*families, strict=True)
    return Node("family", (node, names, sets))


def _read_groups(items: list[str], joiners: list[str]) -> Node:
    """Return a list of lists, such as p=5, q=2; p=7, q=2."""
    groups: list[list[str]] = [[items[0]]]
    for mark, item in zip(joiners, items[1:], strict=True):
        if mark == ";":
            groups.append([item])
        else:
            groups[-1].append(item)
    return Node("list", (tuple(_join_items(group, [","] * (len(group) - 1)) for group in groups), ","))


def _read_family(item: str) -> tuple[str, str] | None:
    """Return the name that an item such as k in Z declares an integer, and the set."""
    match = re.fullmatch(r"\(?([a-zA-Z]) ?\\in ?\\mathbb ?\{?([ZN])\}?\)?", item)
    return (match[1], match[2]) if match else None


def _read_item(text: str) -> Node:
    """Return one item: a number, words, a quantity or a formula; words beside formulas are a phrase."""
    number = read_number(text)
    if number is not None:
        return Node("num", tuple(number))
    if _BRACKETED.fullmatch(text):
        raise ReadError("numbers in brackets side by side")
    if (indexed := _INDEXED.match(text)) is not None:
        text = f"{indexed[1]}_{indexed[2]}{text[indexed.end() :]}"
    for read in READERS.values():
        node = read(text)
        if node is not None:
            return node
    try:
        return _read_quantity(text) or _make_list(read_formula(_TO.sub(":", text)))
    except ReadError:
        if re.search(r"\\text ?\{|[A-Za-z]{3}|[^\x00-\x7f]", text) and _MATH.search(text):
            return Node("phrase", (text,))
        raise


def _make_list(node: Node) -> Node:
    """Return the formula with a list as this reader's list."""
    return Node("list", (node.args, ",")) if node.kind == "list" else node


def _read_quantity(text: str) -> Node | None:
    """Return a number or formula with its unit, None if `text` has none."""
    if (percent := _PERCENT_BEFORE.match(text)) is not None:
        text = f"{text[percent.end() :]}%"
    if (money := _CURRENCY.match(text)) is not None:
        mark = TEXT.sub(r"\1", money["mark"]).strip().replace("\\", "").strip(".").removeprefix("US").lower() or "$"
        rest = money["sign"] + _THOUSANDS.sub(" thousand", text[money.end() :])
        inside = _read_numbered(rest, is_money=True) or _read_item(rest)
        unit = read_unit("$" if mark in ("$", "d") else mark)
        if inside.kind != "quantity":
            return Node("quantity", (inside, unit))
        behind = inside.args[1]
        if unit.dimensions[0] in behind.dimensions:  # $5 dollars
            return inside
        dimensions = tuple(sorted(unit.dimensions + behind.dimensions))  # $5 million, $40 profit, $5/kg
        return Node("quantity", (inside.args[0], behind._replace(dimensions=dimensions, size=unit.size * behind.size)))
    return _read_numbered(text)


def _read_numbered(text: str, is_money: bool = False) -> Node | None:
    """Return a number or formula with the unit and words behind it, None if it has none."""
    match = _QUANTITY.fullmatch(text)
    if (
        match is None
        or not (match["mark"] or match["unit"])
        or (match["mark"] and _TRIGONOMETRIC.search(match["value"]))
    ):
        return None
    value, behind = match["value"], match["unit"].strip()
    unit = read_unit(TEXT.sub(r" \1 ", behind)) if behind else Unit()
    if behind and not _is_unit(value, behind, unit, match["mark"] is not None, is_money):
        return None
    if behind.startswith("\\text"):
        unit = unit._replace(is_letter=False)
    mark = (match["mark"] or "").replace(" ", "")
    if mark.endswith("%") or unit.words & {"percent", "percentage", "pct"}:
        words = unit.words - {"percent", "percentage", "pct"}
        unit = unit._replace(is_percent=True, words=words | {"percentage point"} if "point" in words else words)
    elif mark:
        scale = {"C": "celsius", "F": "fahrenheit"}.get(TEXT.sub(r"\1", mark).strip(" }")[-1:], "degree")
        unit = unit._replace(dimensions=((scale, 1),))
    return Node("quantity", (_read_item(value), unit))


def _is_unit(value: str, words: str, unit: Unit, has_mark: bool, is_money: bool) -> bool:
    """Return whether `words` behind `value` are a unit or words, and not names of a formula."""
    if re.search(r"\\(?!pi)[A-Za-z]+$", value):
        return False  # the argument of a function, or what an angle names
    if words[0] == "/" and not is_money:
        words = words[1:].strip()
        per = (re.findall("[A-Za-z]+", TEXT.sub(r" \1 ", words)) or [""])[0]
        if len(per) < 3 or per in FUNCTIONS or find_unit(per) is None:
            return False  # 1200/year, and no quotient of names
    if re.search(r"[\d}]-|\b[A-Za-z]-|-[A-Za-z]\b|/\Z", words):
        return False  # 4s^2-a is a difference, and km/ ends early
    if words.startswith("\\text"):
        return not re.fullmatch(r"\\text ?\{[A-Za-z]\}.*", words) or unit.dimensions != ()
    if re.fullmatch(r"[A-Za-z](?: ?\^.*)?", words):
        named = value.split("=")[-1]
        return not has_mark and not re.search(r"[A-Za-z]", re.sub(r"\\[a-z]+", "", named)) and unit.dimensions != ()
    runs = re.findall(r"[A-Za-z]+", TEXT.sub("", words))
    if not runs:
        return True  # a currency
    if re.search(r"[A-Za-z]$", re.sub(r"\\[a-z]+$", "", value)) and not re.match(r".*=.*", value):
        return False  # x cm is a length, and x in y is none
    is_named = len(runs[0]) > 3 or _HYPHENATED.match(words) is not None or (is_money and words[0] == "/")
    labels = set(re.findall(r"[A-Za-z]+", " ".join(hyphened[0] for hyphened in _HYPHENATED.finditer(words))))
    labels |= set(re.findall(r"/ ?([A-Za-z]{3,})", words)) - FUNCTIONS
    return (is_named or runs[0].lower() in SHORT_WORDS or find_unit(runs[0]) is not None) and all(
        is_label(run) or run in labels for run in runs
    )


READERS: dict[str, Callable[[str], Node | None]] = {
    "option": read_option,
    "special": read_special,
    "words": read_words,
    "compound": read_compound,
    "chain": lambda text: read_chain(text, _read_item),
}
"""Readers of answers that are no formulas, in their order."""
