/* Search and a choice of the part for the cheat cards. Without this script the page shows all of them. */
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  const bar = document.querySelector(".cheat-bar");
  if (!bar) return;
  const groups = [...document.querySelectorAll(".cheat-cards")].map((box) => ({
    chapter: box.closest("section"),
    part: box.closest("section").parentElement.closest("section"),
    cards: [...box.querySelectorAll(".cheat-card")].map((card) => ({ card, text: card.textContent.toLowerCase() })),
  }));
  const title = (section) => section.querySelector("h2, h3").firstChild.textContent.trim();
  const parts = [...new Set(groups.map((group) => group.part))];

  const form = document.createElement("form");
  form.className = "catalogue-bar";
  form.setAttribute("role", "search");
  form.addEventListener("submit", (event) => event.preventDefault());
  const search = Object.assign(document.createElement("input"), { type: "search", placeholder: "name or words" });
  const select = document.createElement("select");
  select.append(new Option("all parts", ""));
  parts.forEach((part, i) => select.append(new Option(title(part), String(i))));
  const said = document.createElement("output");
  for (const [label, field] of [["Search", search], ["Part", select]]) {
    const wrap = document.createElement("label");
    wrap.className = "catalogue-control";
    wrap.append(label + " ", field);
    form.append(wrap);
  }
  form.append(said);
  bar.append(form);

  function update() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0, all = 0;
    const alive = new Set();
    for (const group of groups) {
      const wanted = select.value === "" || parts[Number(select.value)] === group.part;
      let any = 0;
      for (const { card, text } of group.cards) {
        card.hidden = !(wanted && words.every((word) => text.includes(word)));
        any += !card.hidden;
      }
      group.chapter.hidden = any === 0;
      if (any) alive.add(group.part);
      shown += any;
      all += group.cards.length;
    }
    parts.forEach((part) => { part.hidden = !alive.has(part); });
    said.textContent = `${shown} of ${all} cards`;
  }
  search.addEventListener("input", update);
  select.addEventListener("change", update);
  update();
});
