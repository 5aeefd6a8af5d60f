"use strict";
// One problem in all rounds and evaluations that sampled it, side by side, and what changed from each to the next.
page.views.comparison = (() => {
  const { node, button, rich, asFormula, byId } = page;
  let columns = [], column = 0, focus = 0;

  const share = (part, whole) => (whole ? part / whole : null);
  // A row per fact: its name, its value in a round, and whether more of it is better (1), worse (-1) or neither (0).
  const FACTS = [
    ["correct answers", (one) => one.num_correct, (one) => one.num_samples, 1],
    ["unknown answers", (one) => one.num_unknown, (one) => one.num_samples, 0],
    ["correct answers with an incorrect step", (one) => one.num_contradictions, (one) => one.num_correct, -1],
    ["incorrect steps", (one) => one.num_incorrect_steps, (one) => one.num_steps, -1],
    ["different completions", (one) => one.num_different, (one) => one.num_samples, 0],
  ];

  function showChange(before, now, sign) {
    const change = Math.round(100 * (now - before));
    if (!change) return "";
    const look = change * sign > 0 ? "correct" : change * sign < 0 ? "incorrect" : "";
    return node("b", `change ${look}`, `${change > 0 ? "+" : "−"}${Math.abs(change)} points`);
  }

  function showFacts(changes) {
    const table = node("table", "grid facts-table"), head = node("tr");
    head.append(node("th"), ...changes.map((one) => node("th", "", one.round)));
    table.append(head);
    for (const [name, part, whole, sign] of FACTS) {
      const row = node("tr");
      row.append(node("th", "", name));
      changes.forEach((one, at) => {
        const cell = node("td", "", `${part(one)} of ${whole(one)} `);
        const now = share(part(one), whole(one)), before = at ? share(part(changes[at - 1]), whole(changes[at - 1])) : null;
        if (now !== null && before !== null) cell.append(showChange(before, now, sign));
        row.append(cell);
      });
      table.append(row);
    }
    const answers = node("tr");
    answers.append(node("th", "", "answers"));
    for (const one of changes) {
      const cell = node("td");
      for (const [answer, count] of one.answers) {
        const line = node("div", "answer");
        line.append(rich(asFormula(answer.slice(0, 200)), "text"), node("span", "facts", `× ${count}`));
        cell.append(line);
      }
      answers.append(cell);
    }
    table.append(answers);
    const news = node("tr");
    news.append(node("th", "", "against the one before"));
    for (const one of changes) {
      const added = Object.values(one.new_steps).reduce((total, steps) => total + steps.length, 0);
      news.append(node("td", "", one.since === null ? "" : `${one.repeated.length} completions repeated; ${added} new steps`));
    }
    table.append(news);
    const box = node("div", "scroll");
    box.append(table);
    return box;
  }

  function showStep(step, isNew) {
    const row = node("div", `step ${step.label}`);
    row.append(rich(step.text.trimEnd(), "text"));
    const facts = node("div", "facts");
    facts.append(node("b", step.label, step.label), ` ${step.reason.slice(0, page.SHOWN)}`);
    if (isNew) facts.prepend(node("b", "new", "new"), " ");
    row.append(facts);
    return row;
  }

  function showCompletion(card, completion, change, stops) {
    const box = node("section", "completion");
    const head = node("div");
    head.append(node("b", completion.verdict, `answer ${completion.verdict}`), ` ${completion.reason}`);
    const facts = node("div", "facts", `sample ${completion.sample_index}`);
    if (change.repeated.includes(completion.sample_id)) facts.append(", ", node("b", "", `the same in ${change.since}`));
    const fresh = new Set(change.new_steps[completion.sample_id]);
    box.append(head, facts, ...completion.steps.map((step) => showStep(step, fresh.has(step.step))));
    if (!completion.steps.length) {
      const row = node("div", "step none");
      row.append(rich(completion.text.trimEnd(), "text"), node("div", "facts", "not judged"));
      box.append(row);
    }
    // Samples of an evaluation are not among the problems of rounds.
    const open = completion.tags.length ? () => page.open("problems", { in: card.round, sample: completion.sample_id }) : null;
    const stop = { box, open };
    if (open) box.append(button("open", open));
    const at = columns.length;
    box.addEventListener("click", () => move(at, stops.indexOf(stop), false));
    stops.push(stop);
    return box;
  }

  async function show(params) {
    const { cards, changes } = await page.ask("comparison", { problem: params.problem ?? "" });
    const view = byId("view");
    view.replaceChildren();
    [columns, column, focus] = [[], 0, 0];
    if (!cards.length) {
      view.append(node("p", "", "Choose a problem first: open one and press x, or search for one."));
      return;
    }
    const [card] = cards;
    view.append(node("div", "facts", `${card.source}, ${card.origin}, problem ${card.problem_id}`), rich(card.problem, "text problem"));
    const gold = node("div", "gold");
    gold.append(node("b", "", "gold"), rich(asFormula(card.gold), "text"));
    view.append(gold, showFacts(changes));
    const side = node("div", "columns rounds");
    cards.forEach((one, at) => {
      const stops = [], made = node("div", "round");
      made.append(node("h2", "", one.round));
      made.append(...one.completions.map((completion) => showCompletion(one, completion, changes[at], stops)));
      if (one.num_omitted) made.append(node("div", "facts", `${one.num_omitted} more completions are not shown`));
      columns.push(stops);
      side.append(made);
    });
    view.append(side);
    move(0, 0, false);
  }

  function move(toColumn, to, scroll = true) {
    const target = columns[toColumn]?.[Math.min(to, columns[toColumn].length - 1)];
    if (!target || to < 0) return;
    columns[column][focus]?.box.classList.remove("focus");
    [column, focus] = [toColumn, columns[toColumn].indexOf(target)];
    target.box.classList.add("focus");
    if (scroll) target.box.scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  return {
    show, filters: [],
    keys: [
      ["j ArrowDown", "next completion", () => move(column, focus + 1)],
      ["k ArrowUp", "previous completion", () => move(column, focus - 1)],
      ["ArrowRight", "next round", () => move(column + 1, focus)], ["ArrowLeft", "previous round", () => move(column - 1, focus)],
      ["Enter", "show this sample", () => columns[column]?.[focus]?.open?.()],
    ],
  };
})();
