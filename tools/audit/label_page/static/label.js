"use strict";
// Labelling: one solution at a time, by keyboard. What the judge said is not here before the server sends it, and it sends
// it after this person's own label.
(() => {
  const { byId, node, button, rich, asFormula, formatCount, tell, guard, post, data } = page;
  const IS_FIRST_ERROR = data.mode === "first_error";
  const NAMES = {
    correct: "correct", incorrect: "incorrect", neutral: "neutral", cannot_tell: "cannot tell", bad_split: "bad split",
    unknown: "unknown", none: "no label",
  };
  const past = []; // samples of this visit, oldest first
  let at = -1, item = null, judge = null, focus = 0, rows = [], last = null, isBusy = false;
  let seconds = [], since = 0; // time on each step since its last label

  const sampleOf = ({ round, sample_id }) => ({ round, sample_id });

  function keepTime() {
    const now = performance.now();
    if (item && !document.hidden) seconds[focus] += (now - since) / 1000;
    since = now;
  }

  function takeTime(step) {
    keepTime();
    const taken = Math.round(seconds[step] * 1000) / 1000;
    seconds[step] = 0;
    return taken;
  }

  function show(answer) {
    ({ item } = answer);
    judge = null;
    last = null;
    focus = 0;
    since = performance.now();
    showProgress(answer.num_finished);
    byId("item").replaceChildren();
    rows = [];
    tell("");
    if (!item) {
      byId("item").append(node("p", "message", answer.message));
      return refresh();
    }
    seconds = item.steps.map(() => 0);
    byId("item").append(node("div", "facts", `${item.round}, ${item.source}`), rich(item.problem, "text problem"));
    const reference = node("details");
    reference.id = "reference";
    const gold = node("div", "gold");
    gold.append(node("b", "", "answer"), rich(asFormula(item.gold), "text"));
    reference.append(node("summary", "", "reference solution (r)"), gold, rich(item.reference, "text"));
    byId("item").append(reference);
    rows = item.steps.map((text, step) => {
      const row = node("div", "step");
      row.append(node("span", "number", String(step + 1)), rich(text.trim(), "text"), node("div", "facts mine"), node("div", "facts judge"));
      row.addEventListener("click", () => move(step));
      return row;
    });
    byId("item").append(...rows, node("div", "verdict"));
    const open = item.steps.findIndex((_, step) => !(step in item.labels));
    move(item.is_finished || open < 0 ? 0 : open, false);
    scrollTo(0, 0);
    return refresh();
  }

  function showProgress(numFinished) {
    const task = IS_FIRST_ERROR ? "find the first error" : "label each step";
    byId("progress").textContent = `${data.annotator} · ${formatCount(numFinished)} labelled · ${task}`;
  }

  function move(to, isScrolled = true) {
    if (to < 0 || to >= rows.length) return;
    keepTime();
    rows[focus].classList.remove("focus");
    focus = to;
    rows[focus].classList.add("focus");
    if (isScrolled) rows[focus].scrollIntoView({ block: "nearest" });
  }

  function refresh() {
    for (const [step, row] of rows.entries()) {
      const label = item.labels[step], said = judge?.steps[step];
      row.className = `step ${label ?? ""} ${step === focus ? "focus" : ""}`;
      const [mine, other] = row.querySelectorAll(":scope > .facts");
      mine.hidden = label === undefined;
      mine.replaceChildren(node("b", "", NAMES[label] ?? ""));
      other.hidden = !said;
      if (!said) continue;
      const votes = said.num_votes > 1 ? ` (${said.agreement.toFixed(2)} of ${said.num_votes} votes)` : "";
      other.replaceChildren("judge: ", node("b", said.label, NAMES[said.label]), ` ${said.reason.slice(0, page.SHOWN)}${votes}`);
    }
    if (item && judge) {
      byId("item").lastChild.replaceChildren(node("b", judge.verdict, `answer ${NAMES[judge.verdict]}`), ` ${judge.reason}`);
    }
    byId("hint").parentElement.hidden = !item;
    byId("hint").textContent = !item ? "" : judge ? "Enter: next solution"
      : item.is_finished ? "Labelled. Enter: see what the judge said. Right: next without seeing it" : describeTask();
    byId("actions").replaceChildren(...ACTIONS.filter(([, , , isHere]) => item && (!isHere || isHere())).map(([key, name, work]) => {
      const made = button(name, () => { made.blur(); work(); });
      made.append(node("kbd", "", key.split(" ")[0]));
      return made;
    }));
  }

  const describeTask = () => (IS_FIRST_ERROR
    ? "Go to the first incorrect step and press i; if there is none, e" : "Label each step, up to the first incorrect one at least");

  async function mark(label) {
    if (!item) return;
    const marks = [];
    const add = (step, given) => marks.push({ step, label: given, seconds: takeTime(step) });
    if (IS_FIRST_ERROR) {
      const end = label === "correct" ? rows.length : focus;
      for (let step = 0; step < end; step += 1) add(step, "correct");
      if (label !== "correct") add(focus, label);
    } else {
      add(focus, label);
    }
    const answer = await post("label/marks", { ...sampleOf(item), marks });
    if (IS_FIRST_ERROR) item.labels = {};
    for (const { step, label: given } of marks) item.labels[step] = given;
    item.is_finished = answer.is_finished;
    showProgress(answer.num_finished);
    last = marks.at(-1).step;
    if (!IS_FIRST_ERROR) move(focus + 1);
    refresh();
    tell("");
  }

  async function reveal() {
    judge = await post("label/reveal", sampleOf(item));
    refresh();
    byId("item").lastChild.scrollIntoView({ block: "nearest" });
  }

  async function goNext(skip = null) {
    if (at + 1 < past.length) return goTo(at + 1);
    const answer = await post("label/next", { skip });
    show(answer);
    if (answer.item) past.push(sampleOf(answer.item));
    at = past.length - (answer.item ? 1 : 0);
  }

  async function goTo(to) {
    if (to < 0 || to >= past.length) return;
    show(await post("label/item", past[to]));
    at = to;
  }

  const goOn = () => (!item || judge ? goNext() : item.is_finished ? reveal() : tell("label this solution first, or skip it (s)"));
  const leave = () => (item && !item.is_finished ? tell("label this solution first, or skip it (s)") : goNext());
  const skip = () => (item && !item.is_finished ? goNext(sampleOf(item)) : goNext());
  async function goBack() {
    if (last === null) {
      await goTo(at - 1);
      const labelled = Object.keys(item?.labels ?? {}).map(Number);
      if (labelled.length) move(Math.max(...labelled));
      return;
    }
    move(last);
    last = null;
    tell("press another key to correct this label");
  }
  const toggle = (id) => (byId(id).open ? byId(id).close() : byId(id).showModal());
  const toggleReference = () => { if (item) byId("reference").open = !byId("reference").open; };

  // One answer at a time: a key pressed twice must not label the next solution.
  const once = (work) => guard(async () => {
    if (isBusy) return;
    isBusy = true;
    try {
      await work();
    } finally {
      isBusy = false;
    }
  });
  const isOpen = () => !item.is_finished, isEach = () => !IS_FIRST_ERROR;
  const ACTIONS = [ // keys, what they do, whether the button is shown
    ["c", "correct", once(() => mark("correct")), isEach],
    ["i", IS_FIRST_ERROR ? "first error is here" : "incorrect", once(() => mark("incorrect"))],
    ["e", "no error", once(() => mark("correct")), () => IS_FIRST_ERROR],
    ["n", "neutral", once(() => mark("neutral")), isEach],
    ["u", IS_FIRST_ERROR ? "cannot tell from here" : "cannot tell", once(() => mark("cannot_tell"))],
    ["b", "bad split", once(() => mark("bad_split"))],
    ["z Backspace", "correct the last label", once(goBack), () => Object.keys(item.labels).length || at > 0],
    ["s", "skip", once(skip), isOpen],
    ["Enter", "go on", once(goOn), () => item.is_finished],
  ];
  const KEYS = [
    ...ACTIONS.filter(([key]) => (IS_FIRST_ERROR ? !"cn".includes(key) : key !== "e")),
    ["j ArrowDown", "next step", () => move(focus + 1)], ["k ArrowUp", "previous step", () => move(focus - 1)],
    ["ArrowRight", "next solution", once(leave)], ["ArrowLeft", "previous solution", once(() => goTo(at - 1))],
    ["r", "reference solution", toggleReference], ["g", "guideline", () => toggle("guideline")], ["?", "these keys", () => toggle("keys")],
  ];
  page.listen((key, isTyping) => {
    const open = document.querySelector("dialog[open]");
    if (open) return key === { guideline: "g", keys: "?" }[open.id] ? () => open.close() : undefined;
    return isTyping ? undefined : KEYS.find(([keys]) => keys.split(" ").includes(key))?.[2];
  });
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) { // the time until now counts, that in another window does not
      if (item) seconds[focus] += (performance.now() - since) / 1000;
    } else {
      since = performance.now();
    }
  });

  // The guideline's Markdown: headings, paragraphs, lists and bold text.
  function render(block) {
    const bold = (made, text) => {
      made.append(...text.split("**").map((part, number) => (number % 2 ? node("b", "", part) : part)));
      return made;
    };
    const heading = /^(#{1,2}) (.*)$/s.exec(block);
    if (heading) return node(`h${heading[1].length}`, "", heading[2]);
    if (!block.startsWith("- ")) return bold(node("p"), block.replaceAll("\n", " "));
    const list = node("ul");
    list.append(...block.slice(2).split("\n- ").map((text) => bold(node("li"), text.replace(/\s*\n\s*/g, " "))));
    return list;
  }
  byId("guideline").append(...data.guideline.trim().split(/\n\s*\n/).map(render), button("close", () => byId("guideline").close()));
  byId("guideline").firstChild.tabIndex = -1;
  byId("guideline").firstChild.autofocus = true; // else the button at the end would be scrolled to
  const table = node("table");
  for (const [keys, meaning] of KEYS) {
    const row = node("tr"), names = node("td");
    for (const key of keys.split(" ")) names.append(node("kbd", "", key.replace("Arrow", "")), " ");
    row.append(names, node("td", "", meaning));
    table.append(row);
  }
  byId("keys").append(table, button("close", () => byId("keys").close()));
  byId("open-guideline").addEventListener("click", () => toggle("guideline"));
  byId("open-keys").addEventListener("click", () => toggle("keys"));
  once(() => goNext())();
})();
