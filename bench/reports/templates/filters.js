// Filters: values of a facet (sampler, dataset, ...) that are hidden in all tables and figures of
// costs, and are kept in the page's address.  Columns and parts say which values they are about
// (data-value), columns of names of which facet these are (data-facet).

const filters = (() => {
  const form = document.querySelector(".filters");
  const boxes = form ? [...form.querySelectorAll("input")] : [];
  const id = (facet, value) => `${facet}:${value}`;
  const idOf = (box) => id(box.closest("fieldset").dataset.facet, box.value);
  const known = new Map(boxes.map((box) => [idOf(box), box]));
  const away = new Set();
  const about = (node) =>
    node.dataset.value.split(" ").map((each) => {
      const [facet, value] = each.split(":");
      return id(facet, decodeURIComponent(value));
    });

  const tables = [...document.querySelectorAll("table.sortable")].map((table) => {
    const headers = [...table.tHead.rows[0].cells];
    return {
      table,
      names: headers.filter((one) => one.dataset.facet),
      columns: headers.filter((one) => one.dataset.value),
    };
  });
  const rowHidden = (row, names) =>
    names.some((header) => away.has(id(header.dataset.facet, textOf(row.cells[header.cellIndex]))));
  const show = () => {
    for (const box of boxes) box.checked = !away.has(idOf(box));
    for (const part of document.querySelectorAll("section[data-value], div[data-value], figure[data-value]"))
      part.hidden = about(part).some((one) => away.has(one));
    for (const { table, names, columns } of tables) {
      for (const header of columns) {
        const hidden = about(header).some((one) => away.has(one));
        if (header.hidden === hidden) continue;
        for (const row of table.rows) row.cells[header.cellIndex].hidden = hidden;
      }
      if (names.length)
        for (const row of table.tBodies[0].rows) row.hidden = rowHidden(row, names);
    }
    tell();
    document.dispatchEvent(new Event("filtered"));
  };

  // What is hidden, and the ways back.
  const bar = element("aside", { class: "away", "aria-label": "What is hidden" });
  const said = element("span", { role: "status" });
  const list = element("span", { class: "list" });
  const all = element("button", { type: "button" }, "Show all");
  bar.append(said, all, list);
  const tell = () => {
    bar.hidden = away.size === 0;
    said.textContent = away.size
      ? `${away.size} hidden; bold, underlined and † are of all.` : "Nothing is hidden.";
    list.replaceChildren(...[...away].map((one) => {
      const value = known.get(one).value;
      const back = element("button", { type: "button", "aria-label": `Show ${value} again` }, value);
      back.addEventListener("click", () => change([one], false));
      return back;
    }));
  };

  const read = () => {
    away.clear();
    for (const one of new URLSearchParams(location.search).getAll("hide"))
      if (known.has(one)) away.add(one);
    show();
  };
  const change = (values, hide) => {
    for (const one of values) if (hide) away.add(one); else away.delete(one);
    const query = new URLSearchParams([...away].map((one) => ["hide", one])).toString();
    history.pushState(null, "", `${location.pathname}${query && `?${query}`}${location.hash}`);
    show();
  };

  const rowButtons = ({ table, names }) => {
    const header = ["sampler", "dataset", "metric", "backbone", "objective"]
      .map((facet) => names.find((one) => one.dataset.facet === facet))
      .find((one) => one && form.querySelector(`fieldset[data-facet="${one.dataset.facet}"]`));
    if (!header) return;
    let first = true;
    for (const row of table.tBodies[0].rows) {
      const cell = row.cells[header.cellIndex];
      const value = textOf(cell);
      const one = id(header.dataset.facet, value);
      if (!known.has(one)) continue;
      cell.dataset.text = value;
      const hide = element("button", { type: "button", class: "hide", tabindex: first ? 0 : -1 }, "\u00d7");
      hide.setAttribute("aria-label", `Hide ${value} everywhere`);
      hide.title = hide.getAttribute("aria-label");
      hide.dataset.hides = one;
      cell.append("\u00a0", hide);
      first = false;
    }
    rove(table.tBodies[0], "button.hide");
  };

  if (form) {
    form.hidden = false;
    form.addEventListener("change", (event) => change([idOf(event.target)], !event.target.checked));
    form.addEventListener("submit", (event) => event.preventDefault());
    for (const set of form.querySelectorAll("fieldset")) {
      const its = [...set.querySelectorAll("input")].map(idOf);
      for (const [label, hide] of [["all", false], ["none", true]]) {
        const button = element("button", { type: "button" }, label);
        button.setAttribute("aria-label", `${label}: ${set.dataset.facet}`);
        button.addEventListener("click", () => change(its, hide));
        set.append(button);
      }
    }
    tables.forEach(rowButtons);
    document.addEventListener("click", (event) => {
      const button = event.target.closest?.("button.hide");
      if (button) change([button.dataset.hides], true);
    });
    all.addEventListener("click", () => change([...away], false));
    form.after(bar);
    addEventListener("popstate", read);
    read();
  }
  const looks = new Map(boxes.map((box) => [box.value, box.dataset]));
  return {
    hidden: (facet, value) => away.has(id(facet, value)),
    toggle: (facet, value) => {
      const one = id(facet, value);
      if (known.has(one)) change([one], !away.has(one));
    },
    look: (sampler) => ({ colour: looks.get(sampler)?.colour ?? "black", marker: looks.get(sampler)?.marker ?? "o" }),
  };
})();
