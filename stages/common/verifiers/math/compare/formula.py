r"""The grammar of formulas: plain LaTeX or text to a tree of nodes. Nothing is evaluated or simplified here."""

from __future__ import annotations

from collections.abc import Callable

from stages.common.verifiers.math.compare.formula_atoms import AtomReader
from stages.common.verifiers.math.compare.tokens import (
    BRACKETS,
    FUNCTIONS,
    MAX_FORMULA_CHARS,
    POINTS,
    RELATIONS,
    SET_OPERATORS,
    Node,
    ReadError,
    split_tokens,
    strip_groups,
)


def read_formula(text: str) -> Node:
    """Return the tree of the plain `text`; raise `ReadError` if this grammar has no reading of it."""
    if len(text) > MAX_FORMULA_CHARS:
        raise ReadError(f"formula is longer than {MAX_FORMULA_CHARS} characters")
    parser = Parser(split_tokens(text))
    node = parser.read_list()
    if parser.position < len(parser.tokens):
        raise ReadError(f"unexpected {parser.tokens[parser.position].text}")
    stripped: Node = strip_groups(node)
    return stripped


class Parser(AtomReader):
    """Reads tokens by recursive descent."""

    def read_list(self) -> Node:
        items = [self.read_relation()]
        while self.take(",", ";"):
            items.append(self.read_relation())
        return items[0] if len(items) == 1 else Node("list", tuple(items))

    def read_relation(self) -> Node:
        operators, terms = [], [self.read_set()]
        while (operator := self.read_operator()) is not None:
            operators.append(operator)
            terms.append(self.read_set())
        if self.take(r"\pmod"):
            return Node("mod", (terms[-1], self.read_argument(), terms[0] if len(terms) > 1 else None))
        if self.peek() in ("(", r"\mod", r"\bmod") and self.take("(") is not None:
            raise ReadError("unexpected (")
        if self.take(r"\mod", r"\bmod"):
            return Node("mod", (terms[-1], self.read_sum(), terms[0] if len(terms) > 1 else None))
        return terms[0] if not operators else Node("rel", (tuple(operators), tuple(terms)))

    def read_operator(self) -> str | None:
        if self.peek() not in RELATIONS:
            return None
        operator = RELATIONS[self.peek()]
        self.position += 1
        return operator

    def read_set(self) -> Node:
        node = self.read_ratio()
        while self.peek() in SET_OPERATORS:
            kind = SET_OPERATORS[self.peek()]
            self.position += 1
            node = Node(kind, (node, self.read_ratio()))
        return node

    def read_ratio(self) -> Node:
        terms = [self.read_sum()]
        while not self.is_builder and self.take(":"):
            terms.append(self.read_sum())
        return terms[0] if len(terms) == 1 else Node("ratio", tuple(terms))

    def read_sum(self) -> Node:
        terms = [self.read_product()]
        while (operator := self.take("+", "-", r"\pm", r"\mp")) is not None:
            term = self.read_product()
            terms.append(
                term if operator.kind == "+" else Node("neg" if operator.kind == "-" else operator.kind[1:], (term,))
            )
        return terms[0] if len(terms) == 1 else Node("add", tuple(terms))

    def read_product(self) -> Node:
        node = self.read_signed()
        while True:
            if (operator := self.take("*", r"\cdot", r"\times")) is not None:
                factor = self.read_signed()
                if operator.kind == r"\times" and node.kind == factor.kind == "points":
                    raise ReadError("a product of vectors")
                node = Node("mul", (node, factor))
            elif (operator := self.take("/", r"\div")) is not None:
                bottom = self.read_power()
                if operator.kind == "/" and bottom.kind != "group" and self.starts_factor() and node.kind != "num":
                    raise ReadError("a/bc is ambiguous")
                node = Node("div", (node, bottom))
            elif self.starts_factor():
                if node.kind == "num" and node.args[0] == 0:
                    raise ReadError("0 before a factor, as in 0xFF")
                node = Node("mul", (node, self.read_power()))
            else:
                return node

    def read_signed(self) -> Node:
        operator = self.take("+", "-", r"\pm", r"\mp")
        if operator is None:
            return self.read_power()
        # A minus holds for the product: -x y is -(x y), and -x^2 is -(x^2).
        node = self.read_signed()
        return node if operator.kind == "+" else Node("neg" if operator.kind == "-" else operator.kind[1:], (node,))

    def read_power(self) -> Node:
        node = self.read_atom()
        while True:
            if self.take("^"):
                if self.take(r"\circ") or (self.peek() == "{" and self.peek(1) == r"\circ" and self.skip(3)):
                    node = Node("deg", (node,))
                elif node == Node("name", ("f",)) and self.is_minus_one():
                    self.read_argument()
                    node = self.read_named("f^-1")
                elif node.kind == "name" and node.args[0] in ("f", "g", "h"):
                    node = Node("pow", (node, self.read_argument(is_power=True)))
                    if self.peek() == "(":
                        raise ReadError("a power of a function may be a square, another application or a derivative")
                else:
                    node = Node("pow", (node, self.read_argument(is_power=True)))
            elif self.take("!"):
                node = Node("fact2" if self.take("!") else "fact", (node,))
            elif self.take(r"\%", "%"):
                node = Node("pct", (node,))
            elif self.take("'"):
                raise ReadError("a prime behind no name")
            else:
                return node

    def read_atom(self) -> Node:
        token = self.tokens[self.position] if self.peek() else None
        if token is None:
            raise ReadError("the formula ends early")
        self.position += 1
        kind = token.kind
        if kind == "number":
            return self.read_mixed(token.text)
        if kind == "name":
            return self.read_named(token.text)
        if kind == "macro":
            if self.starts_factor():
                raise ReadError(f"unknown {token.text}")
            return Node("name", (token.text,))
        if kind == "word":
            return Node("word", (token.text,))
        if kind in _ATOMS:
            return _ATOMS[kind](self)
        if kind[1:] in POINTS:
            return self.read_points(kind[1:])
        if kind[1:] in FUNCTIONS and kind[0] == "\\":
            return self.read_function(kind[1:])
        if kind in BRACKETS or kind == "]":
            return self.read_brackets(kind)
        if kind == "{":
            self.position -= 1
            node = self.read_braces()
            return self.read_atom() if node == Node("set", ()) and self.peek() in ("_", "^") else node
        if kind in ("_", "^"):  # {}_8 C_3
            top = self.read_argument(is_power=True)
            if self.expect("name").text != "C" or not self.take("_"):
                raise ReadError(f"unexpected {kind}")
            return Node("binom", (top, self.read_argument(is_power=True)))
        if kind == "|":
            self.bars += 1
            node = Node("abs", (self.read_sum(),))
            self.bars -= 1
            self.expect("|")
            return node
        raise ReadError(f"unexpected {token.text}")

    def read_brackets(self, opening: str) -> Node:
        outside = self.bars, self.is_builder
        self.is_builder = opening == r"\{"
        self.bars = int(self.is_builder)
        closings = (r"\}",) if opening == r"\{" else (BRACKETS[opening],) if opening[0] == "\\" else (")", "]", "[")
        if self.take(*closings):
            self.bars, self.is_builder = outside
            return Node("set", ()) if opening == r"\{" else Node("tuple", (opening + closings[0], ()))
        inside = self.read_list()
        if opening == r"\{" and self.take("|", ":"):
            inside = Node("builder", (inside, self.read_list()))
        closing = self.expect(*closings).kind
        self.bars, self.is_builder = outside
        if opening == r"\{":
            return (
                inside if inside.kind == "builder" else Node("set", inside.args if inside.kind == "list" else (inside,))
            )
        if opening[0] == "\\":
            return Node(opening[2:], (inside,))
        if inside.kind == "list":
            return Node("tuple", (opening + closing, inside.args))
        return (
            Node("group", (inside,))
            if opening + closing == "()" or inside.kind == "matrix"
            else Node("tuple", (opening + closing, (inside,)))
        )


_ATOMS: dict[str, Callable[[Parser], Node]] = {
    r"\frac": Parser.read_fraction, r"\binom": Parser.read_binomial, r"\sqrt": Parser.read_root,
    r"\begin": Parser.read_environment, r"\mathbb": Parser.read_blackboard, r"\group": Parser.read_group,
    **dict.fromkeys((r"\sum", r"\prod", r"\int", r"\lim"), Parser.read_large),
    r"\pi": lambda _: Node("const", ("pi",)), r"\infty": lambda _: Node("const", ("inf",)),
    r"\emptyset": lambda _: Node("set", ()),
}  # fmt: skip
