"use strict";
// Where the views get what they show: from the server, or in the one-file page from the file itself.
page.ask = (() => {
  const { data, fetchJson } = page;
  const isAll = (value) => value === undefined || value === "all";

  const answers = {
    choices: () => data.choices,
    card(chosen) {
      const found = data.cards.filter((card) =>
        (isAll(chosen.round) || card.round === chosen.round) && (isAll(chosen.source) || card.source === chosen.source) &&
        card.completions.some((completion) => isAll(chosen.kind) || completion.tags.includes(chosen.kind)));
      let position = Number(chosen.position ?? 0);
      if (chosen.sample) {
        position = found.findIndex((card) =>
          card.round === chosen.in && card.completions.some((completion) => completion.sample_id === chosen.sample));
      }
      return { count: found.length, position, card: found[position] ?? null };
    },
    overview: () => data.overview,
    comparison({ problem }) {
      return { cards: data.cards.filter((card) => card.problem_id === problem), changes: data.changes[problem] ?? [] };
    },
    search({ text, field, round, source, offset }) {
      const ignoresCase = text === text.toLowerCase(), isId = /^[0-9a-f]{6,32}$/.test(text);
      const find = (whole) => (ignoresCase ? whole.toLowerCase() : whole).indexOf(text);
      const cut = (whole) => {
        const at = find(whole), end = at < 0 ? 0 : at + text.length;
        return { before: whole.slice(Math.max(at - 60, 0), Math.max(at, 0)), match: at < 0 ? "" : whole.slice(at, end), after: whole.slice(end, end + 160) };
      };
      const problems = new Map(), samples = [];
      for (const card of data.cards) {
        if (!(isAll(round) || card.round === round) || !(isAll(source) || card.source === source)) continue;
        const same = { problem_id: card.problem_id, source: card.source };
        if (field !== "completion" && (find(card.problem) >= 0 || (isId && card.problem_id.startsWith(text)))) {
          const known = problems.get(card.problem_id) ?? { ...same, rounds: [], ...cut(card.problem) };
          known.rounds.push(card.round);
          problems.set(card.problem_id, known);
        }
        for (const completion of field === "problem" ? [] : card.completions) {
          const whole = completion.text || completion.steps.map((step) => step.text).join("");
          if (find(whole) < 0 && !(isId && completion.sample_id.startsWith(text))) continue;
          const { sample_id, sample_index, verdict } = completion;
          samples.push({ ...same, rounds: [card.round], sample_id, sample_index, verdict, ...cut(whole) });
        }
      }
      const matches = [...problems.values(), ...samples].slice(Number(offset), Number(offset) + 50);
      return { num_problems: problems.size, num_samples: samples.length, matches };
    },
  };

  return async (what, params = {}) =>
    (data.cards === null ? fetchJson(`${what}?${new URLSearchParams(params)}`) : answers[what](params));
})();
