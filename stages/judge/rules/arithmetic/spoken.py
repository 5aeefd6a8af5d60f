"""Computations in words, written with signs: "48 divided by 2 is 24", "half of 48 is 24", "adding 5 and 7 gives 12".

Only those with one reading: two numbers, one operation, and a result that follows at once.
"""

import re

_NUMBER = r"\\?\$?[0-9](?:[0-9,.]{0,18}[0-9])?"
_RESULT = (
    r",? (?:which )?(?:=|is|equals|is equal to|makes|(?:gives|giving|yields)(?: us)?|obtaining|(?:to|we|you) get) "
    rf"(?={_NUMBER}(?![\w/:]))"
)
_SPOKEN = re.compile(
    rf"(?:(?P<infix>(?<![\w.,$])(?<!of )(?<!that ){_NUMBER} "
    rf"(?:times|plus|minus|multiplied by|divided by|[+*×÷]) {_NUMBER})"
    rf"|\b(?P<part>half of|twice|double|triple) (?P<whole>{_NUMBER})"
    rf"|\b(?:the )?(?P<noun>sum|product) of (?P<first>{_NUMBER}) and (?P<second>{_NUMBER})"
    rf"|\b(?P<verb>add|subtract|multiply|divid)(?:ing|e)? (?P<left>{_NUMBER}) (?P<word>and|to|from|by) "
    rf"(?P<right>{_NUMBER})){_RESULT}",
    re.IGNORECASE,
)
_EQUALS = re.compile(rf"(?<=[0-9)%]),? (?:which )?(?:equals|is equal to) (?={_NUMBER})", re.IGNORECASE)
_OPERATORS = {
    "add and": "+",
    "add to": "+",
    "subtract from": "-",
    "multiply by": "*",
    "multiply and": "*",
    "divid by": "/",
}
_PARTS = {"half of": "/ 2", "twice": "* 2", "double": "* 2", "triple": "* 3"}


def write_with_signs(text: str) -> str:
    """`text` with its spoken computations as equations; whatever is not one of them stays as it is."""
    return _EQUALS.sub(" = ", _SPOKEN.sub(_write, text))


def _write(match: re.Match[str]) -> str:
    found = match.groupdict()
    if found["infix"]:
        return f"{found['infix']} = "
    if found["part"]:
        return f"{found['whole']} {_PARTS[found['part'].lower()]} = "
    if found["noun"]:
        return f"{found['first']} {'+' if found['noun'].lower() == 'sum' else '*'} {found['second']} = "
    symbol = _OPERATORS.get(f"{found['verb']} {found['word']}".lower())
    if symbol is None:
        return match.group()
    numbers = [found["left"], found["right"]]
    return f" {symbol} ".join(reversed(numbers) if symbol == "-" else numbers) + " = "
