r"""The smallest parts of a formula: names, functions, fractions, roots, matrices, sums and arguments."""

from __future__ import annotations

from fractions import Fraction

from stages.common.verifiers.math.compare.tokens import (
    ATOM_COMMANDS,
    CALLED,
    FUNCTIONS,
    POINTS,
    Node,
    ReadError,
    Token,
    TokenReader,
    make_number,
    strip_groups,
)


def _is_differential(node: Node) -> bool:
    """Return whether a formula is a product that begins with d, such as dx."""
    first: Node = node.args[0] if node.kind == "mul" else node
    return _is_differential(first) if first.kind == "mul" else node.kind == "mul" and first == Node("name", ("d",))


class AtomReader(TokenReader):
    """Reads what a formula is made of; a subclass reads sums, products and powers of it."""

    def read_list(self) -> Node:
        raise NotImplementedError

    def read_sum(self) -> Node:
        raise NotImplementedError

    def read_product(self) -> Node:
        raise NotImplementedError

    def read_signed(self) -> Node:
        raise NotImplementedError

    def read_power(self) -> Node:
        raise NotImplementedError

    def read_atom(self) -> Node:
        raise NotImplementedError

    def read_named(self, name: str) -> Node:
        if name == "C" and (chosen := self.read_combinations()) is not None:
            return chosen
        while True:
            if self.take("'"):
                name += "'"
            elif self.peek() == "_":
                self.position += 1
                name += f"_{self.read_raw()}"
            else:
                break
        if name == "d" and self.peek() == "/":
            raise ReadError("a derivative")
        if name[0] in "AP" and name[1:].strip("_nm0123456789") == "" != name[1:] and self.peek() == "^":
            raise ReadError("a power or a number of arrangements")
        if self.peek() == "(" and not self.tokens[self.position].is_spaced and name[0] in CALLED:
            return Node("apply", (name, self.read_atom()))
        return Node("name", (name,))

    def read_combinations(self) -> Node | None:
        """Return C_n^k, C^k_n or C(n, k) as a binomial coefficient, None if this C is a name."""
        start = self.position
        parts: dict[str, Node] = {}
        while self.peek() in ("_", "^") and self.peek() not in parts:
            mark = self.expect("_", "^").kind
            parts[mark] = self.read_argument(is_power=True)
        if len(parts) == 2:
            return Node("binom", (parts["_"], parts["^"]))
        self.position = start
        if self.peek() == "(":
            inside = self.read_atom()
            if inside.kind == "tuple" and len(inside.args[1]) == 2:
                return Node("binom", inside.args[1])
            self.position = start
        return None

    def read_points(self, mark: str) -> Node:
        """Return what a mark such as an angle or a line names: letters in their order."""
        if self.peek() == "{":
            letters = self.read_braces()
        elif mark == "angle" and self.peek() == "number":
            return Node("points", (mark, self.expect("number").text))
        else:
            letters = self.read_named(self.expect("name").text)
        letters = strip_groups(letters)
        if mark == "overline" and letters.kind == "name" and len(letters.args[0]) > 1 and letters.args[0].isupper():
            return Node("name", letters.args)  # a segment, named by its ends
        return Node("points", (mark, letters))

    def read_function(self, name: str) -> Node:
        power = base = None
        while (mark := self.take("^", "_")) is not None:
            if mark.kind == "^":
                power = self.read_argument(is_power=True)
            else:
                base = self.read_argument()
        is_set = self.peek() == r"\{" and name in ("max", "min", "gcd", "lcm")
        if is_set or self.peek() == "(" or (self.peek() == "{" and name not in ("ln", "log", "lg")):
            argument = self.read_atom()
        else:
            argument = self.read_bare_argument()
        arguments = (
            argument.args[1] if argument.kind == "tuple" else argument.args if argument.kind == "set" else (argument,)
        )
        if base is not None:
            arguments = (*arguments, base)
        if power is not None and strip_groups(power) == Node("neg", (make_number("1"),)):
            return Node("call", (f"arc{name}", arguments))
        node = Node("call", (name, arguments))
        return node if power is None else Node("pow", (node, power))

    def read_bare_argument(self) -> Node:
        """Return the argument of a function without brackets: a product of numbers, names, roots and fractions."""
        operator = self.take("-")
        node = self.read_power()
        while self.starts_factor() and self.peek() not in ("(", "word", "{") and self.peek()[1:] not in FUNCTIONS:
            node = Node("mul", (node, self.read_power()))
        if self.peek() == "/" and node.kind in ("num", "name", "const", "mul"):
            self.position += 1
            node = Node("div", (node, self.read_power()))
        return Node("neg", (node,)) if operator else node

    def read_fraction(self) -> Node:
        parts = (self.read_argument(), self.read_argument())
        if all(map(_is_differential, map(strip_groups, parts))):
            raise ReadError("a derivative")
        return Node("div", parts)

    def read_binomial(self) -> Node:
        return Node("binom", (self.read_argument(), self.read_argument()))

    def read_root(self) -> Node:
        degree = make_number("2")
        if self.take("["):
            degree = self.read_sum()
            self.expect("]")
        if (
            self.peek() == "number"
            and len(self.tokens[self.position].text) > 1
            and (self.tokens[self.position].is_spaced or self.tokens[self.position - 1].text == "sqrt")
        ):
            return Node("root", (self.read_atom(), degree))
        return Node("root", (self.read_argument(), degree))

    def read_environment(self) -> Node:
        name = self.read_raw()
        if name == "array":
            self.read_raw()
        rows: list[list[Node]] = [[]]
        while not self.take(r"\end"):
            if self.take(r"\row"):
                rows.append([])
            elif not self.take("&", r"\hline"):
                rows[-1].append(self.read_list())
        self.read_raw()
        filled = [tuple(row) for row in rows if row]
        if not filled or len({len(row) for row in filled}) > 1:
            raise ReadError("rows of different lengths")
        if name in ("cases", "aligned", "align*", "gathered", "align"):
            return Node("list", tuple(cell for row in filled for cell in row))
        if name in ("vmatrix", "Vmatrix"):
            return Node("det", (tuple(filled),))
        return Node("matrix", (tuple(filled),))

    def read_large(self) -> Node:
        """Return a sum, product, integral or limit with its bounds."""
        kind = self.tokens[self.position - 1].kind[1:]
        bounds: dict[str, Node] = {}
        while (mark := self.take("_", "^", r"\limits")) is not None:
            self.take(r"\limits")
            bounds[mark.kind] = self.read_argument(is_power=True)
        if kind == "int":
            self.integrals += 1
        body = self.read_product() if kind != "int" else self.read_sum()
        if kind == "int":
            self.integrals -= 1
            self.expect("name")
            return Node("int", (self.expect("name").text, bounds.get("_"), bounds.get("^"), body))
        return Node(kind, (bounds.get("_"), bounds.get("^"), body))

    def read_blackboard(self) -> Node:
        return Node("number set", (self.read_raw(),))

    def read_group(self) -> Node:
        return self.read_argument()

    def read_mixed(self, text: str) -> Node:
        """Return a number, with a fraction less than 1 right behind it added."""
        number = make_number(text)
        rest = [token.text for token in self.tokens[self.position : self.position + 7]]
        if text.isdigit() and rest[:2] == [r"\frac", "{"] and rest[3:5] == ["}", "{"] and rest[6:] == ["}"]:
            top, bottom = rest[2], rest[5]
        elif text.isdigit() and rest[:1] == [r"\frac"] and len(rest) > 1 and rest[1].isdigit() and len(rest[1]) == 2:
            top, bottom = rest[1][0], rest[1][1]
        elif text.isdigit() and len(rest) > 2 and rest[1] == "/" and self.tokens[self.position].is_spaced:
            top, bottom = rest[0], rest[2]
        else:
            return number
        if not (top.isdigit() and bottom.isdigit() and 0 < int(top) < int(bottom)):
            return number
        self.position += {r"\frac": 7 if rest[1] == "{" else 2}.get(rest[0], 3)
        return Node("num", (number.args[0] + Fraction(int(top), int(bottom)), None, 0))

    def starts_factor(self) -> bool:
        kind = self.peek()
        if kind == "number":
            return self.tokens[self.position - 1].kind != "number" and not self.tokens[self.position - 1].text.isdigit()
        if kind == "name":
            return not (self.integrals and self.tokens[self.position].text == "d" and self.peek(1) == "name")
        if kind == "|":
            return not self.bars
        return kind in ("word", "(", "{") or (
            kind[:1] == "\\" and (kind[1:] in FUNCTIONS or kind in ATOM_COMMANDS or kind[1:] in POINTS)
        )

    def is_minus_one(self) -> bool:
        texts = [token.text for token in self.tokens[self.position : self.position + 4]]
        return texts in (["{", "-", "1", "}"], ["(", "-", "1", ")"])

    def read_argument(self, is_power: bool = False) -> Node:
        """Return what TeX reads as an argument: a group in braces, a command, or one character."""
        if self.peek() == "{":
            return self.read_braces()
        if self.peek() == "number":
            token = self.expect("number")
            if is_power or len(token.text) == 1:
                return make_number(token.text)
            self.position -= 1
            self.tokens[self.position] = Token("number", token.text[1:], False)
            return make_number(token.text[0])
        if is_power and self.peek() in ("-", "+"):
            return self.read_signed()
        if self.peek() == "name":
            return Node("name", (self.expect("name").text,)) if not is_power else self.read_atom()
        return self.read_atom()

    def read_braces(self) -> Node:
        self.expect("{")
        if self.take("}"):
            return Node("set", ())
        node = self.read_list()
        if (operator := self.take(r"\over", r"\choose")) is not None:
            node = Node("div" if operator.kind == r"\over" else "binom", (node, self.read_list()))
        self.expect("}")
        return Node("group", (node,)) if node.kind != "list" else node
