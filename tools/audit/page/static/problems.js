"use strict";
// One problem at a time with all its completions, their steps coloured by label.
page.views.problems = (() => {
  const { node, rich, asFormula, guard, byId, data, SHOWN } = page;
  const labels = new Map(); // human labels of this visit, by round, sample and step
  let position = 0, count = 0, card = null, focus = 0, steps = [], chosen = {}, focusedAt = 0;

  const matches = (completion) => chosen.kind === "all" || completion.tags.includes(chosen.kind);

  function describeReplies(completion) {
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
    return replies;
  }

  function showStep(step, completion) {
    const row = node("div", `step ${step.label}`);
    row.append(rich(step.text.trimEnd(), "text"));
    const votes = step.num_votes > 1 ? ` (${step.agreement.toFixed(2)} of ${step.num_votes} votes)` : "";
    const facts = node("div", "facts");
    facts.append(node("b", step.label, step.label), ` ${step.reason.slice(0, SHOWN)}${votes}`);
    row.append(facts, node("div", "facts mine"));
    row.lastChild.hidden = true;
    row.addEventListener("click", () => move(steps.findIndex((one) => one.row === row)));
    steps.push({ row, step, completion });
    return row;
  }

  function showCompletion(completion) {
    const box = node("section", matches(completion) ? "completion" : "completion other");
    const head = node("div");
    head.append(node("b", completion.verdict, `answer ${completion.verdict}`), ` ${completion.reason}`);
    box.append(head, node("div", "facts", `sample ${completion.sample_index}, ${completion.tags.join(", ")}`));
    box.append(...completion.steps.map((step) => showStep(step, completion)));
    if (!completion.steps.length) {
      const row = node("div", "step none");
      row.append(rich(completion.text.trimEnd(), "text"), node("div", "facts", "not judged"));
      box.append(row);
      steps.push({ row, step: null, completion });
    }
    if (completion.replies.length) box.append(describeReplies(completion));
    const lineage = node("details", "lineage");
    lineage.append(node("summary", "", "lineage"), node("pre", "", completion.lineage.join("\n")));
    box.append(lineage);
    return box;
  }

  function render(linked) {
    const view = byId("view");
    byId("position").textContent = count ? `${position + 1} of ${page.formatCount(count)}` : "none found";
    steps = [];
    focus = 0;
    view.replaceChildren();
    if (!card) return;
    view.append(node("div", "facts", `${card.round}, ${card.source}, ${card.origin}, problem ${card.problem_id}`));
    view.append(rich(card.problem, "text problem"));
    const gold = node("div", "gold");
    gold.append(node("b", "", "gold"), rich(asFormula(card.gold), "text"));
    const reference = node("details");
    reference.append(node("summary", "", "reference solution"), rich(card.reference, "text"));
    view.append(gold, reference);
    const columns = node("div", "columns");
    const rank = (completion) => (completion.sample_id === linked ? 2 : Number(matches(completion)));
    columns.append(...[...card.completions].sort((one, other) => rank(other) - rank(one)).map(showCompletion));
    view.append(columns);
    if (card.num_omitted) view.append(node("div", "facts", `${card.num_omitted} more completions are not shown`));
    steps.forEach(showLabel);
    move(0, false);
  }

  // `params.sample` in round `params.in` names a sample, as a link does; without it, the first problem is shown.
  async function show(params) {
    chosen = { round: params.round, source: params.source, kind: params.kind };
    const linked = params.sample;
    let found = await page.ask("card", linked ? { ...chosen, in: params.in, sample: linked } : { ...chosen, position: "0" });
    if (linked && !found.card) { // the link is older than the filter, or the sample than the data
      chosen = page.setFilter({});
      found = await page.ask("card", { ...chosen, in: params.in, sample: linked });
      if (!found.card) {
        page.tell(`no sample ${linked} in round ${params.in ?? "none"}; this is the first problem`);
        found = await page.ask("card", { ...chosen, position: "0" });
      }
    }
    ({ count, position, card } = found);
    render(linked);
  }

  async function go(to) {
    if (to < 0 || to >= count) return;
    ({ count, position, card } = await page.ask("card", { ...chosen, position: String(to) }));
    render();
  }

  function move(to, scroll = true) {
    if (to < 0 || to >= steps.length) return;
    steps[focus].row.classList.remove("focus");
    focus = to;
    focusedAt = performance.now();
    steps[focus].row.classList.add("focus");
    page.setUrl({ view: "problems", ...chosen, in: card.round, sample: steps[focus].completion.sample_id });
    if (scroll) steps[focus].row.scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  const keyOf = ({ step, completion }) => `${card.round} ${completion.sample_id} ${step?.step}`;
  function showLabel(one) {
    const label = labels.get(keyOf(one))?.label;
    if (!one.step || label === undefined) return;
    one.row.lastChild.hidden = false;
    one.row.lastChild.textContent = label;
  }

  async function addLabel(label) {
    const one = steps[focus];
    if (!one?.step || label === null) return;
    const { step, completion } = one;
    const mark = { step: step.step, label, seconds: Math.round(performance.now() - focusedAt) / 1000 };
    const sample = { round: card.round, sample_id: completion.sample_id };
    if (data.cards === null) await page.post("label", { ...sample, marks: [mark] });
    else byId("save").hidden = false;
    labels.set(keyOf(one), {
      annotator: "page", ...sample, problem_id: card.problem_id, ...mark, text_hash: step.text_hash, kind: "own",
      mode: "per_step", queue: "browsing", is_blind: false, time: new Date().toISOString(), ...data.versions, judge_label: step.label, judge: completion.judge,
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

  const agrees = (yes) => {
    const label = steps[focus]?.step?.label;
    if (label !== "correct" && label !== "incorrect") return null;
    return (label === "correct") === yes ? "correct" : "incorrect";
  };
  const toggle = (look) => {
    const found = steps[focus]?.row.parentElement.querySelector(`details.${look}`);
    if (found) found.open = !found.open;
  };
  const next = guard(() => go(position + 1)), previous = guard(() => go(position - 1));
  byId("previous").addEventListener("click", previous);
  byId("next").addEventListener("click", next);
  byId("save").addEventListener("click", save);
  return {
    show, filters: ["round", "source", "kind"],
    keys: [
      ["n ArrowRight", "next problem", next], ["p ArrowLeft", "previous problem", previous],
      ["j ArrowDown", "next step", () => move(focus + 1)], ["k ArrowUp", "previous step", () => move(focus - 1)],
      ["a", "agree with the label", guard(() => addLabel(agrees(true)))],
      ["d", "disagree with the label", guard(() => addLabel(agrees(false)))],
      ["c", "label the step correct", guard(() => addLabel("correct"))],
      ["i", "label the step incorrect", guard(() => addLabel("incorrect"))],
      ["x", "this problem in all rounds", () => { if (card) page.open("comparison", { problem: card.problem_id }); }],
      ["l", "lineage", () => toggle("lineage")], ["o", "raw replies", () => toggle("replies")],
    ],
  };
})();
