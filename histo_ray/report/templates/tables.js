"use strict";
// Tables that can be sorted and searched; without script they are read as they stand.
const PRINTED = 60;
const collator = new Intl.Collator("en", { numeric: true });
for (const table of document.querySelectorAll("table")) {
  const body = table.tBodies[0];
  const heads = table.tHead.rows[table.tHead.rows.length - 1].cells;
  const original = [...body.rows];

  const limit = () => {  // on paper only the first rows of those that are shown
    let shown = 0;
    for (const row of body.rows) row.classList.toggle("late", !row.hidden && ++shown > PRINTED);
  };
  const valueOf = (row, column, text) => {
    const said = row.cells[column].textContent;
    return text ? said : parseFloat(said.replace(/[<,]/g, ""));
  };
  const sort = (column, up) => {
    const text = heads[column].dataset.text === "1";
    const keyed = original.map((row, place) => ({ row, place, key: valueOf(row, column, text) }));
    keyed.sort((a, b) => {
      if (text) return (up ? 1 : -1) * collator.compare(a.key, b.key) || a.place - b.place;
      if (isNaN(a.key) || isNaN(b.key)) return isNaN(a.key) - isNaN(b.key) || a.place - b.place;
      return (up ? 1 : -1) * (a.key - b.key) || a.place - b.place;
    });
    body.replaceChildren(...keyed.map((one) => one.row));
    limit();
    for (const head of heads) head.removeAttribute("aria-sort");
    heads[column].setAttribute("aria-sort", up ? "ascending" : "descending");
  };
  if (original.length > 1) {
    [...heads].forEach((head, column) => {
      if (head.dataset.still) return;
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      const first = head.dataset.up === "1";
      button.addEventListener("click", () => {
        const now = head.getAttribute("aria-sort");
        sort(column, now ? now === "descending" : first);
      });
    });
  }

  limit();
  const tools = document.querySelector(`.tools[data-for="${table.id}"]`);
  if (!tools) continue;
  const field = tools.querySelector("input[type=search]");
  const tick = tools.querySelector("input[type=checkbox]");
  const told = tools.querySelector("output");
  const show = () => {
    const words = field.value.toLowerCase().split(/[\s,;]+/).filter(Boolean);
    let shown = 0;
    for (const row of original) {
      const name = row.cells[0].textContent.toLowerCase();
      const exact = field.dataset.exact === name;
      const found = field.dataset.exact ? exact : !words.length || words.some((word) => name.includes(word));
      row.hidden = !found || (tick && tick.checked && !row.classList.contains("s"));
      shown += !row.hidden;
    }
    limit();
    const number = (count) => count.toLocaleString("en");
    told.textContent = `${number(shown)} of ${number(original.length)} ${tools.dataset.what}`;
  };
  field.addEventListener("input", () => { delete field.dataset.exact; show(); });
  if (tick) tick.addEventListener("change", show);
  tools.hidden = false;
  show();
  for (const figures of document.querySelectorAll(`.figures[data-about="${table.id}"]`)) {
    figures.addEventListener("click", (event) => {
      const title = event.target.closest("use")?.querySelector("title");
      if (!title) return;
      field.value = title.textContent.slice(0, title.textContent.lastIndexOf(": "));
      field.dataset.exact = field.value.toLowerCase();
      show();
      tools.scrollIntoView({ block: "start" });
    });
  }
}
