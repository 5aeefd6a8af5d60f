"use strict";
// Problems and completions that hold a text.
page.views.search = (() => {
  const { node, button, byId, formatCount, guard } = page;
  const DELAY_MS = 250;
  let found = [], rows = [], focus = 0, asked = 0, timer = 0, params = {}, results = null, input = null, field = null;

  const openMatch = (match) => (match.sample_id
    ? page.open("problems", { in: match.rounds[0], sample: match.sample_id })
    : page.open("comparison", { problem: match.problem_id }));

  function showMatch(match) {
    const row = node("div", "match"), text = node("div", "text");
    const facts = node("div", "facts");
    if (match.sample_id) {
      facts.append(node("b", match.verdict, `answer ${match.verdict}`), ` ${match.rounds[0]}, ${match.source}, `);
      facts.append(`sample ${match.sample_index} of problem ${match.problem_id.slice(0, 8)}`);
    } else {
      facts.append(node("b", "", "problem"), ` ${match.problem_id.slice(0, 8)}, ${match.source}, in ${match.rounds.join(", ")}`);
    }
    text.append(match.before, node("mark", "", match.match), match.after);
    row.append(facts, text);
    row.addEventListener("click", () => openMatch(match));
    return row;
  }

  async function search(offset) {
    const text = input.value, number = ++asked;
    page.setUrl({ ...params, view: "search", text, field: field.value });
    if (!text.trim()) {
      results.replaceChildren();
      byId("found").textContent = "";
      return;
    }
    const query = { text, field: field.value, round: params.round, source: params.source, offset: String(offset) };
    const answer = await page.ask("search", query);
    if (number !== asked) return; // an answer to what is no longer asked
    page.tell("");
    const total = answer.num_problems + answer.num_samples;
    if (!offset) {
      results.replaceChildren();
      [found, rows, focus] = [[], [], 0];
    }
    results.querySelector("button")?.remove();
    byId("found").textContent = `${formatCount(answer.num_problems)} problems, ${formatCount(answer.num_samples)} completions`;
    const added = answer.matches.map(showMatch);
    found.push(...answer.matches);
    rows.push(...added);
    results.append(...added);
    if (rows.length < total && answer.matches.length) {
      results.append(button(`show more: ${formatCount(total - rows.length)} are left`, guard(() => search(rows.length))));
    }
    if (!offset) move(0, false);
  }

  function move(to, scroll = true) {
    if (to < 0 || to >= rows.length) return;
    rows[focus].classList.remove("focus");
    focus = to;
    rows[focus].classList.add("focus");
    if (scroll) rows[focus].scrollIntoView({ block: "nearest" });
  }

  async function show(given) {
    params = { round: given.round, source: given.source };
    const bar = node("div", "query");
    input = node("input");
    input.type = "search";
    input.maxLength = 200;
    input.placeholder = "text, or the beginning of an id";
    input.value = given.text ?? "";
    field = node("select");
    for (const [value, name] of [["all", "in problems and completions"], ["problem", "in problems"], ["completion", "in completions"]]) {
      const option = node("option", "", name);
      option.value = value;
      field.append(option);
    }
    field.value = ["problem", "completion"].includes(given.field) ? given.field : "all";
    const counted = node("span", "facts");
    counted.id = "found";
    bar.append(input, field, counted);
    results = node("div", "matches");
    byId("view").replaceChildren(bar, node("p", "facts", "Taken as it is, not as a pattern. Capital letters matter only if you type some."), results);
    input.addEventListener("input", () => {
      clearTimeout(timer);
      timer = setTimeout(guard(() => search(0)), DELAY_MS);
    });
    input.addEventListener("keydown", (event) => {
      if (event.key === "Enter") {
        clearTimeout(timer);
        input.blur();
        guard(() => search(0))();
      }
    });
    field.addEventListener("change", () => {
      field.blur();
      guard(() => search(0))();
    });
    [found, rows, focus] = [[], [], 0];
    if (input.value) await search(0);
    else input.focus();
  }

  return {
    show, filters: ["round", "source"],
    keys: [
      ["j ArrowDown", "next match", () => move(focus + 1)], ["k ArrowUp", "previous match", () => move(focus - 1)],
      ["Enter", "show this sample, or the problem in all rounds", () => { if (found[focus]) openMatch(found[focus]); }],
      ["m", "more matches", () => results.querySelector("button")?.click()],
      ["/", "type another text", () => input.select()],
    ],
  };
})();
