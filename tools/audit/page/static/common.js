"use strict";
// What all pages share. Every text comes from problems and models: it reaches a page by textContent alone, and formulas
// by KaTeX, which is configured to trust nothing.
const page = (() => {
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

  const byId = (id) => document.getElementById(id);
  function node(tag, look, text) {
    const made = document.createElement(tag);
    if (look) made.className = look;
    if (text !== undefined) made.textContent = text;
    return made;
  }

  function button(text, work, look) {
    const made = node("button", look, text);
    made.type = "button";
    made.addEventListener("click", work);
    return made;
  }

  function rich(text, look) {
    const box = node("div", look, text.slice(0, SHOWN));
    if (text.length > SHOWN) {
      const both = node("div");
      both.append(box, button(`show all ${text.length.toLocaleString("en")} characters`, () => { box.textContent = text; }));
      return both;
    }
    try {
      renderMathInElement(box, MATH);
      for (const formula of box.querySelectorAll(".katex-display")) { // it has lines of its own
        const { previousSibling: before, nextSibling: after } = formula.parentElement;
        if (before?.nodeType === Node.TEXT_NODE) before.data = before.data.trimEnd();
        if (after?.nodeType === Node.TEXT_NODE) after.data = after.data.replace(/^\s*\n/, "");
      }
    } catch {
      box.textContent = text; // a formula that KaTeX cannot render is shown as it is
    }
    return box;
  }

  const asFormula = (answer) => (answer.includes("\\") && !answer.includes("$") ? `\\(${answer}\\)` : answer);
  const formatCount = (count) => count.toLocaleString("en");

  function tell(text) {
    byId("status").textContent = text;
  }

  const guard = (work) => (...given) => Promise.resolve(work(...given)).catch((error) => tell(String(error.message)));

  async function fetchJson(path, options) {
    const answer = await fetch(path, options);
    if (!answer.ok) throw new Error(await answer.text());
    return answer.json();
  }

  const post = (path, value) => fetchJson(path, {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(value),
  });

  // One listener for all keys: `find` returns what the key does now, or nothing.
  function listen(find) {
    document.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const isTyping = ["INPUT", "SELECT", "TEXTAREA"].includes(event.target.tagName);
      // Enter on a button is a click on it.
      if (event.key === "Enter" && ["BUTTON", "A", "SUMMARY"].includes(event.target.tagName)) return;
      const work = find(event.key, isTyping);
      if (!work) return;
      event.preventDefault();
      work();
    });
  }

  return { data, byId, node, button, rich, asFormula, formatCount, tell, guard, fetchJson, post, listen, SHOWN, views: {} };
})();
