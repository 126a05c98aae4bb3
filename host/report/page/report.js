"use strict";
// Tables sort by the button in each heading; long ones get a field that hides rows without the words typed into it.

const compare = (a, b) => {
  if (a === "" || b === "") return (a === "") - (b === "");  // what is not known comes last, either way
  return isNaN(a) || isNaN(b) ? a.localeCompare(b, "en", {numeric: true}) : a - b;
};

for (const table of document.querySelectorAll("table")) {
  const headings = [...table.tHead.rows[0].cells];
  const body = table.tBodies[0];
  headings.forEach((heading, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    heading.append(button);
    button.addEventListener("click", () => {
      const order = heading.getAttribute("aria-sort") === "ascending" ? "descending" : "ascending";
      headings.forEach(other => other.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", order);
      const sign = order === "ascending" ? 1 : -1;
      const keyed = [...body.rows].map(row => [row.cells[column].dataset.sort, row]);
      keyed.sort(([a], [b]) => (a === "" || b === "" ? 1 : sign) * compare(a, b));
      body.append(...keyed.map(([, row]) => row));
    });
  });
  if (body.rows.length > 20) {
    const label = document.createElement("label");
    const input = document.createElement("input");
    label.className = "filter";
    input.type = "search";
    input.placeholder = "words, e.g. layer seedlm4";
    label.append("Show only rows with", input);
    table.parentElement.before(label);
    input.addEventListener("input", () => {
      const words = input.value.toLowerCase().split(/\s+/);
      for (const row of body.rows) {
        const text = [...row.cells].map(cell => cell.textContent).join(" ").toLowerCase();
        row.hidden = !words.every(word => text.includes(word));
      }
    });
  }
}

// Paper shows what is folded away on the screen.
addEventListener("beforeprint", () => document.querySelectorAll("details").forEach(part => { part.open = true; }));
