// Figures of costs: accuracy against cost, of the rows of the table "Cost", in place of the picture,
// which paper and browsers without script have.

{
  // The parser knows the namespace, so that no address stands on a page that asks for none.
  const parsed = document.createElement("template");
  parsed.innerHTML = "<svg></svg>";
  const SVG = parsed.content.firstChild.namespaceURI;
  const [WIDTH, HEIGHT] = matchMedia("(max-width: 40rem)").matches ? [340, 280] : [420, 300];
  const [LEFT, RIGHT, TOP, BOTTOM] = [52, 12, 12, 40];
  const SHAPES = {
    o: "M-4,0a4,4 0 1,0 8,0a4,4 0 1,0 -8,0",
    s: "M-3.6,-3.6h7.2v7.2h-7.2z",
    D: "M0,-4.8L4.8,0L0,4.8L-4.8,0z",
    "^": "M0,-4.6L4.4,3.6H-4.4z",
    v: "M0,4.6L4.4,-3.6H-4.4z",
    "<": "M-4.6,0L3.6,-4.4V4.4z",
    ">": "M4.6,0L-3.6,-4.4V4.4z",
    P: "M-1.6,-4.4h3.2v2.8h2.8v3.2h-2.8v2.8h-3.2v-2.8h-2.8v-3.2h2.8z",
    X: "M0,-2L2.4,-4.4L4.4,-2.4L2,0L4.4,2.4L2.4,4.4L0,2L-2.4,4.4L-4.4,2.4L-2,0L-4.4,-2.4L-2.4,-4.4z",
    p: "M0,-4.6L4.4,-1.4L2.7,3.7H-2.7L-4.4,-1.4z",
    "*": "M0,-5.2L1.3,-1.7L5,-1.6L2.1,0.7L3.1,4.3L0,2.2L-3.1,4.3L-2.1,0.7L-5,-1.6L-1.3,-1.7z",
  };
  const drawn = (tag, attributes = {}, ...children) => {
    const made = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.append(...children);
    return made;
  };
  const mark = (sampler, attributes = {}) => {
    const { colour, marker } = filters.look(sampler);
    return drawn("path", { d: SHAPES[marker] ?? SHAPES.o, fill: colour, ...attributes });
  };

  const pointsOf = (figure) => {
    const table = figure.closest("section").querySelector('table[data-name="Cost"]');
    const headers = [...table.tHead.rows[0].cells];
    const column = (name) => headers.findIndex((header) => header.textContent.trim() === name);
    const { backbone, across, up } = figure.dataset;
    return [...table.tBodies[0].rows]
      .map((row) => {
        const text = (name) => textOf(row.cells[column(name)]);
        const number = (name) => Number(row.cells[column(name)].dataset.number);
        return {
          dataset: text("dataset"), backbone: text("backbone"), sampler: text("sampler"),
          x: number(across), y: number(up), shown: `${up} ${text(up)}, ${text(across)} ${across.replace(/^cost, /, "")}`,
        };
      })
      .filter((point) => point.backbone === backbone && point.x > 0 && Number.isFinite(point.y))
      .sort((a, b) => a.x - b.x || b.y - a.y);
  };

  const logTicks = (low, high) => {
    const decades = [];
    for (let d = Math.floor(Math.log10(low)); d <= Math.ceil(Math.log10(high)); d += 1) decades.push(d);
    for (const steps of [[1, 1.5, 2, 3, 5, 7], [1, 2, 5], [1, 3], [1]]) {
      const ticks = decades.flatMap((d) => steps.map((step) => step * 10 ** d))
        .filter((tick) => low <= tick && tick <= high);
      if (ticks.length <= 5) return ticks;
    }
    return decades.map((d) => 10 ** d).filter((tick) => low <= tick && tick <= high);
  };
  const linearTicks = (low, high) => {
    const rough = (high - low) / 4;
    const unit = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].find((each) => each * unit >= rough) * unit;
    const ticks = [];
    for (let k = Math.ceil(low / step); k * step <= high; k += 1) ticks.push(k * step);
    return { ticks, digits: Math.max(0, -Math.floor(Math.log10(step))) };
  };
  const scales = (points) => {
    const xs = points.map((point) => point.x);
    const ys = points.map((point) => point.y);
    const [low, high] = [Math.min(...xs) / 1.4, Math.max(...xs) * 1.4];
    const span = Math.max(...ys) - Math.min(...ys) || Math.max(...ys) || 1;
    const [bottom, top] = [Math.min(...ys) - 0.12 * span, Math.max(...ys) + 0.12 * span];
    const width = WIDTH - LEFT - RIGHT;
    const height = HEIGHT - TOP - BOTTOM;
    return {
      low, high, bottom, top,
      x: (value) => LEFT + (width * Math.log(value / low)) / Math.log(high / low),
      y: (value) => TOP + (height * (top - value)) / (top - bottom),
    };
  };
  const axes = (scale, { across, up }) => {
    const all = drawn("g", { class: "axes", "aria-hidden": "true" });
    const text = (x, y, words, anchor) => drawn("text", { x, y, "text-anchor": anchor }, words);
    for (const tick of logTicks(scale.low, scale.high)) {
      const x = scale.x(tick);
      all.append(drawn("line", { x1: x, x2: x, y1: TOP, y2: HEIGHT - BOTTOM }));
      all.append(text(x, HEIGHT - BOTTOM + 14, String(Number(tick.toPrecision(3))), "middle"));
    }
    const { ticks, digits } = linearTicks(scale.bottom, scale.top);
    for (const tick of ticks) {
      const y = scale.y(tick);
      all.append(drawn("line", { x1: LEFT, x2: WIDTH - RIGHT, y1: y, y2: y }));
      all.append(text(LEFT - 4, y + 4, tick.toFixed(digits), "end"));
    }
    all.append(text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 6, across.replace(/^cost, /, ""), "middle"));
    const y = (TOP + HEIGHT - BOTTOM) / 2;
    all.append(drawn("text", { x: 12, y, "text-anchor": "middle", transform: `rotate(-90 12 ${y})` }, `test ${up}`));
    return all;
  };
  // Than its members no other sampler is both cheaper and better.
  const frontOf = (points) => {
    let best = -Infinity;
    return points.filter((point) => point.y > best && ((best = point.y), true));
  };
  const frontLine = (front, scale) => {
    const steps = front.map(({ x, y }, at) =>
      at ? `H${scale.x(x)}V${scale.y(y)}` : `M${scale.x(x)},${scale.y(y)}`);
    return drawn("path", { class: "front", d: steps.join("") || "M0,0" });
  };
  // Names where they cover neither one another nor points nor the front; of the others the pointer
  // tells.
  const names = (points, front, scale) => {
    const taken = points.map(({ x, y }) => [scale.x(x) - 5, scale.y(y) - 5, scale.x(x) + 5, scale.y(y) + 5]);
    front.slice(1).forEach(({ x, y }, at) => {
      const [left, low, right, high] = [scale.x(front[at].x), scale.y(front[at].y), scale.x(x), scale.y(y)];
      taken.push([left, low, right, low], [right, high, right, low]);
    });
    const free = (box) =>
      box[0] >= LEFT && box[2] <= WIDTH && box[1] >= 0 && box[3] <= HEIGHT - BOTTOM &&
      taken.every((one) => box[2] < one[0] || one[2] < box[0] || box[3] < one[1] || one[3] < box[1]);
    const found = drawn("g", { class: "names", "aria-hidden": "true" });
    for (const point of [...front, ...points.filter((one) => !front.includes(one))]) {
      const [x, y, width] = [scale.x(point.x), scale.y(point.y), 6 * point.sampler.length];
      const place = [[8, 4], [-8 - width, 4], [-width / 2, -9], [-width / 2, 17]]
        .map(([dx, dy]) => [x + dx, y + dy])
        .find(([left, base]) => free([left, base - 9, left + width, base + 2]));
      if (!place) continue;
      const [left, base] = place;
      taken.push([left, base - 9, left + width, base + 2]);
      found.append(drawn("text", { x: left, y: base }, point.sampler));
    }
    return found;
  };

  const panel = (dataset, points, figure) => {
    const box = element("div", { class: "panel" }, element("p", { class: "title" }, dataset));
    const tip = element("p", { class: "tip", "aria-hidden": "true" });
    const scale = scales(points);
    const front = frontOf(points);
    const label = `${dataset}: ${figure.dataset.up} against ${figure.dataset.across}; arrow keys go from point to point`;
    const svg = drawn("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "group", "aria-label": label });
    svg.append(axes(scale, figure.dataset), frontLine(front, scale), names(points, front, scale));
    points.forEach((point, at) => {
      const said = `${point.sampler}: ${point.shown}${front.includes(point) ? "; on the Pareto front" : ""}`;
      const place = { transform: `translate(${scale.x(point.x)} ${scale.y(point.y)})` };
      const node = drawn("g", { class: "point", role: "img", "aria-label": said, tabindex: at ? -1 : 0, ...place },
        drawn("circle", { r: 11, class: "halo" }), mark(point.sampler));
      node.dataset.sampler = point.sampler;
      const tell = (on) => () => {
        tip.textContent = on ? said : "";
        for (const other of figure.querySelectorAll(".point"))
          other.classList.toggle("on", on && other.dataset.sampler === point.sampler);
      };
      for (const [name, on] of [["mouseenter", true], ["focus", true], ["mouseleave", false], ["blur", false]])
        node.addEventListener(name, tell(on));
      svg.append(node);
    });
    rove(svg, ".point");
    box.append(svg, tip);
    return box;
  };

  const legend = (points, figure) => {
    const list = element("ul", { class: "legend", "aria-label": "Samplers, shown or hidden" });
    for (const sampler of [...new Set(points.map((point) => point.sampler))].sort()) {
      const shown = !filters.hidden("sampler", sampler);
      const swatch = drawn("svg", { viewBox: "-6 -6 12 12", "aria-hidden": "true" }, mark(sampler));
      const button = element("button", { type: "button", "aria-pressed": shown }, swatch, sampler);
      button.dataset.sampler = sampler;
      button.addEventListener("click", () => {
        filters.toggle("sampler", sampler);
        figure.querySelector(`.legend button[data-sampler="${CSS.escape(sampler)}"]`)?.focus();
      });
      list.append(element("li", {}, button));
    }
    return list;
  };

  for (const figure of document.querySelectorAll("figure[data-across]")) {
    const points = pointsOf(figure);
    if (!points.length) continue;
    const chart = element("div", { class: "chart" });
    figure.classList.add("charted");
    figure.prepend(chart);
    const draw = () => {
      const shown = points.filter((point) =>
        !filters.hidden("sampler", point.sampler) && !filters.hidden("dataset", point.dataset));
      const datasets = [...new Set(shown.map((point) => point.dataset))].sort();
      const panels = datasets.map((name) =>
        panel(name, shown.filter((point) => point.dataset === name), figure));
      chart.replaceChildren(element("div", { class: "panels" }, ...panels), legend(points, figure));
    };
    document.addEventListener("filtered", draw);
    draw();
  }
}
