"""Steps and problems whose equalities mean something else: they deny one, or use other arithmetic."""

import re

_DENIAL = re.compile(
    r"contradict|impossible|absurd|inconsistent|mistak|incorrect|\\neq|≠|no (?:real )?solutions?\b"
    r"|\bnot (?:true|equal|valid|possible|correct|hold|satisf\w+|work)\b|\b(?:un|not )true\b|\bfalse\b|\bwrong\b"
    r"|n't (?:true|equal|hold|satisfy|work)\b|\b(?:fails?|cannot be|can't be|cannot hold)\b|✗|❌|\btrial"
    r"|\btoo (?:big|small|large|high|low|many|few|much)\b|(?:^|[\s(,])no(?:[,.!)]|$)|\bwait\s?[,.:!]"
    r"|\b(?:oops|hm+|typo|nope|redo|re-?check|recomput|recalculat|correction|corrected|common error|tempting)"
    r"|\bwhich of (?:these|the following)|\bis it true|\berrors?\b|\binvalid|\breject|\bruled out|nonsense"
    r"|\bone match\b|\bnot an? (?:integer|whole|valid|solution)|matchstick|(?-i:(?:^|\n)\s{0,9}\(?[A-E][.)]\s)",
    re.IGNORECASE,
)
_OTHER_ARITHMETIC = re.compile(
    r"\bbase[- $\\(]{0,6}(?:[0-9]|two|three|four|five|six|seven|eight|nine|sixteen)|[0-9]\$?_\{?[0-9]|\bbinary\b"
    r"|\boctal\b|hexadecimal|\bmodul|\\pmod|\\bmod|\bcongruen|\\equiv|≡|\boperat(?:ion|or) |cryptarithm|\\star"
    r"|\\oplus|\\otimes|\\diamond|\\begin\{array\}|each letter|digits? (?:is|are) missing|[0-9][₀-₉]"
    r"|\bnim\b|\bxor\b|\\mathbb ?\{?[ZF]\}?[_/]|(?-i:\bZ)[_/]\{?[0-9]|\bGF\(|\bresidue|\bparity"
    r"|\bnew operation|\bo['’]clock|\bclock (?:arithmetic|face)"
    r"|\b(?:on|in) (?:a|the) (?:[0-9]+-hour )?clock|\bthis (?:number )?system\b"
    r"|\b[a-z] ?(?:[*@#&∘★]|\\ast|\\circ|\\bullet|\\triangle) ?[a-z]\$? ?= ?\$?[^\n]{0,20}\b[a-z] ?[-+]",
    re.IGNORECASE,
)


def find_step_skip_reason(step: str) -> str:
    """Why no equality of `step` can be called false, "" if one can: it denies one, or uses other arithmetic."""
    denial = _DENIAL.search(step)
    if denial:
        return f"denies something: {denial.group()}"
    other = _OTHER_ARITHMETIC.search(step)
    return f"may be other arithmetic: {other.group()}" if other else ""


def find_problem_skip_reason(problem: str) -> str:
    """Why no equality about `problem` can be called false, "" if one can: its signs may have another meaning."""
    other = _OTHER_ARITHMETIC.search(problem)
    return f"the problem may use other arithmetic: {other.group()}" if other else ""
