// Reading: the table of contents, links into what is folded, and paper.

{
  // Beside the text where there is room for it, else above, folded until asked for.
  const contents = document.querySelector("details.contents");
  const wide = matchMedia("(min-width: 75rem)");
  const fit = () => { contents.open = wide.matches; };
  wide.addEventListener("change", fit);
  fit();
  const side = document.querySelector(".side");
  const panels = [...side.querySelectorAll("details")];
  const fold = () => { if (!wide.matches) for (const one of panels) one.open = false; };
  contents.addEventListener("click", (event) => { if (event.target.closest("a")) fold(); });
  side.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || wide.matches) return;
    const open = panels.find((one) => one.open);
    fold();
    open?.querySelector("summary").focus();
  });
  for (const one of panels)
    one.addEventListener("toggle", () => {
      if (one.open && !wide.matches) for (const other of panels) if (other !== one) other.open = false;
    });

  const unfold = () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    for (let part = target?.closest("details"); part; part = part.parentNode.closest("details"))
      part.open = true;
    if (target?.closest("details")) target.scrollIntoView();
  };
  addEventListener("hashchange", unfold);
  unfold();

  // Paper shows all there is.
  const closed = [];
  addEventListener("beforeprint", () => {
    for (const part of document.querySelectorAll("main details:not([open])")) {
      part.open = true;
      closed.push(part);
    }
  });
  addEventListener("afterprint", () => {
    for (const part of closed.splice(0)) part.open = false;
  });
}
