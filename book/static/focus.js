/* What scrolls sideways can be reached, and so scrolled, by keyboard. */
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  for (const box of document.querySelectorAll("article table, article .pst-scrollable-table-container, article div.math")) {
    if (box.scrollWidth > box.clientWidth + 1) box.tabIndex = 0;
  }
});
