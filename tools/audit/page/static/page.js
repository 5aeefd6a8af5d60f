"use strict";
// Every text comes from problems and models: it reaches the page by textContent alone, and formulas by KaTeX, which is
// configured to trust nothing.
(() => {
  const SHOWN = 4000; // characters of one text until the reader asks for the rest
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
  const chosen = { ...data.filter };
  const labels = new Map(); // human labels of this visit, by round, sample and step
  let position = 0, card = null, count = 0, focus = 0, steps = [], focusedAt = 0;

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
      box.textContent = text; // a formula that KaTeX cannot render is shown as it is
    }
    return box;
  }

  const matches = (completion) => chosen.kind === "all" || completion.tags.includes(chosen.kind);
  const asFormula = (answer) => (answer.includes("\\") && !answer.includes("$") ? `\\(${answer}\\)` : answer);

  async function view() {
    if (data.cards === null) {
      const query = new URLSearchParams({ ...chosen, position: String(position) });
      const answer = await fetch(`card?${query}`);
      if (!answer.ok) throw new Error(await answer.text());
      return answer.json();
    }
    const cards = data.cards.filter((one) =>
      (chosen.round === "all" || one.round === chosen.round) &&
      (chosen.source === "all" || one.source === chosen.source) && one.completions.some(matches));
    return { count: cards.length, card: cards[position] ?? null };
  }

  function showCompletion(completion) {
    const box = node("section", matches(completion) ? "completion" : "completion other");
    const head = node("div");
    head.append(node("b", completion.verdict, `answer ${completion.verdict}`), ` ${completion.reason}`);
    box.append(head, node("div", "facts", `sample ${completion.sample_index}, ${completion.tags.join(", ")}`));
    for (const step of completion.steps) {
      const row = node("div", `step ${step.label}`);
      row.append(rich(step.text.trimEnd(), "text"));
      const votes = step.num_votes > 1 ? ` (${step.agreement.toFixed(2)} of ${step.num_votes} votes)` : "";
      const facts = node("div", "facts");
      facts.append(node("b", step.label, step.label), ` ${step.reason.slice(0, SHOWN)}${votes}`);
      row.append(facts, node("div", "facts mine"));
      row.lastChild.hidden = true;
      row.addEventListener("click", () => move(steps.findIndex((one) => one.row === row)));
      steps.push({ row, step, completion });
      box.append(row);
    }
    if (!completion.steps.length) {
      const row = node("div", "step none");
      row.append(rich(completion.text.trimEnd(), "text"), node("div", "facts", "not judged"));
      box.append(row);
    }
    if (completion.replies.length) {
      const replies = node("details", "replies");
      replies.append(node("summary", "", `${completion.replies.length} raw replies`));
      for (const reply of completion.replies) {
        replies.append(node("div", "facts", reply.head));
        if (reply.reasoning) {
          const reasoning = node("details", "reasoning");
          reasoning.append(node("summary", "", "thinking"), node("pre", "", reply.reasoning));
          replies.append(reasoning);
        }
        replies.append(node("pre", "", reply.text));
      }
      box.append(replies);
    }
    const lineage = node("details", "lineage");
    lineage.append(node("summary", "", "lineage"), node("pre", "", completion.lineage.join("\n")));
    box.append(lineage);
    return box;
  }

  async function show() {
    const main = byId("card");
    ({ count, card } = await view());
    byId("position").textContent = count ? `${position + 1} of ${count.toLocaleString("en")}` : "none found";
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
    const first = [...card.completions].sort((one, other) => matches(other) - matches(one));
    columns.append(...first.map(showCompletion));
    main.append(columns);
    if (card.num_omitted) main.append(node("div", "facts", `${card.num_omitted} more completions are not shown`));
    steps.forEach(showLabel);
    move(0, false);
  }

  function move(to, scroll = true) {
    if (to < 0 || to >= steps.length) return;
    steps[focus].row.classList.remove("focus");
    focus = to;
    focusedAt = performance.now();
    steps[focus].row.classList.add("focus");
    if (scroll) steps[focus].row.scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  const keyOf = ({ step, completion }) => `${card.round} ${completion.sample_id} ${step.step}`;
  function showLabel(one) {
    const label = labels.get(keyOf(one));
    one.row.lastChild.hidden = label === undefined;
    if (label !== undefined) one.row.lastChild.textContent = label;
  }

  async function addLabel(label) {
    const one = steps[focus];
    if (!one || label === null) return;
    const { step, completion } = one;
    const mark = { step: step.step, label, seconds: Math.round(performance.now() - focusedAt) / 1000 };
    const sample = { round: card.round, sample_id: completion.sample_id };
    if (data.cards === null) {
      const answer = await fetch("label", {
        method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ ...sample, marks: [mark] }),
      });
      if (!answer.ok) throw new Error(await answer.text());
    } else {
      byId("save").hidden = false;
    }
    labels.set(keyOf(one), {
      annotator: "page", ...sample, problem_id: card.problem_id, ...mark, kind: "own", mode: "per_step", queue: "browsing",
      is_blind: false, time: new Date().toISOString(), ...data.versions, judge_label: step.label, judge: completion.judge,
    });
    showLabel(one);
    move(focus + 1);
  }

  function save() {
    const lines = [...labels.values()].map((label) => JSON.stringify(label) + "\n");
    const link = node("a");
    link.href = URL.createObjectURL(new Blob(lines, { type: "application/x-ndjson" }));
    link.download = "human_labels.jsonl";
    link.click();
    URL.revokeObjectURL(link.href);
  }

  const guard = (work) => (...given) => Promise.resolve(work(...given)).catch((error) => {
    byId("status").textContent = String(error.message);
  });
  const go = guard((to) => {
    if (to < 0 || to >= count) return undefined;
    position = to;
    return show();
  });
  const agrees = (yes) => {
    const label = steps[focus]?.step.label;
    if (label !== "correct" && label !== "incorrect") return null;
    return (label === "correct") === yes ? "correct" : "incorrect";
  };
  const toggle = (look) => {
    const found = steps[focus]?.row.parentElement.querySelector(`details.${look}`);
    if (found) found.open = !found.open;
  };
  const KEYS = {
    n: () => go(position + 1), ArrowRight: () => go(position + 1), p: () => go(position - 1), ArrowLeft: () => go(position - 1),
    j: () => move(focus + 1), ArrowDown: () => move(focus + 1), k: () => move(focus - 1), ArrowUp: () => move(focus - 1),
    a: guard(() => addLabel(agrees(true))), d: guard(() => addLabel(agrees(false))),
    c: guard(() => addLabel("correct")), i: guard(() => addLabel("incorrect")), l: () => toggle("lineage"), o: () => toggle("replies"),
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
      select.value = chosen[name];
      select.addEventListener("change", () => { chosen[name] = select.value; select.blur(); position = 0; guard(show)(); });
      byId("choices").append(select);
    }
  }
  byId("previous").addEventListener("click", () => go(position - 1));
  byId("next").addEventListener("click", () => go(position + 1));
  byId("save").addEventListener("click", save);
  // The first problem is shown first: with many samples, listing the choices takes seconds.
  guard(async () => { await show(); await offer(); })();
})();
