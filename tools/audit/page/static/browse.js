"use strict";
// Which view is shown: the part of the address after # holds it, its filter and the sample, so that it can be sent on.
(() => {
  const { byId, node, guard, data, views } = page;
  const FILTERS = ["round", "source", "kind"];
  let view = "problems", params = {};

  function readUrl() {
    const given = Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
    view = Object.hasOwn(views, given.view ?? "") ? given.view : "problems";
    params = { ...data.filter, ...given };
  }

  const write = (target) => `#${new URLSearchParams(Object.entries(target).filter(([, value]) => value && value !== "all"))}`;
  page.setUrl = (target) => history.replaceState(null, "", write(target));
  page.open = (name, target) => { location.hash = write({ view: name, ...target }); };
  page.setFilter = (target) => {
    const chosen = Object.fromEntries(FILTERS.map((name) => [name, target[name] ?? "all"]));
    Object.assign(params, chosen);
    for (const select of byId("choices").children) select.value = chosen[select.title];
    return chosen;
  };
  page.getFilter = () => Object.fromEntries(FILTERS.map((name) => [name, params[name] ?? "all"]));

  async function show() {
    readUrl();
    page.tell("");
    for (const link of byId("views").children) link.classList.toggle("current", link.dataset.view === view);
    for (const select of byId("choices").children) {
      select.hidden = !views[view].filters.includes(select.title);
      select.value = params[select.title];
    }
    byId("moves").hidden = view !== "problems";
    document.body.dataset.view = view;
    await views[view].show(params);
  }

  const KEYS = [
    ["y", "copy the link to this view", guard(async () => {
      await navigator.clipboard.writeText(location.href);
      page.tell("link copied");
    })],
    ["/", "search", () => page.open("search", page.getFilter())],
    ["?", "these keys", () => toggleHelp()],
  ];
  for (const [at, link] of [...byId("views").children].entries()) {
    KEYS.push([String(at + 1), link.textContent.toLowerCase(), () => page.open(link.dataset.view, page.getFilter())]);
    link.addEventListener("click", (event) => {
      event.preventDefault();
      page.open(link.dataset.view, page.getFilter());
    });
  }
  function toggleHelp() {
    const help = byId("help");
    if (help.open) return help.close();
    const rows = [...views[view].keys, ...KEYS].map(([keys, meaning]) => {
      const row = node("tr"), names = node("td");
      for (const key of keys.split(" ")) names.append(node("kbd", "", key.replace("Arrow", "")), " ");
      row.append(names, node("td", "", meaning));
      return row;
    });
    help.replaceChildren(node("table"));
    help.firstChild.append(...rows);
    return help.showModal();
  }

  page.listen((key, isTyping) => {
    if (isTyping) return key === "Escape" ? () => document.activeElement.blur() : null;
    return [...views[view].keys, ...KEYS].find(([keys]) => keys.split(" ").includes(key))?.[2];
  });

  async function offer() {
    for (const [name, values] of Object.entries(await page.ask("choices"))) {
      const select = node("select");
      select.title = name;
      select.append(...values.map((value) => {
        const option = node("option", "", value === "all" ? `any ${name}` : value);
        option.value = value;
        return option;
      }));
      select.value = params[name];
      select.hidden = !views[view].filters.includes(name);
      select.addEventListener("change", () => {
        select.blur();
        page.open(view, { ...params, view, [name]: select.value, in: "", sample: "" });
      });
      byId("choices").append(select);
    }
  }

  byId("keys").addEventListener("click", toggleHelp);
  window.addEventListener("hashchange", guard(show));
  // The first view is shown first: with many samples, listing the choices takes a second.
  guard(async () => { await guard(show)(); await offer(); })();
})();
