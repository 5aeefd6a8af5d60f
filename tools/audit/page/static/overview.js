"use strict";
// How many samples there are by source and round, and how long they are; a click shows those samples.
page.views.overview = (() => {
  const { node, button, byId, formatCount } = page;
  const SVG = "http://www.w3.org/2000/svg";
  const VERDICTS = ["correct", "incorrect", "unknown"];
  const COUNTS = ["num_samples", "num_correct", "num_unknown_answers", "num_with_unknown_step", "num_contradictions", "num_judged"];
  const WIDTH = 560, HEIGHT = 230, LEFT = 52, BOTTOM = 42, TOP = 12;
  let targets = [], focus = 0;

  const percent = (part, whole) => (whole ? `${(100 * part / whole).toFixed(1)}%` : "–");
  const sum = (cells, of) => cells.reduce((total, cell) => total + of(cell), 0);
  const openProblems = (cell, kind) => page.open("problems", { ...cell, kind });

  // Samples of one round and source; `where` is what a click shows, null where no filter says it.
  function showCell(cells, where) {
    const cell = node("td");
    if (!cells.length) return cell;
    const total = Object.fromEntries(COUNTS.map((name) => [name, sum(cells, (one) => one[name])]));
    const open = (text, kind, look) => (where ? button(text, () => openProblems(where, kind), look) : node("span", look, text));
    const share = open(percent(total.num_correct, total.num_samples), "all", "share");
    share.append(node("small", "", " correct"));
    const bar = node("div", "bar");
    for (const verdict of VERDICTS) {
      const part = node("i", verdict);
      const known = { correct: total.num_correct, unknown: total.num_unknown_answers };
      part.style.flexGrow = known[verdict] ?? total.num_samples - total.num_correct - total.num_unknown_answers;
      bar.append(part);
    }
    cell.append(share, bar, node("div", "facts", `${formatCount(total.num_samples)} samples`));
    for (const [count, text, kind] of [
      [total.num_contradictions, total.num_contradictions === 1 ? "contradiction" : "contradictions", "correct answer, incorrect step"],
      [total.num_unknown_answers, total.num_unknown_answers === 1 ? "unknown answer" : "unknown answers", "unknown verdict"],
      [total.num_with_unknown_step, "with unknown steps", "unknown step"],
    ]) {
      const of = kind === "correct answer, incorrect step" ? total.num_correct : total.num_samples;
      if (count) cell.append(open(`${formatCount(count)} ${text} (${percent(count, of)})`, kind, "count"));
    }
    if (total.num_judged < total.num_samples) {
      cell.append(open(`${formatCount(total.num_samples - total.num_judged)} not judged`, "not judged", "count"));
    }
    return cell;
  }

  function showGrid(cells, rounds, sources) {
    const table = node("table", "grid"), head = node("tr");
    head.append(node("th", "", "source"), ...rounds.map((name) => node("th", "", name)));
    table.append(head);
    const lines = [...sources, ...(cells.some((cell) => cell.source === null) ? [null] : [])];
    if (lines.length > 1) lines.push("all");
    for (const source of lines) {
      const row = node("tr");
      row.append(node("th", "", { null: "other sources", all: "all sources" }[source] ?? source));
      for (const round of rounds) {
        const chosen = cells.filter((cell) => cell.round === round && (source === "all" || cell.source === source));
        row.append(showCell(chosen, source === null ? null : { round, source }));
      }
      table.append(row);
    }
    const box = node("div", "scroll");
    box.append(table);
    return box;
  }

  function draw(tag, attributes, text) {
    const made = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    if (text !== undefined) made.textContent = text;
    return made;
  }

  // A round number of at least `count`, so that half of it reads well too.
  const roundUp = (count) => {
    const power = 10 ** Math.floor(Math.log10(Math.max(count, 1)));
    return [1, 2, 3, 4, 5, 6, 8, 10].map((factor) => factor * power).find((value) => value >= count && value % 2 === 0);
  };

  function showHistogram(cells, name, bins, title, unit) {
    const counts = VERDICTS.map((verdict) => Array.from({ length: bins.num_bins }, (_, at) =>
      sum(cells, (cell) => cell.histograms[name][verdict][at])));
    const totals = counts[0].map((_, at) => counts[0][at] + counts[1][at] + counts[2][at]);
    const top = roundUp(Math.max(...totals, 2)), high = HEIGHT - TOP - BOTTOM, step = (WIDTH - LEFT - 8) / bins.num_bins;
    const figure = node("figure"), picture = draw("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": title });
    for (const value of [0, top / 2, top]) {
      const y = TOP + high * (1 - value / top);
      picture.append(draw("line", { x1: LEFT, x2: WIDTH - 8, y1: y, y2: y, class: "rule" }));
      picture.append(draw("text", { x: LEFT - 6, y: y + 4, "text-anchor": "end" }, formatCount(value)));
    }
    const every = Math.ceil(bins.num_bins / 9);
    totals.forEach((total, at) => {
      const x = LEFT + at * step, low = at * bins.width, isLast = at === bins.num_bins - 1;
      const range = isLast ? `${formatCount(low)} or more` : bins.width === 1 ? `${low}` : `${formatCount(low)} to ${formatCount(low + bins.width - 1)}`;
      const group = draw("g", {});
      group.append(draw("title", {}, `${range} ${unit}: ${formatCount(total)} samples (${VERDICTS.map((verdict, row) =>
        `${formatCount(counts[row][at])} ${verdict}`).join(", ")})`));
      group.append(draw("rect", { x, y: TOP, width: step, height: high, class: "ground" }));
      let y = TOP + high;
      VERDICTS.forEach((verdict, row) => {
        const size = high * counts[row][at] / top;
        y -= size;
        group.append(draw("rect", { x: x + 1, y, width: Math.max(step - 2, 1), height: size, class: verdict }));
      });
      picture.append(group);
      if (at % every === 0) {
        const isCentred = bins.width === 1;
        picture.append(draw("text", { x: isCentred ? x + step / 2 : x, y: HEIGHT - BOTTOM + 16, "text-anchor": "middle" }, formatCount(low)));
      }
    });
    picture.append(draw("text", { x: LEFT + (WIDTH - LEFT) / 2, y: HEIGHT - 6, "text-anchor": "middle" }, unit));
    figure.append(node("figcaption", "", title), picture);
    return figure;
  }

  function showLegend() {
    const legend = node("p", "legend facts");
    legend.append("answer:");
    for (const verdict of VERDICTS) {
      legend.append(" ", node("i", verdict), ` ${verdict}`);
    }
    return legend;
  }

  async function show(params) {
    const { cells, sources, histograms } = await page.ask("overview");
    const chosen = cells.filter((cell) => ["round", "source"].every((name) => params[name] === "all" || cell[name] === params[name]));
    const rounds = [...new Set(chosen.map((cell) => cell.round))];
    const view = byId("view");
    const figures = node("div", "figures");
    figures.append(
      showHistogram(chosen, "num_steps", histograms.num_steps, "Steps per judged completion", "steps"),
      showHistogram(chosen, "num_chars", histograms.num_chars, "Length of completions", "characters"),
    );
    view.replaceChildren(
      showGrid(chosen, rounds, sources.filter((source) => chosen.some((cell) => cell.source === source))),
      node("p", "facts", `A contradiction is a correct answer with an incorrect step; its share is that of correct answers.${
        page.data.cards ? ` All samples are counted; this page holds ${page.data.cards.length} problems of them.` : ""}`),
      showLegend(), figures,
    );
    targets = [...view.querySelectorAll("button")];
    focus = 0;
    targets[0]?.focus({ preventScroll: true });
  }

  // The nearest target in a direction, as the eye sees them.
  function move(dx, dy) {
    const at = targets.indexOf(document.activeElement);
    const from = targets[at < 0 ? focus : at]?.getBoundingClientRect();
    if (!from) return;
    let best = null, least = Infinity;
    for (const target of targets) {
      const to = target.getBoundingClientRect();
      const along = dx * (to.left - from.left) + dy * (to.top - from.top);
      const across = Math.abs(dy * (to.left - from.left)) + Math.abs(dx * (to.top - from.top));
      if (along > 1 && along + 4 * across < least) [best, least] = [target, along + 4 * across];
    }
    focus = best ? targets.indexOf(best) : focus;
    best?.focus();
  }

  return {
    show, filters: ["round", "source"],
    keys: [
      ["j ArrowDown", "down", () => move(0, 1)], ["k ArrowUp", "up", () => move(0, -1)],
      ["ArrowRight", "next round", () => move(1, 0)], ["ArrowLeft", "previous round", () => move(-1, 0)],
      ["Enter", "show these samples", () => document.activeElement.click()],
    ],
  };
})();
