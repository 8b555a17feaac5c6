"use strict";
// Sorting: a click on a header, or Enter on it, sorts by its column; again, the other way round.
// Numbers first go downwards, for the best to be on top; what is missing always goes last.
(() => {
  const missing = (text) => text === "" || text === "\u2013";
  const number = (cell) => {
    if (cell.dataset.number !== undefined) return Number(cell.dataset.number);
    const text = cell.textContent.trim().replaceAll(",", "");
    // "<0.001" and "+0.1 to +0.3" stand in columns of numbers: their first number counts.
    if (cell.classList.contains("number")) return parseFloat(text.replace(/^[<>]\s*/, ""));
    return text === "" ? NaN : Number(text);
  };
  const compare = (a, b) => {
    const [x, y] = [number(a), number(b)];
    if (!Number.isNaN(x) && !Number.isNaN(y)) return x - y;
    return a.textContent.localeCompare(b.textContent, "en", { numeric: true });
  };
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
      const [noA, noB] = [missing(a.textContent.trim()), missing(b.textContent.trim())];
      return noA || noB ? noA - noB : sign * compare(a, b);
    });
    for (const cell of header.parentNode.cells) cell.removeAttribute("aria-sort");
    header.setAttribute("aria-sort", direction);
    body.append(...rows);
  };
  for (const header of document.querySelectorAll("table.sortable thead th")) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...header.childNodes);
    button.addEventListener("click", () => sort(header));
    header.append(button);
  }
  // Paper shows all there is.
  const closed = [];
  addEventListener("beforeprint", () => {
    for (const part of document.querySelectorAll("details:not([open])")) {
      part.open = true;
      closed.push(part);
    }
  });
  addEventListener("afterprint", () => {
    for (const part of closed.splice(0)) part.open = false;
  });
})();
