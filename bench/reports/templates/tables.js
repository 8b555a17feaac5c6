"use strict";
// Tables: what a cell says, sorting by a column, and the data as CSV.

const textOf = (cell) => cell.dataset.text ?? cell.textContent.trim();
const element = (tag, attributes = {}, ...children) => {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
};
// One stop of the Tab key for a group of elements, among which arrow keys, Home and End move.
const rove = (group, selector) => {
  const shown = () => [...group.querySelectorAll(selector)].filter((one) => one.getClientRects().length);
  group.addEventListener("keydown", (event) => {
    const all = shown();
    const at = all.indexOf(event.target);
    const to = {
      ArrowDown: at + 1, ArrowRight: at + 1, ArrowUp: at - 1, ArrowLeft: at - 1,
      Home: 0, End: all.length - 1,
    }[event.key];
    if (at < 0 || to === undefined || !all[to]) return;
    event.preventDefault();
    all[to].focus();
  });
  group.addEventListener("focusin", (event) => {
    if (!event.target.matches(selector)) return;
    for (const one of group.querySelectorAll(selector)) one.setAttribute("tabindex", -1);
    event.target.setAttribute("tabindex", 0);
  });
};

{
  const missing = (text) => text === "" || text === "\u2013";
  const number = (cell) => {
    if (cell.dataset.number !== undefined) return Number(cell.dataset.number);
    const text = textOf(cell).replaceAll(",", "");
    // "<0.001" and "+0.1 to +0.3" stand in columns of numbers: their first number counts.
    if (cell.classList.contains("number")) return parseFloat(text.replace(/^[<>]\s*/, ""));
    return text === "" ? NaN : Number(text);
  };
  const compare = (a, b) => {
    const [x, y] = [number(a), number(b)];
    if (!Number.isNaN(x) && !Number.isNaN(y)) return x - y;
    return textOf(a).localeCompare(textOf(b), "en", { numeric: true });
  };
  // Numbers first go downwards, for the best to be on top; what is missing always goes last.
  const sort = (header) => {
    const body = header.closest("table").tBodies[0];
    const column = header.cellIndex;
    const rows = [...body.rows];
    const first = header.classList.contains("number") ? "descending" : "ascending";
    const other = first === "descending" ? "ascending" : "descending";
    const direction = header.getAttribute("aria-sort") === first ? other : first;
    const sign = direction === "ascending" ? 1 : -1;
    rows.sort((left, right) => {
      const [a, b] = [left.cells[column], right.cells[column]];
      const [noA, noB] = [missing(textOf(a)), missing(textOf(b))];
      return noA || noB ? noA - noB : sign * compare(a, b);
    });
    for (const cell of header.parentNode.cells) cell.removeAttribute("aria-sort");
    header.setAttribute("aria-sort", direction);
    body.append(...rows);
  };

  // Columns of a column for CSV: its values in full, then what stands beside them, where any does.
  const beside = (cell) => cell.querySelector("small")?.textContent ?? "";
  const columnsOf = (header, cells) => {
    const name = header.textContent.trim();
    const value = (cell) => cell.dataset.number ?? (missing(textOf(cell)) ? "" : textOf(cell));
    const columns = [[name, ...cells.map(value)]];
    const margins = cells.map((cell) => beside(cell).match(/±\s*(\S+)/)?.[1] ?? "");
    if (margins.some(Boolean)) columns.push([`${name} ±`, ...margins]);
    const below = cells.map((cell) => (beside(cell).includes("†") ? "1" : ""));
    if (below.some(Boolean)) columns.push([`${name} †`, ...below]);
    return columns;
  };
  // Quoted where need be; what a spreadsheet would take for a formula has an apostrophe in front.
  const quoted = (text) => {
    const safe = /^[=+\-@\t\r]/.test(text) && Number.isNaN(Number(text)) ? `'${text}` : text;
    return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  };
  const csvOf = (table) => {
    const rows = [...table.tBodies[0].rows];
    const columns = [...table.tHead.rows[0].cells].flatMap((header) =>
      columnsOf(header, rows.map((row) => row.cells[header.cellIndex])));
    const lines = columns[0].map((_, at) => columns.map((column) => quoted(column[at])).join(","));
    return `${lines.join("\n")}\n`;
  };
  const download = (table) => {
    const url = URL.createObjectURL(new Blob([csvOf(table)], { type: "text/csv" }));
    const stem = `${document.title.split(":")[0]} ${table.dataset.name}`;
    element("a", { href: url, download: `${stem.replace(/[^\w.+=-]+/g, "-")}.csv` }).click();
    URL.revokeObjectURL(url);
  };

  for (const table of document.querySelectorAll("table.sortable")) {
    for (const header of table.tHead.rows[0].cells) {
      const button = element("button", { type: "button" }, ...header.childNodes);
      button.addEventListener("click", () => sort(header));
      header.append(button);
    }
    const name = `Table ${table.dataset.name} as CSV`;
    const save = element("button", { type: "button", "aria-label": name }, "CSV");
    save.title = "All rows and columns, with every digit";
    save.addEventListener("click", () => download(table));
    table.parentNode.after(element("p", { class: "tools" }, save));
  }
}
