"use strict";
// The explorer's behaviour: choose, sort and narrow. All numbers and words come from the page's own JSON.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const find = (css, of = document) => of.querySelector(css);
  const all = (css, of = document) => [...of.querySelectorAll(css)];
  const column = Object.fromEntries(data.columns.map((name, i) => [name, i + 1])); // in a pair's numbers
  const panel = find("#panel"), body = find("#rows");
  const rows = body ? [...body.rows] : [];
  const rowOf = new Map(rows.map((row) => [Number(row.dataset.i), row]));
  const indexOf = new Map(data.filters.map((filter, i) => [filter.key, i]));
  let chosen = -1;

  // element("td", {class: "x"}, "text", child)
  function element(tag, attributes = {}, ...children) {
    const svg = ["svg", "rect", "line", "circle", "text", "title"].includes(tag);
    const out = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) out.setAttribute(name, value);
    out.append(...children);
    return out;
  }

  const address = (text) => encodeURIComponent(text).replaceAll("%2F", "/").replaceAll("%3A", ":");
  const note = (address) => history.replaceState(null, "", address); // the link to what is chosen

  // ---- action units

  function chooseAu(name, scroll = false) {
    if (!all("article[data-au]").some((a) => a.dataset.au === name)) return;
    for (const a of all("article[data-au]")) a.hidden = a.dataset.au !== name;
    for (const b of all(".pick")) b.setAttribute("aria-pressed", b.dataset.au === name);
    for (const g of all(".face .au")) g.classList.toggle("on", g.dataset.au === name);
    if (scroll) find("#aus").scrollIntoView();
  }

  function startAus() {
    for (const a of all("article[data-au]")) a.hidden = true;
    for (const target of all(".pick, .face .au")) {
      target.addEventListener("click", () => {
        chooseAu(target.dataset.au);
        note(`#au=${address(target.dataset.au)}`);
      });
    }
    const picks = all(".pick");
    picks.forEach((pick, i) => pick.addEventListener("keydown", (event) => {
      const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (!step || !picks[i + step]) return;
      event.preventDefault();
      picks[i + step].focus();
    }));
    for (const only of all("button.only")) {
      only.addEventListener("click", () => {
        narrow({ layer: "", verdict: "", au: only.dataset.au });
        find("#filters").scrollIntoView();
      });
    }
  }

  // ---- the table of filters

  function sortBy(head) {
    const numeric = [2, 4, 5, 6, 7, 8], upFirst = [1, 2, 3, 7, 8]; // columns; the others start with the largest
    const i = Number(find("button", head).dataset.column), was = head.getAttribute("aria-sort");
    const up = was === "none" ? upFirst.includes(i) : was === "descending";
    for (const other of all("th[aria-sort]", head.parentNode)) other.setAttribute("aria-sort", "none");
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const value = (row) => row.cells[i].dataset.v;
    const compare = numeric.includes(i) ? (a, b) => a - b : (a, b) => a.localeCompare(b, "en", { numeric: true });
    rows.sort((a, b) => {
      const [x, y] = [value(a), value(b)];
      if (x === "" || y === "") return (x === "") - (y === ""); // what was not measured comes last
      return up ? compare(x, y) : compare(y, x);
    });
    body.append(...rows);
  }

  function narrow(to) {
    const choices = all("select[data-choice]");
    for (const c of choices) if (to && c.dataset.choice in to) c.value = to[c.dataset.choice];
    for (const row of rows) {
      const filter = data.filters[row.dataset.i];
      row.hidden = choices.some((c) => c.value && filter[c.dataset.choice] !== c.value);
    }
    const shown = rows.filter((row) => !row.hidden);
    find("#count").textContent = `${shown.length} of ${rows.length} filters`;
    enter(shown.includes(rowOf.get(chosen)) ? rowOf.get(chosen) : shown[0]);
  }

  function enter(row) { // where the Tab key enters the table
    for (const other of all('.row[tabindex="0"]', body)) other.tabIndex = -1;
    if (row) row.tabIndex = 0;
  }

  function key(event) {
    const row = event.target.closest(".row");
    if (!row) return;
    const shown = rows.filter((r) => !r.hidden), at = shown.indexOf(row);
    const to = {
      ArrowDown: at + 1, ArrowUp: at - 1, PageDown: at + 10, PageUp: at - 10, Home: 0, End: shown.length - 1,
      Enter: at, " ": at,
    }[event.key];
    if (to === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    const next = shown[Math.min(Math.max(to, 0), shown.length - 1)];
    next.focus({ preventScroll: true });
    choose(Number(next.dataset.i));
  }

  function startTable() {
    for (const head of all(".filters th[aria-sort]")) find("button", head).addEventListener("click", () => sortBy(head));
    for (const select of all("select[data-choice]")) select.addEventListener("change", () => narrow());
    find("#all").addEventListener("click", () => narrow({ layer: "", verdict: "", au: "" }));
    body.addEventListener("click", (event) => {
      const row = event.target.closest(".row");
      if (row) choose(Number(row.dataset.i));
    });
    body.addEventListener("keydown", key);
    enter(rows[0]);
  }

  // ---- one filter

  function choose(i, write = true) {
    rowOf.get(chosen)?.setAttribute("aria-selected", "false");
    chosen = i;
    const row = rowOf.get(i), filter = data.filters[i];
    row.setAttribute("aria-selected", "true");
    enter(row);
    const box = find(".rows"), head = find(".filters thead").offsetHeight; // scrolls the table, not the page
    if (row.offsetTop < box.scrollTop + head) box.scrollTop = row.offsetTop - head;
    const below = row.offsetTop + row.offsetHeight - box.clientHeight;
    if (below > box.scrollTop) box.scrollTop = below;
    const mark = find(".verdict", row);
    panel.replaceChildren(
      element("div", { role: "status" },
        element("h3", {}, filter.key, " ", mark ? mark.cloneNode(true) : ""),
        element("p", {}, filter.words)),
      ...pictures(i, filter), facts(filter), ...bars(filter));
    panel.scrollTop = 0;
    if (write) note(`#filter=${address(filter.key)}`);
  }

  function facts(filter) {
    const list = element("dl");
    for (const [term, value] of filter.facts) {
      const link = term === "Matched AU" && filter.au;
      const shown = link ? element("a", { href: `#au=${address(filter.au)}` }, value) : value;
      list.append(element("dt", {}, term), element("dd", {}, shown));
    }
    return list;
  }

  const ROWS = [["input, field framed", 0, false], ["receptive field", 0, true],
    ["guided back-propagation", 1, true], ["deconvnet", 2, true]];

  function pictures(i, filter) {
    if (!filter.top.length || !data.picture.faces) return [];
    const source = document.getElementById(`sprite-${i}`);
    if (!source) { // the page is still coming in
      if (document.readyState === "loading") {
        document.addEventListener("DOMContentLoaded", () => chosen === i && choose(i, false), { once: true });
      }
      return [];
    }
    const table = element("table", { class: "pictures" }), draw = [];
    for (const [name, strip, crop] of ROWS) {
      const line = element("tr", {}, element("th", { scope: "row" }, name));
      for (const [place, activation, box, id] of filter.top) {
        const canvas = element("canvas", { role: "img", "aria-label": `${name}: ${id}`, title: id });
        draw.push((image) => paint(canvas, image, place, strip, box, crop));
        line.append(element("td", {}, canvas));
      }
      table.append(line);
    }
    const line = element("tr", {}, element("th", { scope: "row" }, "activation"));
    for (const top of filter.top) line.append(element("td", { title: top[3] }, top[1] === null ? "" : top[1].toPrecision(3)));
    table.append(line);
    const image = new Image();
    image.onload = () => { for (const one of draw) one(image); };
    image.src = `data:image/jpeg;base64,${JSON.parse(source.textContent)}`;
    return [element("div", { class: "scroll" }, table),
      element("p", { class: "soft" }, "The grey pictures show edges of the face as well as what drives the filter: ",
        element("a", { href: "#randomisation" }, "are they about the network?"))];
  }

  // One picture of the sprite, cut to the receptive field, or whole with the field framed.
  function paint(canvas, image, place, strip, box, crop) {
    const { h, w, by } = data.picture, [top, left, bottom, right] = box.map((v) => v * by);
    const [x, y, wide, high] = crop ? [left, top, right - left, bottom - top] : [0, 0, w, h];
    const zoom = Math.max(1, Math.ceil(124 / Math.max(wide, high)));
    canvas.width = Math.max(1, Math.round(wide * zoom));
    canvas.height = Math.max(1, Math.round(high * zoom));
    const pen = canvas.getContext("2d");
    pen.imageSmoothingEnabled = false;
    pen.drawImage(image, place * w + x, strip * h + y, wide, high, 0, 0, canvas.width, canvas.height);
    if (crop) return;
    pen.strokeStyle = "#ff9d2e";
    pen.lineWidth = 4;
    pen.strokeRect(left * zoom + 2, top * zoom + 2, (right - left) * zoom - 4, (bottom - top) * zoom - 4);
  }

  // ---- the action units of one filter: a bar from 0.5 to the effect, its interval, the random networks' band

  const WIDE = 140, at = (auc) => 6 + auc * (WIDE - 12);

  function bar(auc, low, high, [least, most]) {
    const out = element("svg", { viewBox: `0 0 ${WIDE} 17`, "aria-hidden": "true" });
    if (least !== null && most !== null) {
      out.append(element("rect", { class: "band", x: at(least), y: 0, width: at(most) - at(least), height: 17 }));
    }
    out.append(element("line", { class: "half", x1: at(0.5), x2: at(0.5), y1: 0, y2: 17 }));
    if (auc === null) return out;
    const [x, width] = [Math.min(at(auc), at(0.5)), Math.abs(at(auc) - at(0.5))];
    out.append(element("rect", { class: "bar", x, y: 4, width, height: 9 }));
    if (low !== null && high !== null) {
      out.append(element("line", { class: "span", x1: at(low), x2: at(high), y1: 8.5, y2: 8.5 }));
    }
    out.append(element("circle", { class: "dot", cx: at(auc), cy: 8.5, r: 3 }));
    return out;
  }

  function axis() {
    const out = element("svg", { viewBox: `0 0 ${WIDE} 17`, "aria-hidden": "true" });
    for (const v of [0, 0.25, 0.5, 0.75, 1]) out.append(element("text", { x: at(v), y: 13 }, String(v)));
    return out;
  }

  const share = (v) => (v === null ? "" : v.toFixed(2));
  const small = (v) => (v === null ? "" : v > 0 && v < 0.001 ? v.toExponential(0).replace("e-", "e−") : v.toFixed(3));
  const plain = (v) => (v === null ? "" : Number(v.toPrecision(2)).toString());

  function bars(filter) {
    if (!filter.pairs.length) return [];
    const numbers = [["auc", "AUC", share], ["p_top_n", "P", share], ["ap", "AP", share],
      ["auc_within", "within", share], ["auc_outside", "outside", share], ["p", "p", small], ["q", "q", small],
      ["grad_present", "grad+", plain], ["grad_absent", "grad−", plain]];
    const head = element("tr", {}, element("th", { scope: "col", class: "left" }, "Action unit"),
      element("th", { scope: "col" }, axis()));
    const wide = (key) => (key.startsWith("grad") ? { class: "wide" } : {}); // only where there is room
    for (const [key, title] of numbers) head.append(element("th", { scope: "col", ...wide(key) }, title));
    const lines = filter.pairs.map((pair) => {
      const [name, facs] = data.aus[pair[0]], value = (key) => pair[column[key]];
      const line = element("tr", name === filter.au ? { class: "matched" } : {},
        element("th", { scope: "row", title: `${name} ${facs}` }, element("b", {}, name), ` ${facs}`),
        element("td", {}, bar(value("auc"), value("auc_low"), value("auc_high"), filter.null[pair[0]])));
      for (const [key, , text] of numbers) line.append(element("td", wide(key), text(value(key))));
      return line;
    });
    const words = "Effect (ROC AUC) for every action unit over all inputs, with its interval. "
      + (filter.null.some(([low]) => low !== null)
        ? "Grey: where 95 % of the random networks' filters of this layer lie. " : "")
      + "P: share of the top inputs with it. ";
    const more = "grad: gradient x activation of the AU's logit, AU present (+) and absent (−).";
    return [element("p", { class: "soft" }, words, element("span", { class: "wide" }, more)),
      element("div", { class: "scroll", tabindex: 0, role: "group", "aria-label": "table of action units" },
        element("table", { class: "pairs" }, element("thead", {}, head), element("tbody", {}, ...lines)))];
  }

  // ---- links: #filter=block3/relu:17 and #au=AU12

  function follow() {
    const [, kind, coded] = location.hash.match(/^#(filter|au)=(.*)$/) || [];
    if (!kind) return false;
    let name = coded;
    try { name = decodeURIComponent(coded); } catch { /* as it stands */ }
    if (kind === "au") {
      chooseAu(name, true);
      return false;
    }
    if (panel) find("#filters").scrollIntoView();
    if (indexOf.has(name)) choose(indexOf.get(name), false);
    else panel?.replaceChildren(element("p", { class: "missing" }, `No filter ${name} here.`));
    return true;
  }

  startAus();
  if (body) startTable();
  window.addEventListener("hashchange", follow);
  if (!follow() && rows.length) choose(Number(rows[0].dataset.i), false);
  const first = data.filters[chosen]?.au || data.aus[0]?.[0];
  if (first && !all("article[data-au]").some((a) => !a.hidden)) chooseAu(first);
})();
