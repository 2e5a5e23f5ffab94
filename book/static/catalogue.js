/* Search, filters and sorting for the tables of the catalogues. Without this script the tables are plain tables. */
"use strict";

(() => {
  const MAX_CHOICES = 45;                                  // columns with more different values get no filter
  const NO_FILTER = new Set(["name", "what it is", "authors", "chapter"]);

  const text = (cell) => cell.textContent.trim();

  function compare(a, b) {
    return a.localeCompare(b, "en", { numeric: true, sensitivity: "base" });
  }

  function control(label, field) {
    const wrap = document.createElement("label");
    wrap.className = "catalogue-control";
    wrap.append(label + " ", field);
    return wrap;
  }

  function enhance(box, number) {
    const table = box.querySelector("table");
    if (!table) return;
    const heads = [...table.querySelectorAll("thead th")];
    const body = table.querySelector("tbody");
    const rows = [...body.rows].map((row, index) => {
      const cells = [...row.cells].map(text);
      return { row, index, cells, all: cells.join(" ").toLowerCase() };
    });
    const bar = document.createElement("form");
    bar.className = "catalogue-bar";
    bar.setAttribute("role", "search");
    bar.addEventListener("submit", (event) => event.preventDefault());

    const search = document.createElement("input");
    search.type = "search";
    search.placeholder = "words";
    search.id = `catalogue-search-${number}`;
    bar.append(control("Search", search));

    const filters = heads.map((head, column) => {
      const name = text(head);
      if (NO_FILTER.has(name.toLowerCase())) return null;
      const values = [...new Set(rows.map((r) => r.cells[column]).filter(Boolean))].sort(compare);
      if (values.length < 2 || values.length > MAX_CHOICES) return null;
      const select = document.createElement("select");
      select.append(new Option("all", ""));
      values.forEach((value) => select.append(new Option(value, value)));
      select.addEventListener("change", update);
      bar.append(control(name, select));
      return select;
    });

    const starred = document.createElement("input");
    starred.type = "checkbox";
    if (rows.some((r) => r.cells[0].includes("★"))) bar.append(control("start here only", starred));
    starred.addEventListener("change", update);

    const count = document.createElement("output");
    count.setAttribute("aria-live", "polite");
    bar.append(count);
    box.prepend(bar);

    function update() {
      const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      for (const r of rows) {
        const fits = words.every((word) => r.all.includes(word))
          && filters.every((f, column) => !f || !f.value || r.cells[column] === f.value)
          && (!starred.checked || r.cells[0].includes("★"));
        r.row.hidden = !fits;
        shown += fits;
      }
      count.textContent = `${shown} of ${rows.length} entries`;
    }

    heads.forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "catalogue-sort";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const next = { none: "ascending", ascending: "descending", descending: "none" }[head.getAttribute("aria-sort") || "none"];
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        if (next !== "none") head.setAttribute("aria-sort", next);
        const sign = next === "descending" ? -1 : 1;
        const order = [...rows].sort((a, b) => (next === "none" ? 0 : sign * compare(a.cells[column], b.cells[column])) || a.index - b.index);
        body.append(...order.map((r) => r.row));
      });
    });

    search.addEventListener("input", update);
    update();
  }

  document.addEventListener("DOMContentLoaded", () => document.querySelectorAll(".catalogue").forEach(enhance));
})();
