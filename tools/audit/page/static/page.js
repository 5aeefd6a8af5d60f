"use strict";
// Every text comes from problems and models: it reaches the page by textContent alone, and formulas by KaTeX, which is
// told to trust nothing.
(() => {
  const SHOWN = 4000; // characters of one text before a person asks for the rest
  const MATH = {
    delimiters: [
      { left: "$$", right: "$$", display: true },
      { left: "\\[", right: "\\]", display: true },
      { left: "\\(", right: "\\)", display: false },
      { left: "$", right: "$", display: false },
    ],
    trust: false, throwOnError: false, strict: "ignore", maxExpand: 200, maxSize: 20, errorCallback: () => {},
  };
  const data = JSON.parse(document.getElementById("data").textContent);
  const wanted = { ...data.wanted };
  const mine = new Map(); // verdicts of this visit, by round, sample and step
  let at = 0, card = null, count = 0, focus = 0, steps = [];

  const byId = (id) => document.getElementById(id);
  function node(tag, look, text) {
    const made = document.createElement(tag);
    if (look) made.className = look;
    if (text !== undefined) made.textContent = text;
    return made;
  }

  function rich(text, look) {
    const box = node("div", look, text.slice(0, SHOWN));
    if (text.length > SHOWN) {
      const more = node("button", "", `show all ${text.length.toLocaleString("en")} characters`);
      more.addEventListener("click", () => { box.textContent = text; });
      const both = node("div");
      both.append(box, more);
      return both;
    }
    try {
      renderMathInElement(box, MATH);
    } catch {
      box.textContent = text; // a formula that KaTeX stumbles over is shown as it is
    }
    return box;
  }

  const fits = (solution) => wanted.kind === "all" || solution.tags.includes(wanted.kind);
  const asFormula = (answer) => (answer.includes("\\") && !answer.includes("$") ? `\\(${answer}\\)` : answer);

  async function view() {
    if (data.cards === null) {
      const asked = new URLSearchParams({ ...wanted, at: String(at) });
      const answer = await fetch(`view?${asked}`);
      if (!answer.ok) throw new Error(await answer.text());
      return answer.json();
    }
    const cards = data.cards.filter((one) =>
      (wanted.round === "all" || one.round === wanted.round) &&
      (wanted.source === "all" || one.source === wanted.source) && one.solutions.some(fits));
    return { count: cards.length, card: cards[at] ?? null };
  }

  function showSolution(solution) {
    const box = node("section", fits(solution) ? "solution" : "solution other");
    const head = node("div");
    head.append(node("b", solution.verdict, `answer ${solution.verdict}`), ` ${solution.how}`);
    box.append(head, node("div", "facts", `solution ${solution.index}, ${solution.tags.join(", ")}`));
    for (const step of solution.steps) {
      const row = node("div", `step ${step.label}`);
      row.append(rich(step.text.trimEnd(), "text"));
      const votes = step.votes > 1 ? ` (${step.agreement.toFixed(2)} of ${step.votes} votes)` : "";
      const said = node("div", "facts");
      said.append(node("b", step.label, step.label), ` ${step.reason.slice(0, SHOWN)}${votes}`);
      row.append(said, node("div", "facts mine"));
      row.lastChild.hidden = true;
      row.addEventListener("click", () => move(steps.findIndex((one) => one.row === row)));
      steps.push({ row, step, solution });
      box.append(row);
    }
    if (solution.replies.length) {
      const replies = node("details", "replies");
      replies.append(node("summary", "", `${solution.replies.length} raw replies`));
      for (const reply of solution.replies) {
        replies.append(node("div", "facts", reply.head + (reply.fault ? `; not used: ${reply.fault}` : "")));
        replies.append(node("pre", "", reply.text));
      }
      box.append(replies);
    }
    const lineage = node("details", "lineage");
    lineage.append(node("summary", "", "lineage"), node("pre", "", solution.lineage.join("\n")));
    box.append(lineage);
    return box;
  }

  async function show() {
    const main = byId("card");
    ({ count, card } = await view());
    byId("place").textContent = count ? `${at + 1} of ${count.toLocaleString("en")}` : "nothing fits";
    steps = [];
    focus = 0;
    main.replaceChildren();
    if (!card) return;
    main.append(node("div", "facts", `${card.round}, ${card.source}, ${card.origin}, problem ${card.problem_id}`));
    main.append(rich(card.problem, "text problem"));
    const gold = node("div", "gold");
    gold.append(node("b", "", "gold"), rich(asFormula(card.gold), "text"));
    const reference = node("details");
    reference.append(node("summary", "", "reference solution"), rich(card.reference, "text"));
    main.append(gold, reference);
    const columns = node("div", "columns");
    const first = [...card.solutions].sort((one, other) => fits(other) - fits(one));
    columns.append(...first.map(showSolution));
    main.append(columns);
    if (card.left_out) main.append(node("div", "facts", `${card.left_out} more solutions are not shown`));
    steps.forEach(mark);
    move(0, false);
  }

  function move(to, scroll = true) {
    if (to < 0 || to >= steps.length) return;
    steps[focus].row.classList.remove("focus");
    focus = to;
    steps[focus].row.classList.add("focus");
    if (scroll) steps[focus].row.scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  const keyOf = ({ step, solution }) => `${card.round} ${solution.sample_id} ${step.step}`;
  function mark(one) {
    const verdict = mine.get(keyOf(one));
    one.row.lastChild.hidden = verdict === undefined;
    if (verdict !== undefined) one.row.lastChild.textContent = verdict.is_correct ? "correct" : "incorrect";
  }

  async function say(isCorrect) {
    const one = steps[focus];
    if (!one || isCorrect === null) return;
    const { step, solution } = one;
    const verdict = { round: card.round, sample_id: solution.sample_id, step: step.step, is_correct: isCorrect };
    if (data.cards === null) {
      const answer = await fetch("verdict", {
        method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(verdict),
      });
      if (!answer.ok) throw new Error(await answer.text());
    } else {
      byId("save").hidden = false;
    }
    mine.set(keyOf(one), { annotator: "page", ...verdict, label: step.label, judge: solution.judge });
    mark(one);
    move(focus + 1);
  }

  function save() {
    const lines = [...mine.values()].map((verdict) => JSON.stringify(verdict) + "\n");
    const link = node("a");
    link.href = URL.createObjectURL(new Blob(lines, { type: "application/x-ndjson" }));
    link.download = "verdicts.jsonl";
    link.click();
    URL.revokeObjectURL(link.href);
  }

  const guard = (work) => (...given) => Promise.resolve(work(...given)).catch((error) => {
    byId("said").textContent = String(error.message);
  });
  const go = guard((to) => {
    if (to < 0 || to >= count) return undefined;
    at = to;
    return show();
  });
  const agreed = (yes) => {
    const label = steps[focus]?.step.label;
    return label === "correct" || label === "incorrect" ? (label === "correct") === yes : null;
  };
  const toggle = (look) => {
    const found = steps[focus]?.row.parentElement.querySelector(`details.${look}`);
    if (found) found.open = !found.open;
  };
  const KEYS = {
    n: () => go(at + 1), ArrowRight: () => go(at + 1), p: () => go(at - 1), ArrowLeft: () => go(at - 1),
    j: () => move(focus + 1), ArrowDown: () => move(focus + 1), k: () => move(focus - 1), ArrowUp: () => move(focus - 1),
    a: guard(() => say(agreed(true))), d: guard(() => say(agreed(false))),
    r: guard(() => say(true)), w: guard(() => say(false)), l: () => toggle("lineage"), o: () => toggle("replies"),
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.tagName === "SELECT") return;
    if (!Object.hasOwn(KEYS, event.key)) return;
    event.preventDefault();
    KEYS[event.key]();
  });
  async function offer() {
    let choices = data.choices;
    if (choices === null) {
      const answer = await fetch("choices");
      if (!answer.ok) throw new Error(await answer.text());
      choices = await answer.json();
    }
    for (const [name, values] of Object.entries(choices)) {
      const select = node("select");
      select.title = name;
      select.append(...values.map((value) => {
        const option = node("option", "", value === "all" ? `any ${name}` : value);
        option.value = value;
        return option;
      }));
      select.value = wanted[name];
      select.addEventListener("change", () => { wanted[name] = select.value; select.blur(); at = 0; guard(show)(); });
      byId("choices").append(select);
    }
  }
  byId("previous").addEventListener("click", () => go(at - 1));
  byId("next").addEventListener("click", () => go(at + 1));
  byId("save").addEventListener("click", save);
  // The first problem comes first: of many samples it takes seconds to tell what there is to choose from.
  guard(async () => { await show(); await offer(); })();
})();
